//! A shard behind its lock, with three ways in: that of its owner to the one place that it uses again and again (the
//! spot); everybody's to all that is registered there, for which the spot is settled first; and everybody's beside the
//! spot, for what concerns others than whoever is in it.

use std::ops::{Deref, DerefMut};

use crate::cleanup::Work;
use crate::id::ResourceId;
use crate::registry::biased::{Biased, Held, Own};
use crate::registry::entry::Plain;
use crate::registry::shard::Shard;

#[repr(align(128))] // two cache lines, which processors fetch in pairs: neighbours do not disturb each other
pub(super) struct Locker(Biased<Shard>);

/// How often who gives way looks whether somebody still waits: some tens of microseconds, in which a thread that sleeps
/// on a lock is woken. Yielding the core instead would take milliseconds where threads are many, for each part of a scan.
const LOOKS: u32 = 1_000;

impl Locker {
    pub(super) fn new(shard: Shard) -> Locker {
        Locker(Biased::new(shard))
    }

    #[inline]
    pub(super) fn lock(&self) -> Settled<'_> {
        Settled::new(self.0.lock())
    }

    /// For who has no business with whoever is in the spot.
    #[inline]
    pub(super) fn lock_beside(&self) -> Beside<'_> {
        Beside(self.0.lock())
    }

    /// The lock, unless somebody has it.
    pub(super) fn try_lock(&self) -> Option<Settled<'_>> {
        self.0.try_lock().map(Settled::new)
    }

    /// The owner's way, to [`Shard::spot`] alone: the rest may not be as it seems before that is settled.
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<Own<'_, Shard>> {
        self.0.enter()
    }

    /// The owner has run the cleanup of who is in the spot. False: somebody has come in since, and has settled it.
    #[inline(always)]
    pub(super) fn is_done(&self, id: ResourceId) -> bool {
        self.0.is_done(id.0)
    }

    /// For a thread that registers here: makes its way in a short one, unless another thread has that already.
    pub(super) fn own(&'static self) -> bool {
        self.0.own()
    }

    pub(super) fn disown(&'static self) {
        self.0.disown();
    }

    /// In a forked child, where the calling thread is the only one and has the lock.
    pub(super) fn outlive(&self) {
        self.0.outlive();
    }

    /// For who takes the lock again and again, and has just let go of it: lets those go first who wait, for a moment.
    /// The lock is not fair, and would be taken again before anybody has woken up.
    pub(super) fn give_way(&self) {
        for _ in 0..LOOKS {
            if !self.0.is_wanted() {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

/// A shard but for its spot: who is in that is not in the rest.
pub(super) struct Beside<'a>(Held<'a, Shard>);

/// A shard whose spot is settled.
pub(super) struct Settled<'a>(Held<'a, Shard>);

impl<'a> Settled<'a> {
    #[inline]
    pub(super) fn new(mut shard: Held<'a, Shard>) -> Settled<'a> {
        let under_way = shard.take_under_way();
        shard.settle(under_way);
        Settled(shard)
    }
}

/// How many have to come beside one that stays in the spot before it has to make room: one that lives long, most likely,
/// while others come and go.
const PATIENCE: u32 = 32;

impl Beside<'_> {
    /// Makes the spot that of a member, and lets a plain resource in as the first one. The work back, and nothing is done:
    /// not now, or not here.
    pub(super) fn open_spot(
        &mut self,
        lane: (u32, u32),
        member: u32,
        plain: Plain,
        work: Work,
    ) -> Result<ResourceId, Work> {
        let Held::Own(own) = &mut self.0 else { return Err(work) };
        let under_way = own.under_way();
        if under_way != 0 && own.spot.stays(PATIENCE) {
            return Err(work);
        }
        own.settle(under_way);
        own.begin(0);
        if !own.open_spot(lane.0, member, lane.1) {
            return Err(work);
        }
        let id = own.next_in_spot(lane.0);
        own.spot.fill(plain, work);
        own.begin(id.0);
        Ok(id)
    }

    /// Whether this one is in the spot. Then it has to be settled before the rest knows of it.
    pub(super) fn is_in_spot(&self, id: ResourceId) -> bool {
        self.0.under_way() == id.0
    }

    pub(super) fn settle(self) -> Self {
        let Beside(held) = self;
        Beside(Settled::new(held).0)
    }
}

impl Deref for Beside<'_> {
    type Target = Shard;
    #[inline]
    fn deref(&self) -> &Shard {
        &self.0
    }
}

impl DerefMut for Beside<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.0
    }
}

impl Deref for Settled<'_> {
    type Target = Shard;
    #[inline]
    fn deref(&self) -> &Shard {
        &self.0
    }
}

