//! Runs one cleanup: caught, timed, given up when it is overdue, told, and followed by what it set free.

use std::any::Any;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cleanup::{CleanupContext, CleanupReason, Work};
use crate::clock::after;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::{ResourceEvent, contain};
use crate::id::{Label, ResourceId};
use crate::registry::tree::Node;
use crate::registry::{Ended, Finished, Job, registry};
use crate::runtime::{Inside, helper};

/// Runs a step of a cleanup on this thread. Its panic is an error like others.
#[inline]
pub(crate) fn perform(id: ResourceId, work: Work, context: &CleanupContext) -> Result<(), CleanupErrorKind> {
    let _inside = Inside::enter(id);
    match catch_unwind(AssertUnwindSafe(|| work(context))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(CleanupErrorKind::Failed(Arc::from(cause))),
        Err(payload) => Err(CleanupErrorKind::Panicked(message(payload))),
    }
}

/// What a panic said. The payload is foreign: its drop may panic too.
fn message(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => String::from(*text),
        (_, Some(text)) => text.clone(),
        _ => String::from("a panic without a message"),
    };
    contain(move || drop(payload));
    text
}

/// Runs a claimed cleanup here and now, within the resource's own timeout if it has one, and all that follows.
pub(crate) fn run_here(job: Job, reason: CleanupReason) -> Result<(), CleanupError> {
    let (outcome, freed) = run_one(job, reason);
    run_freed(freed);
    outcome
}

/// The fast way of [`run_here`], for what has nothing of its own but a cleanup.
#[inline]
pub(crate) fn run_plain(work: Work, ended: Ended, reason: CleanupReason) {
    let started = ended.start();
    let result = perform(ended.id, work, &CleanupContext { reason, deadline: None });
    let elapsed = if result.is_err() || started.is_fine() { started.elapsed() } else { Duration::ZERO };
    if result.is_ok() && registry().finish_plain(&ended, elapsed) {
        return;
    }
    run_freed(conclude(ended.id, registry().finish(&ended, result, elapsed, None)));
}

/// Runs the deferred resources that nothing holds back any more, and what these hold back in their turn: the most
/// urgent first, then the newest. A loop, not a recursion: such a chain may be long.
#[inline]
pub(crate) fn run_freed(freed: Vec<ResourceId>) {
    if !freed.is_empty() {
        run_freed_but(freed, |_| false);
    }
}

/// The same, but leaves alone what is somebody's to clean.
#[cold]
pub(crate) fn run_freed_but(freed: Vec<ResourceId>, is_taken: impl Fn(ResourceId) -> bool) {
    let free = |id: &ResourceId| !is_taken(*id);
    let due = |id: ResourceId| registry().urgency(id).map(|urgency| (urgency, id)).filter(|(_, id)| free(id));
    let mut ready: BinaryHeap<_> = freed.into_iter().filter_map(due).collect();
    while let Some((_, id)) = ready.pop() {
        let Some(job) = registry().claim_deferred(id) else { continue };
        let (outcome, freed) = run_one(job, CleanupReason::Dropped);
        forget_outcome(outcome);
        ready.extend(freed.into_iter().filter_map(due));
    }
}

fn run_one(job: Job, reason: CleanupReason) -> (Result<(), CleanupError>, Vec<ResourceId>) {
    let (id, ended, start) = (job.id, job.ended().timed(), Instant::now());
    let result = run_steps(id, job.work, job.last_resort, job.timeout, reason);
    let finished = registry().finish(&ended, result, start.elapsed(), None);
    let outcome = finished.error.clone().map_or(Ok(()), Err);
    (outcome, conclude(id, finished))
}

fn run_steps(
    id: ResourceId,
    graceful: Work,
    last_resort: Option<Work>,
    timeout: Option<Duration>,
    reason: CleanupReason,
) -> Result<(), CleanupErrorKind> {
    let result = run_within(id, graceful, timeout, reason);
    if let Some(force) = last_resort {
        match &result {
            Ok(()) => drop(contain(move || drop(force))),
            // Its own failure is the smaller news: the outcome tells the graceful step.
            Err(_) => forget_outcome(run_within(id, force, timeout, reason)),
        }
    }
    result
}

