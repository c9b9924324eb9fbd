use super::*;
use crate::registry::entry::Extra;
use crate::report::SkipReason;
use crate::teardown::active::Task;
use crate::teardown::stretch::Stretch;

const EIGHT: Duration = Duration::from_secs(8);

#[test]
fn what_stands_behind_a_cleanup_that_was_left_waits_for_half_of_what_is_left_of_the_deadline() {
    let node = manager();
    let pool = put(&node);
    let server = put_above(&node, pool);
    let run = run(&node, within(EIGHT));
    let mut state = run.state();
    let worker = begin(&run, &mut state, server);
    // A cleanup is waited for no longer than half of what is left at its beginning.
    run.look_after(&mut state, at(&run, 3_999));
    run.overtake(&mut state, at(&run, 3_999));
    assert!(!is_left(&mut state, worker) && state.grace.is_none() && state.workers == 1);
    for _ in 0..2 {
        run.look_after(&mut state, at(&run, 4_000));
        assert!(is_left(&mut state, worker) && state.workers == 0);
    }
    run.overtake(&mut state, at(&run, 4_000));
    assert_eq!(state.grace, Some(at(&run, 6_000)));
    run.overtake(&mut state, at(&run, 5_999));
    assert_eq!(state.grace, Some(at(&run, 6_000)));
    assert!(!is_overtaken(&mut state, worker) && !state.has_work(&run.line));
    run.overtake(&mut state, at(&run, 6_000));
    assert!(is_overtaken(&mut state, worker) && state.has_work(&run.line) && state.grace.is_none());
    assert!(state.overtaken.contains(&server));
}

#[test]
fn nothing_is_overtaken_while_something_else_can_be_done_or_runs_or_nothing_waits() {
    let node = manager();
    let (pool, other) = (put(&node), put(&node));
    let server = put_above(&node, pool);
    let run = run(&node, within(EIGHT));
    let mut state = run.state();
    let nothing_yet = |state: &mut State, why: &str| {
        state.grace = Some(at(&run, 5_000));
        run.overtake(state, at(&run, 7_000));
        assert!(state.grace.is_none() && !state.overtaken.contains(&server), "{why}");
    };
    let left = begin(&run, &mut state, server);
    state.leave(&run.line, left);
    nothing_yet(&mut state, "the other may start");
    let stretch = Arc::new(Stretch::new(vec![index(&run, other)], Duration::ZERO));
    state.take_up(&run.line, index(&run, other));
    state.begin_stretch(&run.line, 77, stretch);
    nothing_yet(&mut state, "the other runs in a stretch");
    assert!(state.end_stretch(&run.line, 77).is_some());
    let worker = begin(&run, &mut state, other);
    nothing_yet(&mut state, "the other runs");
    assert!(state.end(&run.line, worker).is_some());
    let left = state.end(&run.line, left).expect("it was left");
    nothing_yet(&mut state, "nothing runs");
    state.start(&run.line, 78, left);
    state.stop(&run.line, SkipReason::StoppedOnError);
    nothing_yet(&mut state, "nothing waits");
}

#[test]
fn what_was_overtaken_with_its_last_resort_lets_go_once_of_what_stands_behind_it() {
    let node = manager();
    let pool = put(&node);
    let (server, other) = (put_above(&node, pool), put_above(&node, pool));
    let run = run(&node, within(EIGHT));
    let mut state = run.state();
    let [worker, second] = [server, other].map(|id| begin(&run, &mut state, id));
    for worker in [worker, second] {
        force(&run, &mut state, worker);
        state.leave(&run.line, worker);
    }
    run.overtake(&mut state, at(&run, 4_000));
    run.overtake(&mut state, at(&run, 6_000));
    assert!(state.has_work(&run.line));
    run.give_up(&mut state, worker, at(&run, 8_000));
    run.give_up(&mut state, second, at(&run, 8_000));
    assert_eq!(status(&run, &state, server), Status::Over(ResourceOutcome::Cancelled));
    assert_eq!((status(&run, &state, pool), state.unresolved), (Status::Waiting, 1));
}

