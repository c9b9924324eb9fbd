//! A shard behind its lock, and the one thing that is done late: the last plain cleanup that ended there is completed by
//! whoever takes the lock next. Most often that is the next registration, which takes the ended entry's place as it is.
//!
//! Invariant: nobody who has the lock by [`Locker::lock`] sees an entry whose cleanup has ended as one that is still
//! being cleaned.

use std::ops::{Deref, DerefMut};

use crate::registry::biased::{Biased, Held, Own};
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

    /// The lock, unless somebody has it.
    pub(super) fn try_lock(&self) -> Option<Settled<'_>> {
        self.0.try_lock().map(Settled::new)
    }

    /// The owner's way alone, for what is done all the time: straight code. With the last end still to be completed, by
    /// [`Shard::settle`] or [`Shard::renew`].
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<Own<'_, Shard>> {
        self.0.enter()
    }

    /// For a thread that registers here: makes its way in a short one, unless another thread has that already.
    pub(super) fn own(&'static self) -> bool {
        self.0.own()
    }

    pub(super) fn disown(&'static self) {
        self.0.disown();
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

/// A shard in which nothing is left to complete.
pub(super) struct Settled<'a>(Held<'a, Shard>);

impl<'a> Settled<'a> {
    #[inline]
    pub(super) fn new(mut shard: Held<'a, Shard>) -> Settled<'a> {
        shard.settle();
        Settled(shard)
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

    use crate::cleanup::work;
    use crate::config::ManagerConfig;
    use crate::id::{Label, ResourceId};
    use crate::registry::claim::Silence;
    use crate::registry::entry::{Draft, Phase, Plain};
    use crate::registry::tree::{Node, Seed};
    use crate::registry::{Account, Ended, Registry, Weight, registry};
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

    /// A claim of whose end nobody is to be told: the first thousand or so are timed, and later ones now and then.
    fn claim_unheard(node: &Arc<Node>) -> (ResourceId, Silence) {
        loop {
            let (id, mut work) = (enter(node), None);
            match Registry::begin_plain(id, &mut work).expect("it is plain and live") {
                Account::Quiet(silence) => return (id, silence),
                Account::Full(weight) => {
                    assert!(registry().finish_plain(&Ended::plain(id, weight), Duration::ZERO));
                }
            }
        }
    }

    fn end(id: ResourceId) {
        let ended = Ended::plain(id, Weight::NONE);
        assert!(!registry().finish_plain(&ended, Duration::ZERO));
        registry().finish(&ended, Ok(()), Duration::ZERO, None);
    }

    #[test]
    fn a_cleanup_counts_as_live_until_it_has_ended_and_no_longer() {
        let node = node(None);
        let (id, silence) = claim_unheard(&node);
        assert!(registry().is_live(id));
        assert!(silence.leave(id));
        assert_eq!(registry().live_count(&node), 0);
        assert!(!registry().is_live(id));
        let stats = registry().stats(&node);
        assert_eq!(stats.registered, stats.cleaned);
    }

    #[test]
    fn a_place_that_is_taken_over_has_a_new_id_and_both_are_counted() {
        let node = node(None);
        // Only the owner of a shard takes places over, and only where nobody has been there for a while.
        for _ in 0..10_000 {
            let (old, silence) = claim_unheard(&node);
            assert!(silence.leave(old));
            let plain = Plain {
                text: "r",
                category: Category::Event.known().expect("it is one of castoff's own"),
                priority: Priority::Medium,
                created_at: Location::caller(),
            };
            if let Some(new) = Registry::renew(&node, &plain, &mut Some(work(|| ()))) {
                assert!(new != old && registry().is_live(new) && !registry().is_live(old));
                let stats = registry().stats(&node);
                assert_eq!((stats.live, stats.registered), (1, stats.cleaned + 1));
                return;
            }
        }
        assert!(!crate::registry::fence::is_there(), "no place was ever taken over");
    }

    #[test]
    fn an_end_that_somebody_waits_for_is_told() {
        let node = node(None);
        let (id, silence) = claim_unheard(&node);
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let _observing = registry().observe(Arc::new(move |id, ending| {
            hears.lock().expect("nobody panics here").push((id, ending.phase));
        }));
        registry().watch(id);
        assert!(!silence.leave(id));
        end(id);
        assert!(told.lock().expect("nobody panics here").contains(&(id, Phase::Cleaned)));
    }

    #[test]
    fn a_manager_whose_last_cleanup_runs_while_it_ends_leaves_its_parent_with_it() {
        let parent = node(None);
        let child = node(Some(parent.clone()));
        let (id, silence) = claim_unheard(&child);
        child.abandoned.store(true, Relaxed);
        registry().retire(&child);
        assert_eq!(parent.children.lock().len(), 1);
        assert!(!silence.leave(id));
        end(id);
        assert_eq!(parent.children.lock().len(), 0);
        let stats = registry().stats(&parent);
        assert_eq!(stats.registered, stats.cleaned);
    }
}
