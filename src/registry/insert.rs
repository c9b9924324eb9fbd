//! Where a new entry goes: most often to the place of one that the same thread has just cleaned.
//!
//! The common way is straight and all of it in registers; what is rare is kept out of it, for its size and its stack.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use crate::clock::Coarse;
use crate::fork;
use crate::id::ResourceId;
use crate::registry::entry::{Draft, Newcomer, Phase};
use crate::registry::shard::{NO_LINK, Shard};
use crate::registry::tree::Node;
use crate::registry::{INDEX_BITS, Lane, Registry, id_of};
use crate::resource::Category;

impl Registry {
    /// Keeps a new entry of this manager, in the calling thread's shard.
    ///
    /// # Panics
    /// When every shard is full: at nearly 2^26 live resources for each of 8 or more shards.
    #[inline(always)]
    pub(crate) fn insert<C: Into<Category>>(
        &self,
        node: &Arc<Node>,
        draft: Draft<C>,
        phase: Phase,
        linked: bool,
    ) -> ResourceId {
        // Taken apart and put together where they are needed: so the common way keeps all of it in registers.
        let Draft { label, category, priority, created_at, work, extra } = draft;
        let created = Coarse::now();
        let Lane { locker, shard, thread } = Lane::current();
        let turn = self.turns.take(shard + 1, created);
        let era = fork::era();
        let member = &node.lanes[shard as usize];
        let (mut data, posted) = locker.lock_with_post();
        let member = member.load(Relaxed).wrapping_sub(1);
        let renewed = match posted {
            Some(posted) => data.renew(posted.key(), member, thread),
            None => None,
        };
        let Some((key, entry)) = renewed else {
            return self.insert_beside(
                (shard, thread),
                data,
                node,
                Draft { label, category: category.into(), priority, created_at, work, extra },
                Newcomer { created, turn, era, phase, linked },
            );
        };
        entry.fill(
            Draft { label, category, priority, created_at, work, extra },
            Newcomer { created, turn, era, phase, linked },
        );
        locker.renewed(&mut data);
        drop(data);
        id_of(shard, key)
    }

    /// The same where no place falls free at the right moment.
    #[inline(never)]
    fn insert_beside<'a>(
        &'a self,
        (shard, thread): (u32, u32),
        mut data: MutexGuard<'a, Shard>,
        node: &Arc<Node>,
        draft: Draft,
        new: Newcomer,
    ) -> ResourceId {
        let locker = &self.shards[shard as usize];
        locker.settle(&mut data);
        let (mut data, member) = self.joined(node, shard, data);
        let Some((key, entry)) = data.admit(member, thread) else {
            drop(data);
            return self.insert_elsewhere(shard, node, draft, new);
        };
        entry.fill(draft, new);
        id_of(shard, key)
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
    fn joined<'a>(
        &'a self,
        node: &Arc<Node>,
        shard: u32,
        mut data: MutexGuard<'a, Shard>,
    ) -> (MutexGuard<'a, Shard>, u32) {
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
