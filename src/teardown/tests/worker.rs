use super::*;
use crate::registry::Ending;
use crate::registry::relay::{Move, Step};
use crate::report::SkipReason;
use crate::teardown::stretch::Stretch;

#[test]
fn what_others_have_taken_and_not_begun_is_taken_from_them_and_what_they_have_begun_is_not() {
    let node = manager();
    let ids: Vec<ResourceId> = (0..3).map(|_| put(&node)).collect();
    let run = run(&node, Options { concurrency: 3, ..options() });
    let mut state = run.state();
    let items: Vec<u32> = ids.iter().map(|id| index(&run, *id)).collect();
    for (worker, items) in [(7, &items[..1]), (8, &items[1..])] {
        let stretch = Arc::new(Stretch::new(items.to_vec(), Duration::ZERO));
        assert!(stretch.go(Move::Claim, 0));
        items.iter().for_each(|item| state.take_up(&run.line, *item));
        state.begin_stretch(&run.line, worker, stretch);
    }
    // Only what it has not begun is still to be had.
    state.results[items[2] as usize].status = Status::Waiting;
    assert!(run.take_from_others(&mut state));
    assert_eq!(state.stretch_numbers(), [7]);
    assert_eq!((state.numbers(), state.wanted(&run.line)), (vec![8], 1));
    assert!(state.next(&run.line, true).is_some());
    assert!(!run.take_from_others(&mut state));
    assert_eq!(state.stretch_numbers(), [7]);
}

#[test]
fn the_edges_of_what_ends_in_a_stretch_go_with_it_whatever_comes_next() {
    let node = manager();
    let pool = put(&node);
    let server = put_above(&node, pool);
    let alone = put(&node);
    let run = run(&node, options());
    let runner = |id| Some(run.runner(index(&run, id)));
    let relay = |from, to| registry().relay(run.course(), from, to, |_| true);
    assert!(matches!(relay(None, runner(server)), Step::Claimed(_)));
    assert!(node.tree.graph.lock().contains(server));
    assert!(matches!(relay(runner(server), runner(alone)), Step::Claimed(_)));
    assert!(!node.tree.graph.lock().contains(server));
    // Where only what comes next has any, they are looked at too.
    let late = put(&node);
    registry().add_dependency(&node, late, pool).expect("both are live");
    assert!(matches!(relay(runner(alone), runner(pool)), Step::Refused));
}

#[test]
fn what_was_ordered_before_an_edge_came_is_not_ended_in_a_stretch() {
    let node = manager();
    let pool = put(&node);
    let server = put_above(&node, pool);
    let run = run(&node, options());
    let outside = put(&node);
    let runner = |id| Some(run.runner(index(&run, id)));
    let relay = |from, to| registry().relay(run.course(), from, to, |_| true);
    assert!(matches!(relay(None, runner(server)), Step::Claimed(_)));
    // Its end may set free what the teardown does not know.
    registry().add_dependency(&node, pool, outside).expect("both are live");
    assert!(matches!(relay(runner(server), runner(pool)), Step::Refused));
    assert!(registry().is_live(server));
}

#[test]
fn something_is_due_in_a_stretch_when_what_runs_in_it_has_passed_its_limit_or_is_slow() {
    let node = manager();
    let (one, other) = (put(&node), put(&node));
    let run = run(&node, options());
    let mut state = run.state();
    let items = [one, other].map(|id| index(&run, id));
    let begun = Duration::from_millis(3);
    let stretch = Arc::new(Stretch::new(items.to_vec(), begun));
    assert_eq!(run.due(&stretch), None);
    assert!(stretch.go(Move::Claim, 0));
    let limit = run.item(items[0]).limit.min(node.config.slow_after);
    assert_eq!(run.due(&stretch), Some(run.start + begun + limit));
    // Something may be begun, and nothing runs in a stretch.
    assert!(run.next_look(&state).is_some());
    items.iter().for_each(|item| state.take_up(&run.line, *item));
    assert!(run.next_look(&state).is_none());
    let stretch = Arc::new(Stretch::new(items.to_vec(), Duration::ZERO));
    assert!(stretch.go(Move::Claim, 0));
    state.begin_stretch(&run.line, 7, stretch);
    assert_eq!(run.next_look(&state), Some(run.start + limit));
}

#[test]
fn a_thread_that_was_left_takes_its_place_again_if_that_is_free() {
    let node = manager();
    put(&node);
    let run = run(&node, Options { concurrency: 2, ..options() });
    let mut state = run.state();
    state.workers = 1;
    assert!(run.rejoin(&mut state, false).is_some() && state.workers == 1);
    assert!(run.rejoin(&mut state, true).is_some() && state.workers == 2);
    assert!(run.rejoin(&mut state, true).is_none() && state.workers == 2);
}

