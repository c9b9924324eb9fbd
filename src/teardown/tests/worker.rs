use super::*;
use crate::registry::relay::Move;
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
