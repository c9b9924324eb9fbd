//! A shard behind its lock, with a slot in the door: the end of a plain cleanup is posted there, and whoever takes the
//! lock next completes it first. Most drops take the lock once by that, not twice.
//!
//! Invariants:
//! 1. Nobody who has the lock sees an entry whose end was posted before as one that is still being cleaned.
//! 2. An end is posted only where nothing follows from it. Who wants something to follow from the end of a cleanup
//!    that runs (to be told, to take a manager down) closes the slot under the lock: then that cleanup ends under the
//!    lock too. The slot is open again when the last cleanup that might have posted its end has ended.
//! 3. What is posted is taken out under the lock alone.

use std::sync::MutexGuard;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::id::ResourceId;
use crate::registry::shard::Shard;
use crate::sync::Lock;

#[repr(align(128))] // two cache lines, which processors fetch in pairs: neighbours do not disturb each other
pub(super) struct Locker {
    shard: Lock<Shard>,
    /// The entry whose cleanup has ended, or one of the two below.
    posted: AtomicU64,
    /// How many threads wait for the lock.
    waiting: AtomicU32,
}

/// How often who gives way looks whether somebody still waits: some tens of microseconds, in which a thread that sleeps
/// on a lock is woken. Yielding the core instead would take milliseconds where threads are many, for each part of a scan.
const LOOKS: u32 = 1_000;

/// Nothing is posted; no id is zero.
const OPEN: u64 = ResourceId::NONE.0;
/// Nothing can be; no id has these bits, for generations end before their last number.
const CLOSED: u64 = u64::MAX;

