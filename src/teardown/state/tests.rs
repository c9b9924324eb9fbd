//! The bookkeeping of a teardown, step by step, without threads or a clock.

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::clock::Coarse;
use crate::graph::{Chosen, Graph, Place, Unit};
use crate::id::{Label, ManagerId, ResourceId, Stamp};
use crate::resource::{Category, Priority};
use crate::teardown::active::Stage;
use crate::teardown::choose::Item;

const NOTHING: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);
const CLEANED: Status = Status::Over(ResourceOutcome::Cleaned);

fn stamp(number: u64) -> Stamp {
    Stamp { turn: 0, shard: 0, number }
}

fn id(index: usize) -> ResourceId {
    ResourceId(index as u64 + 1)
}

/// A plain item of a manager of its own kind; the one with the lowest index is the newest.
fn item(index: usize) -> Item {
    Item {
        id: id(index),
        label: Label::from("item"),
        category: Category::Event,
        priority: Priority::Medium,
        created_at: Location::caller(),
        created: Coarse::now(),
        stamp: stamp(1_000_000 - index as u64),
        manager: ManagerId(0),
        limit: Duration::MAX,
        has_last_resort: false,
        is_async: false,
    }
}

fn items(count: usize) -> Vec<Item> {
    (0..count).map(item).collect()
}

/// The line and the state of a teardown of these, where the first of each pair depends on the second.
fn begin(items: &[Item], needs: &[(usize, usize)], concurrency: usize) -> (Line, State) {
    let mut graph = Graph::default();
    for (dependent, dependency) in needs.iter().map(|(above, below)| (id(*above), id(*below))) {
        let units = (Unit::Resource(dependent), Unit::Resource(dependency));
        assert_eq!(graph.connect(dependent, dependency, units), Ok(()));
    }
    let chosen = |item: &Item| Chosen {
        id: item.id,
        manager: item.manager,
        priority: item.priority,
        stamp: item.stamp,
    };
    let chosen: Vec<Chosen> = items.iter().map(chosen).collect();
    let root = Place { manager: ManagerId(0), parent: None, stamp: stamp(0) };
    let line = Line::new(graph.order(&[root], &chosen, false), items, concurrency);
    let state = State::new(&line, items.len());
    (line, state)
}

fn active(index: u32, runner: Runner) -> Active {
    Active {
        runner,
        index: Some(index),
        started: Instant::now(),
        limit: None,
        patience: None,
        notice: None,
        left: false,
        overtaken: false,
        stage: Stage::Foreign,
    }
}

fn start(state: &mut State, line: &Line, index: u32) -> u64 {
    let number = state.number();
    state.results[index as usize].status = Status::Started;
    state.start(line, number, active(index, Runner::Thread));
    number
}

/// What a worker would do next: the items of a stretch, or the one item.
fn next(state: &mut State, line: &Line, alone: bool) -> (Vec<u32>, bool) {
    match state.next(line, alone) {
        None => (Vec::new(), false),
        Some(Task::Stretch(items)) => (items, true),
        Some(Task::Clean(index)) => (vec![index], false),
        Some(Task::Force(_) | Task::Free(_)) => panic!("nothing was given up or set free"),
    }
}

fn resolve(state: &mut State, line: &Line, index: u32, took: u64) {
    state.resolve(line, index, CLEANED, (Duration::ZERO, Duration::from_millis(took)), false);
}

#[test]
fn a_stretch_of_several_at_once_leaves_the_others_their_share() {
    let (line, mut state) = begin(&items(12), &[], 2);
    assert_eq!(next(&mut state, &line, false), (vec![0], true));
    // Eleven are left.
    for (pace, expected) in [(2, vec![1, 2]), (4, vec![3, 4, 5, 6]), (8, vec![7, 8]), (16, vec![9])] {
        state.keep_pace(Some(Duration::from_micros(1)), 1, true);
        assert_eq!(state.pace, pace);
        assert_eq!(next(&mut state, &line, false), (expected, true));
    }
}

#[test]
fn a_stretch_grows_while_its_cleanups_are_quick_up_to_a_bound_and_is_short_again_when_they_are_not() {
    let (line, mut state) = begin(&items(1_000), &[], 2);
    for _ in 0..10 {
        // Just under two microseconds each.
        state.keep_pace(Some(Duration::from_nanos(5_999)), 3, true);
    }
    assert_eq!(next(&mut state, &line, false).0.len(), 64);
    state.keep_pace(Some(Duration::from_micros(6)), 3, true);
    assert_eq!(next(&mut state, &line, false).0.len(), 1);
    state.keep_pace(Some(Duration::ZERO), 1, true);
    state.keep_pace(None, 0, true);
    assert_eq!(next(&mut state, &line, false).0.len(), 1);
}

