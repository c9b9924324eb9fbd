use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::*;
use crate::clock::Coarse;
use crate::fork;
use crate::id::Stamp;
use crate::registry::entry::Newcomer;
use crate::report::{Record, SkipReason, TeardownReport};
use crate::teardown::pressure::{Slicer, can_do, in_slices, keep, largest, stopped};

fn slicer(node: &Arc<Node>, force: bool) -> Slicer<'_> {
    Slicer { node, selection: Selection::default(), force, horizon: registry().horizon() }
}

/// The newest that nothing holds back, at most so many.
fn free(slicer: &Slicer<'_>, most: usize) -> HashSet<ResourceId> {
    let graph = slicer.node.tree.graph.lock();
    let free = slicer.free(&graph, &slicer.node.subtree(), most);
    free.into_iter().map(|(_, id)| id).collect()
}

fn slices(node: &Arc<Node>, options: &Options) -> TeardownReport {
    in_slices(node, &Selection::default(), options, Instant::now(), &mut None)
}

#[test]
fn few_are_done_without_asking_and_more_than_there_can_be_are_refused() {
    assert!(can_do(256) && can_do(1_000) && !can_do(usize::MAX));
}

#[test]
fn a_slice_is_the_largest_half_of_a_half_that_fits_and_never_less_than_is_done_without_asking() {
    let fits = |limit: usize| move |most: usize| most <= limit;
    assert_eq!(largest(10_000, fits(10_000)), 10_000);
    assert_eq!(largest(10_000, fits(9_999)), 5_000);
    assert_eq!(largest(10_000, fits(1_300)), 1_250);
    assert_eq!([largest(10_000, fits(300)), largest(10_000, fits(0)), largest(3, fits(3))], [256; 3]);
}

#[test]
fn a_slice_has_so_many_and_no_more() {
    let node = manager();
    let pool = put(&node);
    for _ in 0..4 {
        put_above(&node, pool);
    }
    let chosen = |most| slicer(&node, false).slice_of(most).items.len();
    assert_eq!([1, 3, 4, 5, 6].map(chosen), [1, 3, 4, 5, 5]);
}

#[test]
fn of_many_the_newest_are_kept() {
    let mut newest = BinaryHeap::new();
    for number in [3, 1, 5, 2, 4] {
        keep(&mut newest, (Stamp { turn: 0, shard: 0, number }, ResourceId(number)), 3);
    }
    let kept: Vec<u64> = newest.into_sorted_vec().iter().map(|Reverse((stamp, _))| stamp.number).collect();
    assert_eq!(kept, [5, 4, 3]);
}

#[test]
fn what_nothing_holds_back_is_free_and_by_force_what_nothing_that_was_selected_does() {
    let node = manager();
    let [old, pool, other] = [(); 3].map(|()| put(&node));
    let server = put_above(&node, pool);
    let mut slicer = slicer(&node, false);
    assert_eq!(free(&slicer, 9), HashSet::from([old, other, server]));
    assert_eq!(free(&slicer, 2), HashSet::from([other, server]));
    slicer.selection.not_ids.insert(server);
    assert_eq!(free(&slicer, 9), HashSet::from([old, other]));
    slicer.force = true;
    assert_eq!(free(&slicer, 9), HashSet::from([old, other, pool]));
    slicer.selection.not_ids.clear();
    assert_eq!(free(&slicer, 9), HashSet::from([old, other, server]));
}

/// One in this shard, which is 0 or 1, as if it had been registered in this turn.
fn put_in(node: &Arc<Node>, shard: u32, turn: u64) -> ResourceId {
    let (created, era) = (Coarse::now(), fork::era());
    let new = Newcomer { created, turn, era, phase: Phase::Live, linked: false };
    registry().insert_elsewhere(1 - shard, node, labelled("one"), new)
}

#[test]
fn the_newest_are_those_of_any_shard() {
    for shards in [[0, 1, 0], [1, 0, 1]] {
        let node = manager();
        let in_turn = |(turn, shard): (u64, u32)| [(); 5].map(|()| put_in(&node, shard, turn));
        let ids: Vec<ResourceId> = (1..).zip(shards).flat_map(in_turn).collect();
        let newest: HashSet<ResourceId> = ids[8..].iter().copied().collect();
        assert_eq!(free(&slicer(&node, false), 7), newest);
    }
}

#[test]
fn what_registers_after_the_first_slice_or_was_excluded_is_in_none() {
    let node = manager();
    let (before, excluded) = (put(&node), put(&node));
    let mut slicer = slicer(&node, false);
    let after = put(&node);
    slicer.selection.not_ids.insert(excluded);
    assert!(slicer.stamp(before).is_some());
    assert!(slicer.stamp(after).is_none() && slicer.stamp(excluded).is_none());
}

#[test]
fn a_slice_has_what_it_sets_free_itself_after_what_held_that_back() {
    let node = manager();
    let pool = put(&node);
    let (one, other) = (put_above(&node, pool), put_above(&node, pool));
    let held = put(&node);
    let outside = put_above(&node, held);
    let mut slicer = slicer(&node, false);
    slicer.selection.not_ids.insert(outside);
    let ids: Vec<ResourceId> = slicer.slice().items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [other, one, pool]);
    slicer.force = true;
    let ids: Vec<ResourceId> = slicer.slice().items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [held, other, one, pool]);
}

#[test]
fn in_a_slice_what_is_newer_than_all_that_needs_it_comes_after_the_last_of_them() {
    let node = manager();
    let (one, other, pool) = (put(&node), put(&node), put(&node));
    for above in [one, other] {
        registry().add_dependency(&node, above, pool).expect("both are live");
    }
    let ids: Vec<ResourceId> = slicer(&node, false).slice().items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [other, one, pool]);
}

