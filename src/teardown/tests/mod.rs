//! A run, step by step: what its supervisor does at which moment, and what its workers do with what they meet. Nobody
//! supervises these runs, and no thread of theirs is ever started; what they clean is registered as anything else.

mod choose;
mod pressure;
mod watch;
mod worker;

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cleanup::{CleanupReason, work};
use crate::error::CleanupErrorKind;
use crate::id::{Label, ResourceId};
use crate::registry::entry::{Draft, Phase};
use crate::registry::tests::{labelled, manager, registered};
use crate::registry::tree::Node;
use crate::registry::{Claim, registry};
use crate::report::ResourceOutcome;
use crate::resource::{Category, ResourceState};
use crate::teardown::active::{Overdue, Runner, Stage};
use crate::teardown::choose::{Selection, choose};
use crate::teardown::inbox::Inbox;
use crate::teardown::order;
use crate::teardown::run::{Options, Run};
use crate::teardown::shutdown::shutdown_within;
use crate::teardown::state::{State, Status};

const TIMED_OUT: Status = Status::Over(ResourceOutcome::TimedOut);

fn put(node: &Arc<Node>) -> ResourceId {
    registered(node, "one", Phase::Live)
}

/// What depends on it.
fn put_above(node: &Arc<Node>, below: ResourceId) -> ResourceId {
    let above = put(node);
    registry().add_dependency(node, above, below).expect("both are live");
    above
}

fn options() -> Options {
    Options::plain(CleanupReason::Teardown)
}

fn within(deadline: Duration) -> Options {
    Options { deadline: Some(deadline), ..options() }
}

/// A run of all that is live in this manager and below.
fn run(node: &Arc<Node>, options: Options) -> Arc<Run> {
    let inbox = Inbox::open();
    let choice = choose(node, &Selection::default(), true);
    let order = order(node, &choice, options.force);
    let run = Arc::new(Run::new(node, choice, order, options, inbox, Instant::now()));
    run.inbox.attach(&run);
    run
}

fn index(run: &Run, id: ResourceId) -> u32 {
    run.index_of(id).expect("it was chosen")
}

/// So many milliseconds after the run began.
fn at(run: &Run, millis: u64) -> Instant {
    run.start + Duration::from_millis(millis)
}

/// Begins an item as a worker does, from the run's start on. Returns that worker's number.
fn begin(run: &Run, state: &mut State, id: ResourceId) -> u64 {
    let Claim::Job(job) = registry().claim(id, |_| true) else { panic!("it is live") };
    let stage = Stage::Graceful { ended: job.ended().timed(), last_resort: job.last_resort };
    let (worker, index) = (state.number(), index(run, id));
    state.workers += 1;
    state.take_up(&run.line, index);
    run.begin(state, worker, run.watched_since(run.start, Runner::Thread, Some(index), Duration::MAX, stage));
    worker
}

/// The last resort of what this worker has begun runs from now on.
fn force(run: &Run, state: &mut State, worker: u64) {
    let active = state.active(worker).expect("it runs");
    let Stage::Graceful { ended, .. } = active.stage else { panic!("it has just begun") };
    active.stage = Stage::Forced(Box::new(Overdue {
        index: active.index.expect("it is one of those that were chosen"),
        ended,
        kind: CleanupErrorKind::Cancelled,
        started: run.start,
        elapsed: Duration::ZERO,
        last_resort: None,
        left_with: None,
        overtaken: false,
    }));
}

fn status(run: &Run, state: &State, id: ResourceId) -> Status {
    state.results[index(run, id) as usize].status
}

fn is_left(state: &mut State, number: u64) -> bool {
    state.active(number).is_some_and(|active| active.left)
}

fn is_overtaken(state: &mut State, number: u64) -> bool {
    state.active(number).is_some_and(|active| active.overtaken)
}

#[test]
fn a_shutdown_has_the_deadline_that_it_is_given_and_not_the_managers() {
    let node = manager();
    let id = put(&node);
    let report = shutdown_within(&node, CleanupReason::ScopeEnded, Duration::ZERO);
    assert_eq!((report.skipped().len(), report.started()), (1, 0));
    assert!(registry().is_live(id) && node.is_sealed());
}

fn is_timed_out(id: ResourceId) -> bool {
    registry().state(id) == ResourceState::TimedOut
}
