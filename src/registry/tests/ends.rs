//! What is left of a resource when it has ended: its place, its name, and what its guard may still ask.

#[cfg(feature = "tokio")]
use std::task::{Context, Poll, Waker};

use super::*;
use crate::registry::entry::{Extra, Kept};

fn kept() -> Kept {
    Box::new(())
}

/// A teardown cleans it.
fn clean(id: ResourceId) {
    let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
    registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
}

fn is_there(id: ResourceId) -> bool {
    registry().with(id, |_| ()).is_some()
}

fn named(node: &Arc<Node>, name: &Label) -> ResourceId {
    let mut extra: Box<Extra> = Box::default();
    extra.name = Some(name.clone());
    registry().insert(node, Draft { extra: Some(extra), ..draft() }, Phase::Live, false)
}

#[test]
fn what_has_ended_keeps_its_place_as_long_as_there_is_a_guard_and_no_longer() {
    let node = manager();
    let held = put(&node);
    clean(held);
    assert_eq!(registry().state(held), ResourceState::Cleaned);
    let dropped = put(&node);
    let Begun::Job(job, _) = registry().begin(dropped, kept(), false) else { panic!("it is live") };
    registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
    let leaked = put(&node);
    assert!(registry().leak(leaked, kept()).is_none());
    clean(leaked);
    assert_eq!([held, dropped, leaked].map(is_there), [true, false, false]);
    drop(registry().release(held));
    assert!(!is_there(held));
}

#[test]
fn the_guard_of_what_has_ended_gives_its_place_up_at_once_unless_more_is_left_than_a_label() {
    let node = manager();
    let (live, runs, cleaned, failed) = (put(&node), put(&node), put(&node), put(&node));
    let let_go = named(&node, &Label::from("released"));
    let Claim::Job(_job) = registry().claim(runs, |_| false) else { panic!("it is live") };
    clean(cleaned);
    let Claim::Job(job) = registry().claim(failed, |_| false) else { panic!("it is live") };
    registry().finish(&job.ended(), Err(CleanupErrorKind::Cancelled), Duration::ZERO, None);
    assert!(registry().unregister(&node, let_go).is_ok());
    let begin = |id: ResourceId| Registry::begin_plain(id).map(|_| ());
    let (special, gone) = (Err(Otherwise::Special), Err(Otherwise::Forgotten));
    let all = [live, runs, cleaned, failed, let_go];
    assert_eq!(all.map(begin), [Ok(()), special, gone, special, gone]);
    assert_eq!(all.map(is_there), [true, true, false, true, false]);
    // What came to stand in its place is somebody else's.
    let next = put(&node);
    assert_eq!(begin(cleaned), special);
    assert!(is_there(next));
}

#[test]
fn what_was_measured_anyway_counts_once_whether_or_not_it_was_to_be_measured() {
    let node = manager();
    for weight in [Weight::NONE, Weight(1)] {
        let id = put(&node);
        let Claim::Job(_job) = registry().claim(id, |_| false) else { panic!("it is live") };
        registry().finish(&Ended::plain(id, weight).timed(), Ok(()), Duration::from_millis(1), None);
    }
    assert_eq!(registry().stats(&node).cleanup_latency.count(), 2);
}

#[test]
fn nobody_waits_for_what_has_ended_already() {
    let node = manager();
    let over = put(&node);
    clean(over);
    registry().wait_for_end(over);
    #[cfg(feature = "tokio")]
    {
        let mut ending = Box::pin(registry().ending(over));
        let polled = ending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(None)));
    }
}