#[test]
fn what_runs_is_given_up_when_the_deadline_less_its_reserve_has_come_and_what_waits_is_skipped() {
    let node = manager();
    let pool = put(&node);
    let draft = Draft { extra: Some(Box::new(Extra::forced(work(|| ())))), ..labelled("one") };
    let server = registry().insert(&node, draft, Phase::Live, false);
    registry().add_dependency(&node, server, pool).expect("both are live");
    let elsewhere = put(&node);
    let run = run(&node, within(Duration::from_secs(10)));
    let mut state = run.state();
    begin(&run, &mut state, server);
    let foreign = state.number();
    let index = index(&run, elsewhere);
    state.take_up(&run.line, index);
    state.start(
        &run.line,
        foreign,
        run.watched(Runner::Elsewhere, Some(index), Duration::MAX, Stage::Foreign),
    );
    run.keep_deadline(&mut state, at(&run, 8_999));
    assert_eq!((state.unresolved, state.tasks.len(), state.numbers().len()), (3, 0, 2));
    run.keep_deadline(&mut state, at(&run, 9_000));
    assert_eq!((state.unresolved, state.tasks.len(), state.numbers().len()), (1, 1, 0));
    assert_eq!(status(&run, &state, elsewhere), TIMED_OUT);
    assert_eq!(status(&run, &state, pool), Status::Over(ResourceOutcome::Skipped));
    // Its last resort has the reserve, and nobody comes for it.
    run.keep_deadline(&mut state, at(&run, 9_999));
    assert_eq!((state.unresolved, state.tasks.len(), state.leavings.len()), (1, 1, 0));
    state.tasks.push_back(Task::Free(vec![pool]));
    run.keep_deadline(&mut state, at(&run, 10_000));
    assert_eq!((state.unresolved, state.tasks.len(), state.leavings.len()), (0, 0, 2));
    assert!(is_timed_out(server) && status(&run, &state, server) == TIMED_OUT);
    assert!(state.errors.contains_key(&super::index(&run, server)));
    // The last resort goes with what is left to be told, and is not dropped under a lock.
    assert!(state.leavings[0].1.scraps.is_some());
    assert_eq!((state.leavings[1].0, &state.leavings[1].1.freed), (ResourceId::NONE, &vec![pool]));
}

#[test]
fn a_thread_that_is_given_up_is_one_less_unless_it_was_left_before() {
    let node = manager();
    let (one, other) = (put(&node), put(&node));
    let run = run(&node, within(EIGHT));
    let mut state = run.state();
    let workers = [one, other].map(|id| begin(&run, &mut state, id));
    run.give_up(&mut state, workers[0], at(&run, 1_000));
    assert_eq!((state.workers, state.tasks.len()), (1, 1));
    state.leave(&run.line, workers[1]);
    assert_eq!(state.workers, 0);
    run.give_up(&mut state, workers[1], at(&run, 1_000));
    assert_eq!((state.workers, state.tasks.len()), (0, 2));
    // Who has been given up is nobody.
    run.give_up(&mut state, workers[1], at(&run, 1_000));
    assert_eq!((state.workers, state.tasks.len()), (0, 2));
}

#[test]
fn that_a_blocked_runtime_may_have_been_needed_is_noted_of_what_ran_without_a_thread_of_the_teardown() {
    for (blocks_runtime, on_thread, is_noted) in
        [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
    {
        let node = manager();
        let id = put(&node);
        let run = run(&node, Options { blocks_runtime, ..options() });
        let mut state = run.state();
        let runner = if on_thread { Runner::Thread } else { Runner::Elsewhere };
        let (number, index) = (state.number(), index(&run, id));
        state.workers += 1;
        state.take_up(&run.line, index);
        let active = run.watched(runner, Some(index), Duration::ZERO, Stage::Foreign);
        state.start(&run.line, number, active);
        run.give_up(&mut state, number, at(&run, 1_000));
        assert_eq!(state.notes.contains_key(&index), is_noted, "{blocks_runtime} {on_thread}");
        assert_eq!(status(&run, &state, id), TIMED_OUT);
    }
}

#[test]
fn what_is_slow_is_told_again_and_again_and_what_has_passed_its_limit_is_given_up() {
    let node = manager();
    let id = put(&node);
    let run = run(&node, options());
    let mut state = run.state();
    let worker = begin(&run, &mut state, id);
    let slow_after = node.config.slow_after;
    let soon = slow_after - Duration::from_millis(1);
    assert!(run.look_after(&mut state, run.start + soon).is_empty());
    assert_eq!(run.look_after(&mut state, run.start + slow_after), [index(&run, id)]);
    assert!(run.look_after(&mut state, run.start + slow_after + soon).is_empty());
    assert_eq!(run.look_after(&mut state, run.start + slow_after * 2), [index(&run, id)]);
    state.active(worker).expect("it runs").limit = Some(run.start + slow_after * 4);
    assert!(run.look_after(&mut state, run.start + slow_after * 4).is_empty());
    assert_eq!((state.numbers().len(), state.tasks.len()), (0, 1));
}

#[test]
fn the_supervisor_looks_again_at_the_next_of_all_moments_that_are_to_come() {
    let node = manager();
    let (one, _other) = (put(&node), put(&node));
    let seal_at = Some(Instant::now() + EIGHT / 2);
    let run = run(&node, Options { seal_at, ..within(EIGHT) });
    let mut state = run.state();
    state.stop(&run.line, SkipReason::StoppedOnError);
    assert_eq!(run.alarm(&state), seal_at);
    state.grace = Some(run.start + EIGHT / 4);
    assert_eq!(run.alarm(&state), state.grace);
    let worker = begin(&run, &mut state, one);
    state.active(worker).expect("it runs").limit = Some(run.start + EIGHT / 8);
    assert_eq!(run.alarm(&state), Some(run.start + EIGHT / 8));
}
