//! Where a new entry goes: most often to the place of one that the same thread has just cleaned.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::cleanup::Work;
use crate::clock::Coarse;
use crate::fork;
use crate::id::ResourceId;
use crate::registry::entry::{Draft, Newcomer, Phase, Plain};
use crate::registry::locker::Settled;
use crate::registry::shard::NO_LINK;
use crate::registry::tree::Node;
use crate::registry::{INDEX_BITS, Lane, Registry, TURNS, id_of};

impl Registry {
    /// Keeps a new entry of this manager, in the calling thread's shard.
    ///
    /// # Panics
    /// When every shard is full: at nearly 2^26 live resources for each of 8 or more shards.
    #[inline(never)]
    pub(crate) fn insert(&self, node: &Arc<Node>, draft: Draft, phase: Phase, linked: bool) -> ResourceId {
        let Lane { locker, shard, thread } = Lane::current();
        let new = newcomer(shard, phase, linked);
        let (mut data, member) = self.joined(node, shard, locker.lock());
        let Some((key, entry)) = data.admit(member, thread) else {
            drop(data);
            return self.insert_elsewhere(shard, node, draft, new);
        };
        entry.fill(draft, new);
        id_of(shard, key)
    }

    /// The same for a plain one, if the place of another falls free at the right moment. `None`, and the work is where
    /// it was, if not.
    #[inline(always)]
    pub(crate) fn renew(node: &Node, plain: &Plain, work: &mut Option<Work>) -> Option<ResourceId> {
        let Lane { locker, shard, thread } = Lane::current();
        let mut data = locker.enter()?;
        let member = node.lanes[shard as usize].load(Relaxed).wrapping_sub(1);
        let (id, entry) = data.renew(member, thread)?;
        entry.refill(plain, work, newcomer(shard, Phase::Live, false));
        Some(id)
    }

    #[cold]
    fn insert_elsewhere(&self, full: u32, node: &Arc<Node>, draft: Draft, new: Newcomer) -> ResourceId {
        for shard in (0..self.shards.len() as u32).filter(|shard| *shard != full) {
            let (mut data, member) = self.joined(node, shard, self.shards[shard as usize].lock());
            if let Some((key, entry)) = data.admit(member, NO_LINK) {
                entry.fill(draft, new);
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
    fn joined<'a>(&'a self, node: &Arc<Node>, shard: u32, mut data: Settled<'a>) -> (Settled<'a>, u32) {
        loop {
            if let Some(member) = node.lanes[shard as usize].load(Relaxed).checked_sub(1) {
                return (data, member);
            }
            drop(data);
            self.join(node, shard);
            data = self.shards[shard as usize].lock();
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

#[inline]
fn newcomer(shard: u32, phase: Phase, linked: bool) -> Newcomer {
    let created = Coarse::now();
    Newcomer { created, turn: TURNS.take(shard + 1, created), era: fork::era(), phase, linked }
}