impl Locker {
    pub(super) fn new(shard: Shard) -> Locker {
        Locker { shard: Lock::new(shard), posted: AtomicU64::new(OPEN), waiting: AtomicU32::new(0) }
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Shard> {
        let mut shard = self.enter();
        self.settle(&mut shard);
        shard
    }

    #[inline]
    fn enter(&self) -> MutexGuard<'_, Shard> {
        match self.shard.try_lock() {
            Some(shard) => shard,
            None => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, Shard> {
        self.waiting.fetch_add(1, Relaxed);
        let shard = self.shard.lock();
        self.waiting.fetch_sub(1, Relaxed);
        shard
    }

    /// For who takes the lock again and again, and has just let go of it: lets those go first who wait, for a moment.
    /// The lock is not fair, and would be taken again before anybody has woken up.
    pub(super) fn give_way(&self) {
        for _ in 0..LOOKS {
            if self.waiting.load(Relaxed) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// The lock, unless somebody has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Shard>> {
        let mut shard = self.shard.try_lock()?;
        self.settle(&mut shard);
        Some(shard)
    }

    /// The lock, for who wants something to follow from the end of a cleanup that may be running.
    pub(super) fn lock_closed(&self) -> MutexGuard<'_, Shard> {
        let mut shard = self.lock();
        // One is posted at this very moment: completed, and tried again.
        while shard.postable > 0
            && let Err(posted) = self.posted.compare_exchange(OPEN, CLOSED, Acquire, Acquire)
            && posted != CLOSED
        {
            self.complete(&mut shard, ResourceId(posted));
        }
        shard
    }

    /// The lock, with what was posted still to be completed by [`Locker::settle`] or [`Locker::renewed`].
    #[inline]
    pub(super) fn lock_with_post(&self) -> (MutexGuard<'_, Shard>, Option<ResourceId>) {
        let shard = self.enter();
        (shard, self.posted())
    }

    #[inline]
    fn posted(&self) -> Option<ResourceId> {
        // Acquire: what the cleanup did happens before its end is seen.
        let posted = self.posted.load(Acquire);
        (posted != OPEN && posted != CLOSED).then_some(ResourceId(posted))
    }

    /// Does what is left of an end that was posted, if one was.
    #[inline]
    pub(super) fn settle(&self, shard: &mut Shard) {
        if let Some(posted) = self.posted() {
            self.complete(shard, posted);
        }
    }

    #[inline(never)]
    fn complete(&self, shard: &mut Shard, posted: ResourceId) {
        shard.end_posted(posted.key());
        self.renewed(shard);
    }

    /// The posted entry's place has been given to another.
    #[inline]
    pub(super) fn renewed(&self, shard: &mut Shard) {
        shard.postable -= 1;
        self.posted.store(OPEN, Relaxed);
    }

    /// Whether a cleanup that is claimed now may post its end. Counts it, if so.
    #[inline]
    pub(super) fn admit(&self, shard: &mut Shard) -> bool {
        // A branch, not a sum with `u32::from(open)`: rustc 1.95 drops that sum (rust-lang/rust#158206).
        if self.posted.load(Relaxed) == CLOSED {
            return false;
        }
        shard.postable += 1;
        true
    }

    /// One that might have posted its end has ended under the lock.
    #[inline]
    pub(super) fn dismiss(&self, shard: &mut Shard) {
        shard.postable -= 1;
        if shard.postable == 0 {
            // Closed, or open: with nobody left nothing can be posted.
            self.posted.store(OPEN, Relaxed);
        }
    }

    /// Without the lock. False: the slot is closed, or full.
    #[inline]
    pub(super) fn post(&self, id: ResourceId) -> bool {
        self.posted.compare_exchange(OPEN, id.0, Release, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use crate::cleanup::{Work, work};
    use crate::config::ManagerConfig;
    use crate::id::{Label, ResourceId};
    use crate::registry::end::Door;
    use crate::registry::entry::{Draft, Phase};
    use crate::registry::tree::{Node, Seed};
    use crate::registry::{Ended, Weight, registry};
    use crate::resource::{Category, Priority};

    fn node(parent: Option<Arc<Node>>) -> Arc<Node> {
        let (name, created_at, config) = (Label::from("m"), Location::caller(), ManagerConfig::default());
        registry().new_node(Seed { name, created_at, config, parent })
    }

    fn enter(node: &Arc<Node>) -> ResourceId {
        let draft = Draft {
            label: Label::from("r"),
            category: Category::Event,
            priority: Priority::Medium,
            created_at: Location::caller(),
            work: work(|| ()),
            extra: None,
        };
        registry().insert(node, draft, Phase::Live, false)
    }

    fn claim(id: ResourceId) -> (Work, Weight, Door<'static>) {
        registry().begin_plain(id).expect("it is plain and live")
    }

    /// A claim whose end may be posted: the first thousand or so are timed, and later ones now and then.
    fn claim_unheard(node: &Arc<Node>) -> (ResourceId, Weight, Door<'static>) {
        loop {
            let id = enter(node);
            let (_, weight, door) = claim(id);
            if weight.posts() {
                return (id, weight, door);
            }
            assert!(registry().finish_plain(&mut Ended::plain(id, weight), Duration::ZERO));
        }
    }

    /// One whose end is posted. Another test's thread may use the same shard: then it is tried again.
    fn post_one(node: &Arc<Node>) -> ResourceId {
        for _ in 0..1_000 {
            let (id, weight, door) = claim_unheard(node);
            assert!(registry().is_live(id));
            if door.post(id) {
                return id;
            }
            assert!(registry().finish_plain(&mut Ended::plain(id, weight), Duration::ZERO));
        }
        panic!("nothing can be posted any more");
    }

    #[test]
    fn a_cleanup_counts_as_live_until_its_end_is_posted_and_no_longer() {
        let node = node(None);
        let id = post_one(&node);
        assert_eq!(registry().live_count(&node), 0);
        assert!(!registry().is_live(id));
        let stats = registry().stats(&node);
        assert_eq!(stats.registered, stats.cleaned);
    }

    #[test]
    fn a_place_that_is_taken_over_has_a_new_id_and_both_are_counted() {
        let node = node(None);
        let old = post_one(&node);
        let new = enter(&node);
        assert!(new != old && registry().is_live(new) && !registry().is_live(old));
        let stats = registry().stats(&node);
        assert_eq!((stats.live, stats.registered), (1, stats.cleaned + 1));
    }

    #[test]
    fn an_end_that_somebody_waits_for_is_not_posted_but_told() {
        let node = node(None);
        let (id, weight, door) = claim_unheard(&node);
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let _observing = registry().observe(Arc::new(move |id, ending| {
            hears.lock().expect("nobody panics here").push((id, ending.phase));
        }));
        registry().watch(id);
        assert!(!door.post(id));
        let mut ended = Ended::plain(id, weight);
        assert!(!registry().finish_plain(&mut ended, Duration::ZERO));
        registry().finish(&ended, Ok(()), Duration::ZERO, None);
        assert!(told.lock().expect("nobody panics here").contains(&(id, Phase::Cleaned)));
        // And open again.
        post_one(&node);
    }

    #[test]
    fn a_manager_whose_last_cleanup_runs_while_it_ends_leaves_its_parent_with_it() {
        let parent = node(None);
        let child = node(Some(parent.clone()));
        let (id, weight, door) = claim_unheard(&child);
        child.abandoned.store(true, super::Relaxed);
        registry().retire(&child);
        assert_eq!(parent.children.lock().len(), 1);
        assert!(!door.post(id));
        let mut ended = Ended::plain(id, weight);
        assert!(!registry().finish_plain(&mut ended, Duration::ZERO));
        registry().finish(&ended, Ok(()), Duration::ZERO, None);
        assert_eq!(parent.children.lock().len(), 0);
        let stats = registry().stats(&parent);
        assert_eq!(stats.registered, stats.cleaned);
    }
}