/// With a limit the step runs on a helper thread, which is left behind when the limit has passed.
fn run_within(
    id: ResourceId,
    work: Work,
    timeout: Option<Duration>,
    reason: CleanupReason,
) -> Result<(), CleanupErrorKind> {
    let start = Instant::now();
    let Some((limit, deadline)) = timeout.and_then(|limit| Some((limit, after(start, limit)?))) else {
        return perform(id, work, &CleanupContext { reason, deadline: None });
    };
    let context = CleanupContext { reason, deadline: Some(deadline) };
    let bench = Arc::new(Bench { step: Mutex::new(Step::Waiting(work)), changed: Condvar::new() });
    let there = bench.clone();
    let run = move || there.run(id, start, &context);
    if helper("castoff-cleanup", run).is_err() {
        // No thread to be had: here, then, without a limit rather than not at all.
        return match bench.take() {
            Some(work) => perform(id, work, &CleanupContext { reason, deadline: None }),
            None => Ok(()),
        };
    }
    bench.wait(deadline).unwrap_or(Err(CleanupErrorKind::TimedOut(limit)))
}

/// Where a step is handed to a helper thread, and its result back.
struct Bench {
    step: Mutex<Step>,
    changed: Condvar,
}

enum Step {
    Waiting(Work),
    Running,
    Done(Result<(), CleanupErrorKind>),
    /// Nobody waits any more.
    Left,
}

impl Bench {
    fn take(&self) -> Option<Work> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *step, Step::Running) {
            Step::Waiting(work) => Some(work),
            other => {
                *step = other;
                None
            }
        }
    }

    fn run(&self, id: ResourceId, start: Instant, context: &CleanupContext) {
        // Asked before the step: afterwards an overdue resource is no longer known.
        let known = registry().node_of(id).zip(registry().label_of(id));
        let Some(work) = self.take() else { return };
        let result = perform(id, work, context);
        let left = {
            let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
            matches!(std::mem::replace(&mut *step, Step::Done(result)), Step::Left)
        };
        self.changed.notify_all();
        if left && let Some((node, label)) = known {
            tell_late(&node, id, label, start.elapsed());
        }
    }

    fn wait(&self, deadline: Instant) -> Option<Result<(), CleanupErrorKind>> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *step, Step::Running) {
                Step::Done(result) => return Some(result),
                Step::Waiting(work) => *step = Step::Waiting(work),
                Step::Running | Step::Left => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && !matches!(*step, Step::Waiting(_)) {
                *step = Step::Left;
                return None;
            }
            // A step that no thread has begun yet is given the time to begin: even a limit of zero starts it.
            let left = if left.is_zero() { Duration::from_millis(1) } else { left };
            step = self.changed.wait_timeout(step, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An end that nobody waited for any more.
pub(crate) fn tell_late(node: &Arc<Node>, id: ResourceId, label: Label, elapsed: Duration) {
    node.tell(&ResourceEvent::FinishedLate { id, label, after: elapsed });
}

/// Tells an end and drops what was left of it. Gives back what it set free.
#[inline]
pub(crate) fn conclude(id: ResourceId, mut finished: Finished) -> Vec<ResourceId> {
    if finished.told.is_some() {
        finished.tell(id, false);
    }
    let Finished { scraps, error, freed, .. } = finished;
    if scraps.is_some() || error.is_some() {
        contain(move || drop((scraps, error)));
    }
    freed
}

/// Drops the outcome of a cleanup that nobody asked for. An error is foreign code.
#[inline]
pub(crate) fn forget_outcome<E>(outcome: Result<(), E>) {
    if outcome.is_err() {
        contain(move || drop(outcome));
    }
}

/// The same for a resource that was let go, with everything that this set free.
pub(crate) fn conclude_release(id: ResourceId, mut finished: Finished) {
    finished.tell(id, true);
    run_freed(conclude(id, finished));
}

/// A registration that was refused behaves as a guard dropped at once: its cleanup runs here.
pub(crate) fn run_refused(
    work: Work,
    last_resort: Option<Work>,
    timeout: Option<Duration>,
    reason: CleanupReason,
) {
    forget_outcome(run_steps(ResourceId::NONE, work, last_resort, timeout, reason));
}