#[test]
fn what_stopped_a_stretch_is_done_alone_and_then_there_are_stretches_again() {
    let (line, mut state) = begin(&items(5), &[], 1);
    state.keep_pace(None, 0, false);
    assert_eq!(next(&mut state, &line, false), (vec![0], false));
    resolve(&mut state, &line, 0, 1);
    assert_eq!(next(&mut state, &line, false), (vec![1, 2, 3, 4], true));
}

#[test]
fn what_was_left_running_is_looked_at_for_its_limit_and_no_more_for_the_patience_of_the_run() {
    let now = Instant::now();
    let moment = |millis| Some(now + Duration::from_millis(millis));
    let (patience, limit) = (moment(5), moment(9));
    let mut active = Active { limit, patience, ..active(0, Runner::Thread) };
    assert_eq!(active.alarm(), patience);
    active.left = true;
    assert_eq!(active.alarm(), limit);
    active.notice = moment(7);
    assert_eq!(active.alarm(), active.notice);
}

#[test]
fn the_supervisor_sleeps_past_what_comes_before_its_alarm_and_past_everything_without_one() {
    let (_, mut state) = begin(&items(1), &[], 1);
    let alarm = Instant::now();
    let (before, after) = (alarm - Duration::from_millis(1), alarm + Duration::from_millis(1));
    assert!(state.sleeps_past(Some(after)) && !state.sleeps_past(None));
    state.alarm = Some(alarm);
    let moments = [None, Some(before), Some(alarm), Some(after)];
    assert_eq!(moments.map(|moment| state.sleeps_past(moment)), [false, true, false, false]);
}

#[cfg(feature = "tokio")]
#[test]
fn what_awaits_is_given_to_who_asks_for_that_once_and_nothing_else_is() {
    let mut all = items(3);
    (all[0].is_async, all[1].is_async) = (true, true);
    let (line, mut state) = begin(&all, &[], 4);
    assert_eq!([(); 3].map(|()| state.next_async(&line)), [Some(0), Some(1), None]);
    assert_eq!(next(&mut state, &line, true), (vec![2], false));
}

#[test]
fn who_is_to_go_alone_is_given_one_at_a_time() {
    let (line, mut state) = begin(&items(3), &[], 1);
    assert_eq!(next(&mut state, &line, true), (vec![0], false));
}

#[test]
fn a_sequential_stretch_ends_before_what_is_not_like_most_and_begins_where_the_last_one_ended() {
    let mut all = items(6);
    all[3].has_last_resort = true;
    let (line, mut state) = begin(&all, &[], 1);
    assert_eq!(next(&mut state, &line, false), (vec![0, 1, 2], true));
    for index in 0..3 {
        state.settle(&line, index, NOTHING);
    }
    assert_eq!(next(&mut state, &line, false), (vec![3], false));
    assert_eq!(state.next_place, 3);
    resolve(&mut state, &line, 3, 1);
    assert_eq!(next(&mut state, &line, false), (vec![4, 5], true));
    assert_eq!(state.next_place, 4);
}

#[test]
fn a_sequential_stretch_is_no_longer_than_its_bound() {
    let (line, mut state) = begin(&items(1_100), &[], 1);
    assert_eq!(next(&mut state, &line, false).0.len(), 1_024);
}

#[test]
fn one_after_the_other_nothing_starts_while_something_runs() {
    let (line, mut state) = begin(&items(3), &[], 1);
    let number = start(&mut state, &line, 0);
    state.take_away(&line, 0);
    assert_eq!(next(&mut state, &line, false), (vec![], false));
    assert!(!state.has_work(&line));
    // What is left running does not count, and no stretch is begun beside it.
    state.workers = 1;
    state.leave(&line, number);
    assert_eq!(state.workers, 0);
    assert_eq!(next(&mut state, &line, false), (vec![1], false));
}

#[test]
fn a_class_is_not_begun_while_one_before_it_runs_and_is_when_all_of_that_has_ended() {
    let mut all = items(4);
    (all[0].priority, all[1].priority) = (Priority::High, Priority::High);
    let (line, mut state) = begin(&all, &[], 3);
    assert_eq!(next(&mut state, &line, true), (vec![0], false));
    let first = start(&mut state, &line, 0);
    assert_eq!(next(&mut state, &line, true), (vec![1], false));
    let second = start(&mut state, &line, 1);
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    assert!(state.end(&line, first).is_some());
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    assert!(state.end(&line, second).is_some());
    assert_eq!(next(&mut state, &line, true), (vec![2], false));
}

