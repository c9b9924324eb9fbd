//! What may start: what waits for what, and how an item becomes ready.

use std::time::Duration;

use super::{Line, NOBODY, State, Status, Wait};

impl State {
    /// A node waits for nothing more. Virtual ones end at once.
    pub(super) fn set_ready(&mut self, line: &Line, node: u32) {
        if !line.order.steps.is_virtual(node) {
            return self.set_item_ready(line, node);
        }
        let mut free = vec![node];
        while let Some(node) = free.pop() {
            let Wait { behind, chain, .. } = self.waits[node as usize];
            if !line.order.steps.is_virtual(node) {
                self.set_item_ready(line, node);
                continue;
            }
            for follower in line.order.steps.followers(node) {
                if self.wait_less(*follower, behind, chain) {
                    free.push(*follower);
                }
            }
        }
    }

    fn set_item_ready(&mut self, line: &Line, index: u32) {
        self.results[index as usize].waited_for = self.waits[index as usize].behind;
        self.give_back(line, index);
    }

    /// It may start, if nothing holds it back and it has not.
    pub(crate) fn give_back(&mut self, line: &Line, index: u32) {
        let waits = self.waits[index as usize].count > 0;
        if waits || self.results[index as usize].status != Status::Waiting || self.stopped_for_good {
            return;
        }
        if self.ready.insert(line.rank(index)) {
            self.ready_in_all += 1;
            self.ready_async += usize::from(line.is_async[index as usize]);
        }
    }

    /// It is somebody's, and so no longer for anybody.
    #[inline]
    pub(super) fn take_away(&mut self, line: &Line, index: u32) {
        if self.ready.remove(line.rank(index)) {
            self.ready_in_all -= 1;
            self.ready_async -= usize::from(line.is_async[index as usize]);
        }
    }

    /// One of those that a node stands behind is over. Whether it was the last.
    fn wait_less(&mut self, node: u32, item: u32, chain: Duration) -> bool {
        let wait = &mut self.waits[node as usize];
        if item != NOBODY && chain >= wait.chain {
            (wait.behind, wait.chain) = (item, chain);
        }
        wait.count -= 1;
        wait.count == 0
    }

    /// An item turned out to stand behind these: dependencies that were added after the order was made.
    pub(crate) fn put_behind(&mut self, index: u32, dependents: &[u32]) {
        self.results[index as usize].status = Status::Waiting;
        self.waits[index as usize].count += dependents.len() as u32;
        for dependent in dependents {
            self.late_followers.entry(*dependent).or_default().push(index);
        }
    }

    /// What stands behind an item need not wait for it any more.
    pub(crate) fn release_followers(&mut self, line: &Line, index: u32) {
        let chain = self.waits[index as usize].chain;
        if !self.late_followers.is_empty() {
            for follower in self.late_followers.remove(&index).unwrap_or_default() {
                if self.wait_less(follower, index, chain) {
                    self.set_ready(line, follower);
                }
            }
        }
        for follower in line.order.steps.followers(index) {
            if self.wait_less(*follower, index, chain) {
                self.set_ready(line, *follower);
            }
        }
    }
}