impl DerefMut for Settled<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use crate::cleanup::{CleanupContext, CleanupReason, Course, work};
    use crate::config::ManagerConfig;
    use crate::id::{Label, ResourceId};
    use crate::registry::claim::Quiet;
    use crate::registry::entry::{Phase, Plain};
    use crate::registry::tree::{Node, Seed};
    use crate::registry::{Ended, Registry, Weight, fence, registry};
    use crate::resource::{Category, Priority};

    const CONTEXT: CleanupContext = CleanupContext { reason: CleanupReason::Dropped, deadline: None };

    fn node(parent: Option<Arc<Node>>) -> Arc<Node> {
        let (name, created_at, config) = (Label::from("m"), Location::caller(), ManagerConfig::default());
        registry().new_node(Seed { name, created_at, config, parent })
    }

    /// One in the spot, which the first thousand or so don't come to: they are all timed.
    fn enter(node: &Arc<Node>) -> ResourceId {
        for _ in 0..10_000 {
            if let Some(spot) = Registry::find_spot(node) {
                return spot.fill(plain(), work(|| ()));
            }
            let id = registry().insert_plain(node, plain(), work(|| ()));
            if let Some(quiet) = Registry::begin_quiet(id, &mut None) {
                assert!(quiet.is_done());
                continue;
            }
            let (weight, _) = Registry::begin_plain(id).expect("it is plain and live");
            assert!(registry().finish_plain(&Ended::plain(id, weight), Duration::ZERO));
        }
        panic!("the owner of a shard never got its spot")
    }

    fn plain() -> Plain {
        Plain {
            text: "r",
            category: Category::Event.known().expect("it is one of castoff's own"),
            priority: Priority::Medium,
            created_at: Location::caller(),
        }
    }

    /// Its cleanup is claimed, and nobody is to be told of its end.
    fn begin(id: ResourceId) -> Quiet {
        let mut work = None;
        let quiet = Registry::begin_quiet(id, &mut work).expect("it is in the spot");
        assert!(work.is_some());
        quiet
    }

    fn end(id: ResourceId) {
        let ended = Ended::plain(id, Weight::NONE);
        assert!(!registry().finish_plain(&ended, Duration::ZERO));
        registry().finish(&ended, Ok(()), Duration::ZERO, None);
    }

    #[test]
    fn one_that_comes_and_goes_is_counted_and_leaves_nothing() {
        if !fence::is_there() {
            return;
        }
        let node = node(None);
        let first = enter(&node);
        assert!(begin(first).is_done());
        let second = enter(&node);
        assert_ne!(first, second);
        assert!(!registry().is_live(first) && registry().is_live(second));
        let stats = registry().stats(&node);
        assert_eq!((stats.live, stats.registered), (1, stats.cleaned + 1));
    }

    #[test]
    fn who_is_looked_at_moves_to_the_others_and_is_cleaned_from_there() {
        if !fence::is_there() {
            return;
        }
        let node = node(None);
        let id = enter(&node);
        assert!(registry().is_live(id));
        assert!(Registry::begin_quiet(id, &mut None).is_none());
        let (_, work) = Registry::begin_plain(id).expect("it is plain and live");
        assert!(matches!(work.begin(&CONTEXT), Course::Done(Ok(()))));
        assert!(registry().finish_plain(&Ended::plain(id, Weight::NONE), Duration::ZERO));
        assert_eq!(registry().live_count(&node), 0);
    }

    #[test]
    fn a_cleanup_that_is_looked_at_counts_as_live_until_it_has_ended_and_no_longer() {
        if !fence::is_there() {
            return;
        }
        let node = node(None);
        let id = enter(&node);
        let quiet = begin(id);
        assert!(registry().is_live(id));
        assert!(!quiet.is_done());
        assert!(registry().finish_plain(&Ended::plain(id, Weight::NONE), Duration::ZERO));
        assert_eq!(registry().live_count(&node), 0);
        let stats = registry().stats(&node);
        assert_eq!(stats.registered, stats.cleaned);
    }

    #[test]
    fn one_that_registers_in_a_cleanup_takes_the_spot_and_neither_is_lost() {
        if !fence::is_there() {
            return;
        }
        let node = node(None);
        let outer = enter(&node);
        let quiet = begin(outer);
        let inner = enter(&node);
        assert!(!quiet.is_done());
        assert!(registry().finish_plain(&Ended::plain(outer, Weight::NONE), Duration::ZERO));
        assert!(registry().is_live(inner) && !registry().is_live(outer));
        let stats = registry().stats(&node);
        assert_eq!((stats.live, stats.registered), (1, stats.cleaned + 1));
    }

    #[test]
    fn an_end_that_somebody_waits_for_is_told() {
        if !fence::is_there() {
            return;
        }
        let node = node(None);
        let id = enter(&node);
        let quiet = begin(id);
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let _observing = registry().observe(Arc::new(move |id, ending| {
            hears.lock().expect("nobody panics here").push((id, ending.phase));
        }));
        registry().watch(id);
        assert!(!quiet.is_done());
        end(id);
        assert!(told.lock().expect("nobody panics here").contains(&(id, Phase::Cleaned)));
    }

    #[test]
    fn a_manager_whose_last_cleanup_runs_while_it_ends_leaves_its_parent_with_it() {
        if !fence::is_there() {
            return;
        }
        let parent = node(None);
        let child = node(Some(parent.clone()));
        let id = enter(&child);
        let quiet = begin(id);
        child.abandoned.store(true, Relaxed);
        registry().retire(&child);
        assert_eq!(parent.children.lock().len(), 1);
        assert!(!quiet.is_done());
        end(id);
        assert_eq!(parent.children.lock().len(), 0);
        let stats = registry().stats(&parent);
        assert_eq!(stats.registered, stats.cleaned);
    }
}