#[test]
fn what_is_more_urgent_than_what_runs_may_start_beside_it() {
    let mut all = items(3);
    all[1].priority = Priority::High;
    let (line, mut state) = begin(&all, &[], 2);
    start(&mut state, &line, 0);
    state.take_away(&line, 0);
    assert_eq!(next(&mut state, &line, true), (vec![1], false));
}

#[test]
fn no_more_run_at_once_than_were_asked_for_and_what_somebody_else_runs_is_none_of_them() {
    let (line, mut state) = begin(&items(6), &[], 2);
    let elsewhere = state.number();
    state.start(&line, elsewhere, active(0, Runner::Elsewhere));
    state.take_away(&line, 0);
    assert_eq!((state.elsewhere(0), state.elsewhere(1)), (Some(elsewhere), None));
    for index in [1, 2] {
        assert_eq!(next(&mut state, &line, true), (vec![index], false));
        start(&mut state, &line, index);
    }
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    assert!(state.end(&line, elsewhere).is_some());
    assert_eq!(state.elsewhere(0), None);
    assert_eq!(next(&mut state, &line, true), (vec![], false));
}

#[test]
fn a_number_is_given_once() {
    let (_, mut state) = begin(&items(1), &[], 1);
    let numbers = [(); 3].map(|()| state.number());
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn one_thread_is_wanted_for_all_that_await_and_one_for_each_of_the_others() {
    let mut all = items(5);
    all[..3].iter_mut().for_each(|item| item.is_async = true);
    let (line, mut state) = begin(&all, &[], 4);
    assert_eq!((state.wanted(&line), state.room(&line)), (3, 4));
    state.workers = 3;
    assert_eq!(state.room(&line), 1);
    state.take_away(&line, 3);
    assert_eq!(state.wanted(&line), 2);
    state.take_away(&line, 3);
    assert_eq!((state.ready_in_all, state.ready_async), (4, 3));
    for index in 0..3 {
        state.take_away(&line, index);
    }
    assert_eq!((state.wanted(&line), state.ready_in_all, state.ready_async), (1, 1, 0));
    state.give_back(&line, 0);
    state.give_back(&line, 0);
    assert_eq!((state.wanted(&line), state.ready_in_all, state.ready_async), (2, 2, 1));
}

#[test]
fn no_more_threads_are_wanted_than_may_run_at_once_but_for_what_was_given_up() {
    let (line, mut state) = begin(&items(40), &[], 2);
    assert_eq!((state.wanted(&line), state.room(&line)), (2, 2));
    state.tasks.extend((0..5).map(Task::Clean));
    assert_eq!((state.wanted(&line), state.room(&line)), (5, 5));
    state.tasks.extend((5..40).map(Task::Clean));
    assert_eq!((state.wanted(&line), state.room(&line)), (16, 16));
    state.workers = 15;
    assert_eq!(state.room(&line), 1);
}

#[test]
fn there_is_more_work_where_something_is_left_beside_what_somebody_does_himself() {
    let (line, mut state) = begin(&items(2), &[], 2);
    assert!(state.has_more_work(&line, 0) && state.has_more_work(&line, 1));
    assert!(!state.has_more_work(&line, 2));
    state.take_away(&line, 0);
    assert!(state.has_more_work(&line, 0) && !state.has_more_work(&line, 1));
    state.tasks.push_back(Task::Clean(0));
    assert!(state.has_more_work(&line, 1) && !state.has_more_work(&line, 2));
    state.tasks.clear();
    // Ready, but for nobody.
    start(&mut state, &line, 0);
    start(&mut state, &line, 0);
    assert!(!state.has_more_work(&line, 0) && !state.has_work(&line));
}

#[test]
fn what_was_waited_for_last_is_the_end_of_the_longest_chain() {
    for (first, second, longest) in [(5, 3, 0), (3, 5, 1), (4, 4, 1)] {
        let (line, mut state) = begin(&items(3), &[(0, 2), (1, 2)], 2);
        resolve(&mut state, &line, 0, first);
        assert_eq!(state.results[2].waited_for, NOBODY);
        resolve(&mut state, &line, 1, second);
        assert_eq!(state.results[2].waited_for, longest, "{first} {second}");
    }
}

#[test]
fn a_chain_is_as_long_as_all_its_cleanups_together() {
    // 0 before 1 before 3, and 2 before 3.
    let (line, mut state) = begin(&items(4), &[(0, 1), (1, 3), (2, 3)], 2);
    resolve(&mut state, &line, 0, 4);
    resolve(&mut state, &line, 1, 4);
    resolve(&mut state, &line, 2, 6);
    assert_eq!(state.results[3].waited_for, 1);
}

#[test]
fn what_is_found_to_stand_behind_others_is_ready_when_the_last_of_them_is_over() {
    let (line, mut state) = begin(&items(3), &[], 3);
    for index in 0..3 {
        assert_eq!(next(&mut state, &line, true), (vec![index], false));
        state.results[index as usize].status = Status::Started;
    }
    state.put_behind(2, &[0, 1]);
    assert!(state.has_waiting(&line));
    state.give_back(&line, 2);
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    resolve(&mut state, &line, 0, 1);
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    resolve(&mut state, &line, 1, 1);
    assert_eq!(next(&mut state, &line, true), (vec![2], false));
    assert_eq!(state.results[2].waited_for, 1);
}

#[test]
fn no_sequential_stretch_is_begun_while_something_stands_behind_what_the_order_does_not_know() {
    let (line, mut state) = begin(&items(3), &[], 1);
    assert_eq!(next(&mut state, &line, true), (vec![0], false));
    state.put_behind(0, &[2]);
    assert_eq!(next(&mut state, &line, false), (vec![1], false));
}

#[test]
fn a_stop_skips_what_has_not_started_and_nothing_else() {
    let (line, mut state) = begin(&items(4), &[(2, 3)], 2);
    assert_eq!(next(&mut state, &line, true), (vec![0], false));
    start(&mut state, &line, 0);
    resolve(&mut state, &line, 1, 1);
    assert_eq!(state.unresolved, 3);
    state.stop(&line, SkipReason::StoppedOnError);
    let skipped = Status::Over(ResourceOutcome::Skipped);
    let statuses: Vec<Status> = state.results.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [Status::Started, CLEANED, skipped, skipped]);
    assert_eq!((state.unresolved, state.has_waiting(&line)), (1, false));
    // The first reason is the one that is told, and nothing is ready any more, whoever gives it back.
    state.stop(&line, SkipReason::DeadlinePassed);
    assert_eq!(state.stopped, Some(SkipReason::StoppedOnError));
    assert_eq!(state.skips.len(), 2);
    state.results[2].status = Status::Waiting;
    state.give_back(&line, 2);
    assert_eq!((state.ready_in_all, state.wanted(&line)), (0, 0));
}

