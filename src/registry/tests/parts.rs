//! The parts of the registry, each by itself: ids, what is counted, turns, queues, pages.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{child, draft, manager};
use crate::clock::Coarse;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::id::{Label, ResourceId};
use crate::registry::entry::Phase;
use crate::registry::evidence::Evidence;
use crate::registry::queue::Queue;
use crate::registry::shard::Shard;
use crate::registry::slab::Key;
use crate::registry::stall::Stall;
use crate::registry::tree::Totals;
use crate::registry::turns::{Turn, Turns};
use crate::registry::{id_of, registry};
use crate::resource::Category;

#[test]
fn an_id_says_the_shard_and_the_use_of_the_slot_and_so_does_that_of_the_next_use() {
    for shard in [0, 5, 63] {
        for index in [0, 77, (1 << 26) - 1] {
            for generation in [1, 9, u32::MAX - 1] {
                let id = id_of(shard, Key { index, generation });
                assert_eq!((id.shard(), id.key()), (shard as usize, Key { index, generation }));
                let next = id.renewed();
                let key = Key { index, generation: generation + 1 };
                assert_eq!((next.shard(), next.key()), (shard as usize, key));
            }
        }
    }
}

#[test]
fn each_way_to_end_is_counted_by_itself_and_no_other_phase_is() {
    let mut totals = Totals::default();
    let often = [(Phase::Cleaned, 2), (Phase::Failed, 3), (Phase::TimedOut, 4), (Phase::Released, 5)];
    for (phase, times) in often {
        (0..times).for_each(|_| totals.count(phase));
    }
    for phase in [Phase::Entering, Phase::Live, Phase::Deferred, Phase::Cleaning] {
        totals.count(phase);
    }
    let expected = Totals { registered: 0, cleaned: 2, failed: 3, timed_out: 4, released: 5 };
    assert_eq!(totals, expected);
}

#[test]
fn what_a_manager_has_counted_goes_to_its_parent_once() {
    let parent = manager();
    let child = child("c", &parent);
    let counted = Totals { registered: 20, cleaned: 7, failed: 5, timed_out: 3, released: 2 };
    child.add_totals(counted);
    child.latencies.lock().record(Duration::from_millis(1), 1);
    for _ in 0..2 {
        child.give_totals(&parent);
        assert_eq!(parent.folded.lock().all, counted);
        assert_eq!(parent.latencies.lock().summary().count(), 1);
    }
    child.add_totals(Totals { registered: 9, cleaned: 8, failed: 6, timed_out: 4, released: 3 });
    child.give_totals(&parent);
    let all = Totals { registered: 29, cleaned: 15, failed: 11, timed_out: 7, released: 5 };
    assert_eq!((parent.folded.lock().all, child.folded.lock().all), (all, all));
    // What has been handed on is still the manager's own.
    assert_eq!(child.latencies.lock().summary().count(), 1);
}

#[test]
fn a_manager_is_above_itself_and_all_below_it_and_lists_parents_before_children() {
    let root = manager();
    let (one, other) = (child("c", &root), child("c", &root));
    let below = child("c", &one);
    assert!(below.is_within(&below) && below.is_within(&one) && below.is_within(&root));
    assert!(!below.is_within(&other) && !one.is_within(&below));
    let listed: Vec<_> = root.subtree().iter().map(|node| node.id).collect();
    assert_eq!(listed, [root.id, one.id, other.id, below.id]);
}

#[test]
fn a_turn_is_new_when_another_registers_and_the_same_while_nobody_else_does() {
    let (turns, now) = (Turns::new(), Coarse::now());
    let (mut one, mut other) = (Turn::default(), Turn::default());
    assert_eq!([0, 0].map(|_| turns.take(0, now, &mut one)), [0, 0]);
    assert_eq!([1, 1].map(|_| turns.take(65_535, now, &mut other)), [1, 1]);
    assert_eq!([2, 2].map(|_| turns.take(0, now, &mut one)), [2, 2]);
}

#[test]
fn one_teardown_at_a_time_has_the_turn_and_does_what_is_asked_of_it_meanwhile() {
    let (queue, done) = (Queue::default(), Arc::new(AtomicUsize::new(0)));
    let request = || {
        let done = done.clone();
        Box::new(move || {
            done.fetch_add(1, Relaxed);
        })
    };
    assert!(!queue.may_be_busy() && queue.ask(request()).is_err());
    let turn = queue.enter(None).expect("nobody has it");
    assert!(queue.may_be_busy() && queue.enter(Some(Instant::now())).is_none());
    assert!(queue.ask(request()).is_ok() && queue.enter_or_ask(request()).is_none());
    assert_eq!(done.load(Relaxed), 0);
    drop(turn);
    assert_eq!((done.load(Relaxed), queue.may_be_busy()), (2, false));
    let turn = queue.enter_or_ask(request());
    assert!(turn.is_some() && queue.may_be_busy());
    drop(turn);
    assert_eq!(done.load(Relaxed), 2);
    assert!(queue.enter(Some(Instant::now() + Duration::from_secs(1))).is_some());
}

#[test]
fn who_has_time_waits_for_the_turn_until_it_is_let_go() {
    let queue = &Queue::default();
    let turn = queue.enter(None).expect("nobody has it");
    thread::scope(|scope| {
        let later = Instant::now() + Duration::from_secs(60);
        let [bounded, unbounded] =
            [Some(later), None].map(|until| scope.spawn(move || queue.enter(until).is_some()));
        // It may come before they do: then they do not wait, and all is well just the same.
        thread::sleep(Duration::from_millis(20));
        drop(turn);
        for waited in [bounded, unbounded] {
            assert!(waited.join().expect("it only waits"));
        }
    });
    assert!(!queue.may_be_busy());
}