#[test]
fn a_slice_is_as_large_as_there_is_memory_for() {
    let node = manager();
    for _ in 0..600 {
        put(&node);
    }
    assert_eq!(slicer(&node, false).slice().items.len(), 600);
}

#[test]
fn what_did_not_end_and_lives_on_is_in_no_later_slice() {
    let node = manager();
    let [stuck, cleaned, gone] = [(); 3].map(|()| put(&node));
    let run = run(&node, options());
    let mut state = run.state();
    let times = (Duration::ZERO, Duration::ZERO);
    for (id, status) in
        [(stuck, TIMED_OUT), (cleaned, Status::Over(ResourceOutcome::Cleaned)), (gone, TIMED_OUT)]
    {
        state.resolve(&run.line, index(&run, id), status, times, false);
    }
    drop(state);
    drop(registry().release(gone));
    let mut slicer = slicer(&node, false);
    assert!(slicer.give_up(&run.report()).is_ok());
    assert_eq!(slicer.selection.not_ids, HashSet::from([stuck]));
}

#[test]
fn what_is_left_is_behind_what_is_outside_or_else_behind_what_is_left_too() {
    let node = manager();
    let [pool, both] = [(); 2].map(|()| put(&node));
    let behind = put_above(&node, pool);
    let outside = put_above(&node, behind);
    for above in [behind, outside] {
        registry().add_dependency(&node, above, both).expect("both are live");
    }
    let mut slicer = slicer(&node, false);
    slicer.selection.not_ids.insert(outside);
    let one = || vec![Label::from("one")];
    assert_eq!(slicer.held_back(pool), SkipReason::BehindSkipped { dependents: one() });
    assert_eq!(slicer.held_back(behind), SkipReason::DependentOutside { dependents: one() });
    assert_eq!(slicer.held_back(both), SkipReason::DependentOutside { dependents: one() });
    let mut report = TeardownReport::new(node.name.clone(), Vec::new(), Duration::ZERO);
    slicer.list_rest(&mut report, None);
    assert_eq!((report.skipped().len(), report.processed()), (3, 3));
    assert!(report.skipped().iter().all(|skipped| skipped.id != outside));
}

#[test]
fn of_many_that_hold_something_back_some_are_named() {
    let node = manager();
    let pool = put(&node);
    for _ in 0..300 {
        put_above(&node, pool);
    }
    let SkipReason::BehindSkipped { dependents } = slicer(&node, false).held_back(pool) else {
        panic!("all of them are selected")
    };
    assert_eq!(dependents.len(), 256);
}

#[test]
fn in_slices_all_is_done_or_listed_as_left_for_the_same_reason() {
    let failing = || Draft { work: work(|| Err::<(), _>("no disk")), ..labelled("one") };
    for (stop_on_error, deadline, cleaned) in
        [(false, None, 2), (true, None, 1), (false, Some(Duration::ZERO), 0)]
    {
        let node = manager();
        put(&node);
        registry().insert(&node, failing(), Phase::Live, false);
        put(&node);
        let report = slices(&node, &Options { stop_on_error, deadline, ..options() });
        let failed = usize::from(deadline.is_none());
        assert_eq!((report.cleaned(), report.failed(), report.processed()), (cleaned, failed, 3));
        let reason = if stop_on_error { SkipReason::StoppedOnError } else { SkipReason::DeadlinePassed };
        assert!(report.skipped().iter().all(|skipped| skipped.reason == reason));
        assert_eq!(report.skipped().len(), 3 - cleaned - failed);
    }
}

/// A report of one resource that ended like this.
fn slice_of(outcome: ResourceOutcome, skipped: Option<SkipReason>) -> TeardownReport {
    let record = Record {
        id: ResourceId(1),
        label: Label::from("one"),
        category: Category::Event,
        created_at: Location::caller(),
        lived: Duration::ZERO,
        outcome,
        started: Duration::ZERO,
        duration: Duration::ZERO,
        error: None,
        skipped,
        after_failed: None,
        note: None,
        waited_for: None,
    };
    TeardownReport::new(Label::from("m"), [record], Duration::ZERO)
}

#[test]
fn after_a_slice_in_which_something_failed_no_other_begins_where_that_was_asked_for() {
    let failures = [ResourceOutcome::Failed, ResourceOutcome::Panicked, ResourceOutcome::TimedOut];
    for outcome in failures {
        assert_eq!(stopped(&mut slice_of(outcome, None), true), Some(SkipReason::StoppedOnError));
        assert_eq!(stopped(&mut slice_of(outcome, None), false), None);
    }
    assert_eq!(stopped(&mut slice_of(ResourceOutcome::Cleaned, None), true), None);
}

#[test]
fn what_a_slice_skipped_comes_again_unless_that_holds_for_all_that_is_left() {
    let behind = SkipReason::BehindSkipped { dependents: vec![Label::from("other")] };
    let outside = SkipReason::DependentOutside { dependents: vec![Label::from("other")] };
    let reasons = [
        (SkipReason::DeadlinePassed, true),
        (SkipReason::StoppedOnError, true),
        (behind, false),
        (outside, false),
    ];
    for (reason, holds) in reasons {
        let mut slice = slice_of(ResourceOutcome::Skipped, Some(reason.clone()));
        assert_eq!(stopped(&mut slice, true), holds.then_some(reason));
        assert_eq!(slice.processed(), 0);
    }
}
