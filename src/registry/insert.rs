//! Where a new entry goes: most often to the spot that the same thread's last one has just left.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::cleanup::Work;
use crate::clock::Coarse;
use crate::events::anyone_listens;
use crate::fork;
use crate::id::ResourceId;
use crate::registry::biased::Own;
use crate::registry::entry::{Draft, Newcomer, Phase, Plain};
use crate::registry::locker::Beside;
use crate::registry::shard::{NO_LINK, Shard};
use crate::registry::tree::{Node, shown_and_seen};
use crate::registry::turns::Turn;
use crate::registry::{INDEX_BITS, LANE, Lane, Registry, TURNS, id_of};

impl Registry {
    /// Keeps a new entry of this manager, in the calling thread's shard.
    ///
    /// # Panics
    /// When every shard is full: at nearly 2^26 live resources for each of 8 or more shards.
    #[inline(never)]
    pub(crate) fn insert(&self, node: &Arc<Node>, draft: Draft, phase: Phase, linked: bool) -> ResourceId {
        let Lane { locker, shard, thread } = Lane::current();
        let (mut data, member) = self.joined(node, shard, locker.lock_beside());
        let new = newcomer(&mut data.turn, shard, phase, linked);
        let Some((key, entry)) = data.admit(member, thread) else {
            drop(data);
            return self.insert_elsewhere(shard, node, draft, new);
        };
        let leak_after = draft.leak_after();
        entry.fill(draft, new);
        if let Some(leak_after) = leak_after {
            data.hasten(member, leak_after);
        }
        id_of(shard, key)
    }

    /// Finds the spot free for a plain one that does not await.
    #[inline(never)]
    pub(crate) fn find_spot(node: &Node) -> Option<Free> {
        if anyone_listens() {
            return None;
        }
        let Lane { locker, shard, .. } = LANE.get()?;
        let mut data = locker.enter()?;
        if data.under_way() != 0 || !data.spot.is_free_for(node) {
            return None;
        }
        let id = data.next_in_spot(shard);
        Some(Free { data, id })
    }

    /// Keeps a plain one that does not await, and makes the spot one for the likes of it if that can be had.
    #[inline(never)]
    pub(crate) fn insert_plain(&self, node: &Arc<Node>, plain: Plain, work: Work) -> ResourceId {
        let Lane { locker, shard, thread } = Lane::current();
        let (mut data, member) = self.joined(node, shard, locker.lock_beside());
        let work = match data.open_spot((shard, thread), member, plain, work) {
            Ok(id) => return id,
            Err(work) => work,
        };
        let new = newcomer(&mut data.turn, shard, Phase::Live, false);
        let Some((key, entry)) = data.admit(member, thread) else {
            drop(data);
            return self.insert_elsewhere(shard, node, plain.with(work), new);
        };
        entry.settle(plain, Some(work), new);
        id_of(shard, key)
    }

    #[cold]
    pub(crate) fn insert_elsewhere(
        &self,
        full: u32,
        node: &Arc<Node>,
        draft: Draft,
        new: Newcomer,
    ) -> ResourceId {
        for shard in (0..self.shards.len() as u32).filter(|shard| *shard != full) {
            let (mut data, member) = self.joined(node, shard, self.shards[shard as usize].lock_beside());
            if let Some((key, entry)) = data.admit(member, NO_LINK) {
                let leak_after = draft.leak_after();
                // Now: in a list each is made no earlier than those behind it.
                entry.fill(draft, Newcomer { created: Coarse::now(), ..new });
                if let Some(leak_after) = leak_after {
                    data.hasten(member, leak_after);
                }
                return id_of(shard, key);
            }
        }
        panic!(
            "castoff: {} resources are live, the most there can be",
            (self.shards.len() as u64) << INDEX_BITS
        );
    }

    /// A manager's member in a shard whose lock is held, and is again: meanwhile it is not, where there is none yet.
    #[inline]
    fn joined<'a>(&'a self, node: &Arc<Node>, shard: u32, mut data: Beside<'a>) -> (Beside<'a>, u32) {
        loop {
            if let Some(member) = node.lanes[shard as usize].load(Relaxed).checked_sub(1) {
                return (data, member);
            }
            drop(data);
            self.join(node, shard);
            data = self.shards[shard as usize].lock_beside();
        }
    }

    /// Gives a manager its member in a shard, and its place below its parent if it had lost that.
    #[cold]
    fn join(&self, node: &Arc<Node>, shard: u32) {
        let mut attached = node.attached.lock();
        self.attach(node, &mut attached);
        let mut data = self.shards[shard as usize].lock();
        let lane = &node.lanes[shard as usize];
        if lane.load(Relaxed) == 0 {
            lane.store(data.join(node.clone()) + 1, Relaxed);
            shown_and_seen();
        }
    }

    pub(super) fn attach(&self, node: &Arc<Node>, attached: &mut bool) {
        if *attached {
            return;
        }
        if let Some(parent) = &node.parent {
            let mut above = parent.attached.lock();
            self.attach(parent, &mut above);
            parent.children.lock().insert(node.id, node.clone());
        }
        *attached = true;
    }
}

/// The spot, to be filled. Half of the way is not inlined where people register, and half of it is: what they say is
/// mostly known there.
pub(crate) struct Free {
    data: Own<'static, Shard>,
    id: ResourceId,
}

impl Free {
    #[inline(always)]
    pub(crate) fn fill(mut self, plain: Plain, work: Work) -> ResourceId {
        self.data.spot.fill(plain, work);
        self.data.begin(self.id.0);
        self.id
    }
}

#[inline]
fn newcomer(turn: &mut Turn, shard: u32, phase: Phase, linked: bool) -> Newcomer {
    let created = Coarse::now();
    Newcomer { created, turn: TURNS.take(shard, created, turn), era: fork::era(), phase, linked }
}