#[test]
fn a_place_that_was_left_is_the_next_to_be_taken() {
    let mut shard = Shard::new(1);
    let threads: Vec<u32> = (0..3).map(|_| shard.begin_thread(Label::from("t"))).collect();
    assert_eq!(threads, [0, 1, 2]);
    shard.end_thread(1);
    let stall: &mut Stall<_> = &mut shard.threads;
    assert!(stall.get(1).is_none() && stall.get_mut(1).is_none() && stall.get(2).is_some());
    assert!(stall.take(1).is_none() && stall.get(3).is_none());
    assert_eq!([(); 2].map(|()| shard.begin_thread(Label::from("t"))), [1, 3]);
}

#[test]
fn the_first_failures_are_kept_and_the_others_are_counted() {
    let evidence = Evidence::new(false);
    for _ in 0..23 {
        evidence.keep(&CleanupError {
            id: ResourceId::NONE,
            label: Label::from("lost"),
            category: Category::Event,
            kind: CleanupErrorKind::Cancelled,
            created_at: Location::caller(),
            elapsed: Duration::ZERO,
        });
    }
    let unheard = evidence.take();
    assert_eq!((unheard.first.len(), unheard.more), (20, 3));
    let unheard = evidence.take();
    assert_eq!((unheard.first.len(), unheard.more), (0, 0));
}

#[test]
fn a_look_at_many_shows_each_of_them_once_the_newest_first() {
    let node = manager();
    let mut ids: Vec<ResourceId> =
        (0..700).map(|_| registry().insert(&node, draft(), Phase::Live, false)).collect();
    let (mut in_parts, mut at_once) = (Vec::new(), Vec::new());
    registry().scan(&node, |found| in_parts.push(found.id));
    registry().scan_without_memory(&node, |found| at_once.push(found.id));
    in_parts.reverse();
    at_once.reverse();
    assert_eq!((&in_parts, &at_once), (&ids, &ids));
    // A look leaves nothing among them.
    for id in ids.drain(..) {
        assert!(registry().take_back(id).is_some());
    }
    assert_eq!(registry().live_count(&node), 0);
    registry().scan(&node, |_| panic!("nothing is left"));
}

#[test]
fn something_may_be_live_where_something_is_or_below_and_else_it_is_not() {
    let parent = manager();
    let child = child("c", &parent);
    assert!(!registry().may_be_live(&parent));
    let id = registry().insert(&child, draft(), Phase::Live, false);
    assert!(registry().may_be_live(&child) && registry().may_be_live(&parent));
    assert!(registry().take_back(id).is_some());
    assert!(!registry().may_be_live(&parent));
    let _held = child.children.lock();
    assert!(registry().may_be_live(&parent));
}

#[test]
fn a_thread_that_has_ended_is_no_longer_known_to_any_shard() {
    let named = |name: &str| thread::Builder::new().name(String::from(name));
    let known = || {
        let shards = registry().shards.iter();
        shards
            .map(|shard| shard.lock().threads.iter().filter(|one| one.label == "comes and goes").count())
            .sum()
    };
    let node = manager();
    let registers = named("comes and goes").spawn(move || {
        let id = registry().insert(&node, draft(), Phase::Live, false);
        let known_here: usize = known();
        assert!(registry().take_back(id).is_some());
        known_here
    });
    let while_it_lived = registers.expect("there is room for a thread").join().expect("it only registers");
    assert_eq!((while_it_lived, known()), (1, 0));
}

#[test]
fn a_manager_is_sealed_at_once_with_all_below_it_unless_somebody_holds_its_names() {
    let parent = manager();
    let child = child("c", &parent);
    let held = child.names.lock();
    assert!(!parent.try_seal());
    drop(held);
    assert!(parent.try_seal() && parent.is_sealed() && child.is_sealed());
    assert!(!manager().is_sealed());
}

#[test]
fn a_manager_that_its_sealed_parent_did_not_list_yet_is_sealed_when_it_does() {
    let parent = manager();
    let child = child("c", &parent);
    child.seal_as_its_parent();
    assert!(!child.is_sealed());
    parent.sealed.store(true, Relaxed);
    assert!(!child.is_sealed());
    child.seal_as_its_parent();
    assert!(child.is_sealed());
}

#[test]
fn what_registers_later_is_beyond_the_horizon_of_now() {
    let node = manager();
    let put = || registry().insert(&node, draft(), Phase::Live, false);
    let number = |id| registry().with(id, |entry| entry.number).expect("it is live");
    let before = put();
    let horizon = registry().horizon();
    let after = put();
    assert_eq!(before.shard(), after.shard());
    assert!(number(before) <= horizon[before.shard()]);
    assert!(horizon[after.shard()] <= number(after));
}

#[cfg(feature = "tokio")]
mod handed_over {
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;
    use crate::registry::tally::Tally;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_waits_for_all_that_was_handed_over_is_woken_once_when_the_last_has_ended() {
        let (tally, woken) = (Tally::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let poll = || tally.poll_none(&Context::from_waker(&waker));
        assert_eq!(poll(), Poll::Ready(()));
        tally.begin();
        tally.begin();
        assert_eq!((poll(), poll()), (Poll::Pending, Poll::Pending));
        tally.end();
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Pending, 0));
        tally.end();
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Ready(()), 1));
        tally.begin();
        tally.end();
        assert_eq!(woken.0.load(Relaxed), 1);
    }
}