#[test]
fn only_what_is_the_runs_own_and_not_over_is_waited_for() {
    let node = manager();
    let (waits, runs, over) = (put(&node), put(&node), put(&node));
    let run = run(&node, options());
    let outside = put(&node);
    let mut state = run.state();
    begin(&run, &mut state, runs);
    state.skip(&run.line, index(&run, over), SkipReason::StoppedOnError);
    assert!(run.waits_for(&state, &[waits, runs]));
    assert!(!run.waits_for(&state, &[waits, outside]) && !run.waits_for(&state, &[over, runs]));
    drop(state);
    assert_eq!([waits, runs, over, outside].map(|id| run.will_clean(id)), [true, true, false, false]);
}

#[test]
fn what_an_end_has_set_free_is_the_runs_own_unless_it_was_skipped_behind_something_outside() {
    let node = manager();
    let [waits, stopped, outside, behind] = [(); 4].map(|()| put(&node));
    let run = run(&node, options());
    let foreign = put(&node);
    let mut state = run.state();
    let dependents = Vec::new;
    state.skip(&run.line, index(&run, stopped), SkipReason::StoppedOnError);
    let reason = SkipReason::DependentOutside { dependents: dependents() };
    state.skip(&run.line, index(&run, outside), reason);
    state.skip(&run.line, index(&run, behind), SkipReason::BehindSkipped { dependents: dependents() });
    let seen_to = [waits, stopped, outside, behind, foreign].map(|id| run.sees_to(&state, id));
    assert_eq!(seen_to, [true, true, false, false, false]);
}

#[test]
fn nothing_more_starts_after_what_did_not_end_well_where_that_was_asked_for() {
    use ResourceOutcome::{Cancelled, Cleaned, Failed, Panicked, Skipped, TimedOut};
    let bad = [Failed, Panicked, TimedOut, Cancelled].map(|outcome| (Status::Over(outcome), true));
    let good = [Status::Gone, Status::Over(Cleaned), Status::Over(Skipped)].map(|status| (status, false));
    for stop_on_error in [true, false] {
        for (status, is_bad) in bad.into_iter().chain(good) {
            let node = manager();
            put(&node);
            let run = run(&node, Options { stop_on_error, ..options() });
            let mut state = run.state();
            run.stop_if_failed(&mut state, status);
            let expected = (is_bad && stop_on_error).then_some(SkipReason::StoppedOnError);
            assert_eq!((&state.stopped, state.unresolved), (&expected, usize::from(expected.is_none())));
        }
    }
}

#[test]
fn a_run_is_known_by_its_own_observer_until_it_hears_nothing_more() {
    let (one, other) = (Inbox::open(), Inbox::open());
    assert!(one.key().is_some() && one.key() < other.key());
    one.close();
    assert!(one.key().is_none() && other.key().is_some());
}

#[test]
fn what_ends_elsewhere_is_read_from_its_ending() {
    for (phase, error, expected) in [
        (Phase::Cleaned, false, Status::Over(ResourceOutcome::Cleaned)),
        (Phase::Failed, true, Status::Over(ResourceOutcome::Cancelled)),
        (Phase::TimedOut, true, TIMED_OUT),
        (Phase::Released, false, Status::Gone),
    ] {
        let node = manager();
        let id = put(&node);
        let run = run(&node, options());
        let mut state = run.state();
        let index = index(&run, id);
        let error = error.then(|| run.error(index, CleanupErrorKind::Cancelled, Duration::ZERO));
        let times = (Duration::ZERO, Duration::ZERO);
        run.take_over(&mut state, index, &Ending { phase, error }, times, false);
        assert_eq!((status(&run, &state, id), state.unresolved), (expected, 0));
    }
}

#[test]
fn a_claim_is_refused_behind_what_was_skipped_or_else_behind_what_is_outside() {
    let node = manager();
    let (skipped, waits) = (put(&node), put(&node));
    let run = run(&node, options());
    let outside = put(&node);
    let mut state = run.state();
    state.skip(&run.line, index(&run, skipped), SkipReason::StoppedOnError);
    let label = || Label::from("one");
    let behind = SkipReason::BehindSkipped { dependents: vec![label(), label()] };
    assert_eq!(run.held_back(&state, &[outside, skipped]), behind);
    let out = SkipReason::DependentOutside { dependents: vec![label(), label()] };
    assert_eq!(run.held_back(&state, &[waits, outside]), out);
}