#[test]
fn what_was_deferred_is_more_urgent_than_nothing_and_leaves_its_place_when_it_is_cleaned_at_last() {
    let node = manager();
    let (below, above, _other) = (put(&node), put(&node), put(&node));
    registry().add_dependency(&node, above, below).expect("both are live");
    assert!(registry().urgency(below).is_none());
    assert!(matches!(registry().begin(below, kept(), false), Begun::Deferred(..)));
    assert!(registry().urgency(below).is_some() && registry().urgency(above).is_none());
    let stats = registry().stats(&node);
    assert_eq!((stats.live, stats.deferred), (3, 1));
    assert_eq!(stats.by_priority[Priority::Medium as usize], (Priority::Medium, 3));
    assert_eq!(stats.by_category.iter().collect::<Vec<_>>(), [(Category::Event, 3)]);
    assert!(registry().claim_deferred(below).is_none());
    clean(above);
    assert!(registry().claim_deferred(above).is_none());
    let job = registry().claim_deferred(below).expect("nothing holds it back any more");
    registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
    assert!(!is_there(below) && is_there(above));
}

#[test]
fn what_is_being_cleaned_when_its_guard_lets_go_leaves_its_place_and_what_is_unregistered_then_does_not() {
    let node = manager();
    for (by_its_guard, stays) in [(true, false), (false, true)] {
        let id = put(&node);
        let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
        if by_its_guard {
            assert!(registry().release(id).scraps.is_none());
        } else {
            assert!(matches!(registry().unregister(&node, id), Ok(None)));
        }
        assert_eq!(registry().state(id), ResourceState::Cleaning);
        registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
        assert_eq!(is_there(id), stays);
    }
}

#[test]
fn what_is_unregistered_keeps_its_place_for_its_guard_and_what_is_released_has_none() {
    let node = manager();
    let (released, unregistered, leaked) = (put(&node), put(&node), put(&node));
    assert!(registry().leak(leaked, kept()).is_none());
    assert!(registry().release(released).scraps.is_some());
    for id in [unregistered, leaked] {
        let Ok(Some(finished)) = registry().unregister(&node, id) else { panic!("nothing needs it") };
        assert!(finished.scraps.is_some());
    }
    assert_eq!([released, unregistered, leaked].map(is_there), [false, true, false]);
    assert_eq!(registry().state(unregistered), ResourceState::Released);
    // A value comes back that nothing is left to keep.
    assert!(registry().keep(unregistered, kept()).is_some());
    let scraps = registry().release(unregistered).scraps;
    assert!(scraps.is_some() && !is_there(unregistered));
}

#[test]
fn a_name_is_forgotten_with_its_resource_unless_another_has_it_by_then() {
    let (node, name) = (manager(), Label::from("pool"));
    let (first, second) = (named(&node, &name), named(&node, &name));
    let holder = || node.names.lock().get(&name).copied();
    node.names.lock().insert(name.clone(), second);
    clean(first);
    assert_eq!(holder(), Some(second));
    drop(registry().release(second));
    assert_eq!(holder(), None);
}

#[test]
fn the_metadata_of_what_is_live_is_shown_and_of_nothing_else() {
    let node = manager();
    let key = "only of this test";
    let ids = [1, 2].map(|number| {
        let mut extra: Box<Extra> = Box::default();
        extra.metadata.set(Label::from(key), MetadataValue::Integer(number));
        registry().insert(&node, Draft { extra: Some(extra), ..draft() }, Phase::Live, false)
    });
    let shown = || {
        let mut found = Vec::new();
        registry().each_metadata(|metadata| found.extend(metadata.get(key).cloned()));
        found
    };
    assert_eq!(shown().len(), 2);
    clean(ids[0]);
    assert!(is_there(ids[0]));
    assert_eq!(shown(), [MetadataValue::Integer(2)]);
}

#[test]
fn what_finds_its_shard_full_is_kept_in_another() {
    let node = manager();
    let full = put(&node).shard() as u32;
    // Before it was looked for another: nothing in a list may be older than what was put there first.
    let created = Coarse::from_start(Duration::ZERO);
    let before = Coarse::now();
    let (phase, era) = (Phase::Live, crate::fork::era());
    let new = Newcomer { created, turn: 0, era, phase, linked: false };
    let id = registry().insert_elsewhere(full, &node, draft(), new);
    assert_ne!(id.shard() as u32, full);
    assert!(registry().with(id, |entry| entry.created).is_some_and(|created| created >= before));
    assert!(registry().is_live(id));
    clean(id);
    assert_eq!(registry().stats(&node).cleaned, 1);
}