#[test]
fn an_item_is_over_once() {
    let (line, mut state) = begin(&items(2), &[], 1);
    resolve(&mut state, &line, 0, 1);
    state.resolve(&line, 0, Status::Over(ResourceOutcome::Failed), NOTHING, false);
    assert_eq!((state.unresolved, state.results[0].status), (1, CLEANED));
}

#[test]
fn what_was_overtaken_has_let_go_already_of_what_stands_behind_it() {
    let (line, mut state) = begin(&items(3), &[(0, 2), (1, 2)], 2);
    state.release_followers(&line, 0);
    state.resolve(&line, 0, CLEANED, NOTHING, true);
    state.take_away(&line, 0);
    state.take_away(&line, 1);
    assert_eq!(next(&mut state, &line, true), (vec![], false));
    resolve(&mut state, &line, 1, 1);
    assert_eq!(next(&mut state, &line, true).0, [2]);
}

#[test]
fn a_stretch_counts_as_one_of_those_that_run_at_once() {
    let (line, mut state) = begin(&items(6), &[], 2);
    assert!(!state.has_stretches() && state.stretch_numbers().is_empty());
    for worker in [7, 8] {
        assert!(state.has_work(&line));
        let stretch = Arc::new(Stretch::new(vec![worker as u32 - 7], Duration::ZERO));
        state.take_away(&line, worker as u32 - 7);
        state.begin_stretch(&line, worker, stretch);
    }
    assert_eq!((state.stretch_numbers(), state.stretches().count()), (vec![7, 8], 2));
    assert!(!state.has_work(&line) && state.has_stretches());
    assert_eq!(state.end_stretch(&line, 7).and_then(|stretch| stretch.first()), Some(0));
    assert!(state.end_stretch(&line, 7).is_none() && state.stretch(8).is_some());
    assert!(state.has_work(&line));
}
