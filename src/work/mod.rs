//! Runs one cleanup: caught, timed, given up when it is overdue, told, and followed by what it set free.

#[cfg(feature = "tokio")]
mod handover;

#[cfg(feature = "tokio")]
pub(crate) use self::handover::run_away;

use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cleanup::{CleanupContext, CleanupReason, Course, Work};
use crate::clock::after;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::spans::InSpan;
#[cfg(feature = "tokio")]
use crate::events::spans::{Journey, here};
use crate::events::{ResourceEvent, anyone_listens};
use crate::id::{Label, ResourceId};
use crate::registry::entry::{Draft, Kept};
use crate::registry::tree::Node;
use crate::registry::{Ended, Finished, Job, Otherwise, Registry, Weight, registry};
use crate::runtime::{Inside, helper};
#[cfg(feature = "tokio")]
use crate::runtime::{board, drive_here, is_async_context};
use crate::unwind::{caught, contain};

/// Runs a step of a cleanup on this thread. Its panic is an error like others.
pub(crate) fn perform(id: ResourceId, work: Work, context: &CleanupContext) -> Result<(), CleanupErrorKind> {
    let _span = InSpan::cleanup(id, || registry().label_of(id), context.reason);
    match begin(id, work, context) {
        Ok(Course::Done(Ok(()))) => Ok(()),
        begun => result_of(begun, context),
    }
}

#[inline(always)]
fn begin(id: ResourceId, work: Work, context: &CleanupContext) -> Result<Course, String> {
    let _inside = Inside::enter(id);
    caught(|| work.begin(context))
}

/// The same for one that lies where a claim has put it, inside of no other. Whether it is done, and well: if not, there
/// is its course.
#[inline(always)]
fn begin_at(
    id: ResourceId,
    work: &mut Option<Work>,
    context: &CleanupContext,
    course: &mut Option<Course>,
) -> Result<bool, String> {
    let _inside = Inside::first(id);
    caught(|| match Work::begin_at(work, context) {
        None | Some(Course::Done(Ok(()))) => true,
        other => {
            *course = other;
            false
        }
    })
}

#[inline(never)]
fn result_of(begun: Result<Course, String>, _context: &CleanupContext) -> Result<(), CleanupErrorKind> {
    match begun {
        Ok(Course::Done(Ok(()))) => Ok(()),
        Ok(Course::Done(Err(cause))) => Err(CleanupErrorKind::Failed(Arc::from(cause))),
        #[cfg(feature = "tokio")]
        Ok(Course::Future(future)) => drive_here(future, _context.deadline),
        Err(message) => Err(CleanupErrorKind::Panicked(message)),
    }
}

/// Runs a claimed cleanup here and now, within the resource's own timeout if it has one, and all that follows.
pub(crate) fn run_here(job: Job, reason: CleanupReason) -> Result<(), CleanupError> {
    let (outcome, freed) = run_one(job, reason, |_| ());
    run_freed(freed);
    outcome
}

/// Runs the cleanup of a dropped guard, and gives its value back for dropping. An asynchronous one is handed over
/// where the calling thread must not wait; its value goes with it.
pub(crate) fn run_dropped(job: Job, kept: Kept, reason: CleanupReason) -> Option<Kept> {
    let mut kept = Some(kept);
    run_freed(end_dropped(job, &mut kept, reason));
    kept
}

#[cfg_attr(not(feature = "tokio"), allow(unused_variables))] // what is handed over is asynchronous
fn end_dropped(job: Job, kept: &mut Option<Kept>, reason: CleanupReason) -> Vec<ResourceId> {
    #[cfg(feature = "tokio")]
    if job.work.is_async() && is_async_context() {
        handover::hand_over(job, kept.take(), reason, None);
        return Vec::new();
    }
    let (outcome, freed) = run_one(job, reason, Finished::keep_unheard);
    forget_outcome(outcome);
    freed
}

/// What most cleanups are told.
static DROPPED: CleanupContext = CleanupContext { reason: CleanupReason::Dropped, deadline: None };
static PANICKING: CleanupContext = CleanupContext { reason: CleanupReason::Panicking, deadline: None };

/// Claims and runs the cleanup of what has nothing of its own but that, or forgets what has ended, as most have that a
/// teardown has cleaned. False: it has more, and nothing is done.
#[inline(never)]
pub(crate) fn run_plain(id: ResourceId, panicking: bool) -> bool {
    let context = if panicking { &PANICKING } else { &DROPPED };
    if anyone_listens() || !Inside::is_nothing() {
        return run_heard(id, context);
    }
    let mut work = None;
    let Some(quiet) = Registry::begin_quiet(id, &mut work) else { return run_heard(id, context) };
    let mut course = None;
    let begun = begin_at(id, &mut work, context, &mut course);
    if matches!(begun, Ok(true)) && !anyone_listens() && quiet.is_done() {
        // All of them empty, as was just seen: asking again is a part of what a guard costs.
        std::mem::forget((begun, course, work));
        return true;
    }
    let begun = begun.map(|_| course.unwrap_or(Course::Done(Ok(()))));
    finish_plain(Ended::plain(id, Weight::NONE), result_of(begun, context), Duration::ZERO);
    true
}

/// The same where somebody may hear of the end, or of how long it took.
#[inline(never)]
fn run_heard(id: ResourceId, context: &CleanupContext) -> bool {
    let (weight, work) = match Registry::begin_plain(id) {
        Ok(begun) => begun,
        Err(otherwise) => return otherwise == Otherwise::Forgotten,
    };
    let start = (weight.is_timed() || anyone_listens()).then(Instant::now);
    let result = perform(id, work, context);
    finish_plain(Ended::plain(id, weight), result, start.map_or(Duration::ZERO, |start| start.elapsed()));
    true
}

#[inline(never)]
fn finish_plain(ended: Ended, result: Result<(), CleanupErrorKind>, elapsed: Duration) {
    if result.is_err() || !registry().finish_plain(&ended, elapsed) {
        let finished = registry().finish(&ended, result, elapsed, None);
        finished.keep_unheard();
        run_freed(conclude(ended.id, finished));
    }
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
        let freed = end_dropped(job, &mut None, CleanupReason::Dropped);
        ready.extend(freed.into_iter().filter_map(due));
    }
}

fn run_one(
    job: Job,
    reason: CleanupReason,
    ended_so: impl FnOnce(&Finished),
) -> (Result<(), CleanupError>, Vec<ResourceId>) {
    let (id, ended, start) = (job.id, job.ended().timed(), Instant::now());
    let result = run_steps(id, job.work, job.last_resort, job.timeout, reason);
    let finished = registry().finish(&ended, result, start.elapsed(), None);
    ended_so(&finished);
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
    force(id, run_within(id, graceful, timeout, reason), last_resort, timeout, reason)
}

/// Runs the last resort if the graceful step did not do. The outcome stays that of the graceful step: a failure of
/// the last resort is the smaller news.
fn force(
    id: ResourceId,
    result: Result<(), CleanupErrorKind>,
    last_resort: Option<Work>,
    timeout: Option<Duration>,
    reason: CleanupReason,
) -> Result<(), CleanupErrorKind> {
    if let Some(force) = last_resort {
        match &result {
            Ok(()) => drop(contain(move || drop(force))),
            Err(_) => forget_outcome(run_within(id, force, timeout, reason)),
        }
    }
    result
}

/// With a limit the step runs on a helper thread, which is left behind when the limit has passed. An asynchronous
/// one runs on castoff's runtime in any case.
fn run_within(
    id: ResourceId,
    work: Work,
    timeout: Option<Duration>,
    reason: CleanupReason,
) -> Result<(), CleanupErrorKind> {
    let start = Instant::now();
    let limit = timeout.and_then(|limit| Some((limit, after(start, limit)?)));
    let context = CleanupContext { reason, deadline: limit.map(|(_, deadline)| deadline) };
    #[cfg(feature = "tokio")]
    if work.is_async() {
        return fly_within(id, work, limit, start, context);
    }
    let Some((limit, deadline)) = limit else { return perform(id, work, &context) };
    let bench = Arc::new(Bench { step: Mutex::new(Step::Waiting(work)), changed: Condvar::new() });
    let there = bench.clone();
    let run = move || there.run(id, start, &context);
    if helper("castoff-cleanup", run).is_err() {
        // No thread to be had: here, then, without a limit rather than not at all.
        return match bench.take() {
            Some(work) => perform_unwatched(id, work, &CleanupContext { reason, deadline: None }),
            None => Ok(()),
        };
    }
    let is_due = |step: &Step| !matches!(step, Step::Waiting(_)) && Instant::now() >= deadline;
    bench.wait(Some(deadline), is_due).unwrap_or(Err(CleanupErrorKind::TimedOut(limit)))
}

#[cfg(feature = "tokio")]
fn fly_within(
    id: ResourceId,
    work: Work,
    limit: Option<(Duration, Instant)>,
    start: Instant,
    context: CleanupContext,
) -> Result<(), CleanupErrorKind> {
    let Ok(ticket) = board() else { return perform_unwatched(id, work, &context) };
    let bench = Arc::new(Bench { step: Mutex::new(Step::Running), changed: Condvar::new() });
    let there = bench.clone();
    let known = known(id);
    let label = || known.as_ref().map(|(_, label)| label.clone());
    let journey = Journey::new(id, label, context.reason, Arc::new(here()));
    // Dropped when this returns: what has not ended by then is cancelled.
    let flight = ticket.launch(id, work, context, journey, move |result| there.end(id, known, start, result));
    let deadline = limit.map(|(_, deadline)| deadline);
    let given_up = limit.map_or(CleanupErrorKind::Cancelled, |(limit, _)| CleanupErrorKind::TimedOut(limit));
    let is_due = |_: &Step| deadline.is_some_and(|deadline| flight.is_due(deadline, Instant::now()));
    bench.wait(deadline, is_due).unwrap_or(Err(given_up))
}

/// Runs a step on this thread that should have one of castoff's own, and says so before: it may hang.
fn perform_unwatched(id: ResourceId, work: Work, context: &CleanupContext) -> Result<(), CleanupErrorKind> {
    tell_unwatched(id);
    perform(id, work, context)
}

/// A step is about to run on this thread because the system refuses another. The caller holds no lock.
#[cold]
pub(crate) fn tell_unwatched(id: ResourceId) {
    if anyone_listens()
        && let Some((node, label)) = known(id)
    {
        node.tell(&ResourceEvent::Unwatched { id, label });
    }
}

/// Whom to tell of a late end. Asked before the step: afterwards an overdue resource is no longer known.
fn known(id: ResourceId) -> Option<(Arc<Node>, Label)> {
    registry().node_of(id).zip(registry().label_of(id))
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
        let known = known(id);
        let Some(work) = self.take() else { return };
        self.end(id, known, start, perform(id, work, context));
    }

    fn end(
        &self,
        id: ResourceId,
        known: Option<(Arc<Node>, Label)>,
        start: Instant,
        result: Result<(), CleanupErrorKind>,
    ) {
        // What was cancelled because nobody waits any more has not ended late, but not at all.
        let ended = !matches!(result, Err(CleanupErrorKind::Cancelled));
        let before = {
            let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *step, Step::Done(result))
        };
        self.changed.notify_all();
        if ended
            && matches!(before, Step::Left)
            && let Some((node, label)) = known
        {
            tell_late(&node, id, label, start.elapsed());
        }
    }

    /// The result, or `None` when it is due first. A step that nobody has begun yet is given the time to begin:
    /// even a limit of zero starts it.
    fn wait(
        &self,
        deadline: Option<Instant>,
        is_due: impl Fn(&Step) -> bool,
    ) -> Option<Result<(), CleanupErrorKind>> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *step, Step::Running) {
                Step::Done(result) => return Some(result),
                Step::Waiting(work) => *step = Step::Waiting(work),
                Step::Running | Step::Left => {}
            }
            let Some(deadline) = deadline else {
                step = self.changed.wait(step).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if is_due(&step) {
                *step = Step::Left;
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
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

/// A registration that was refused behaves as a guard dropped at once: its cleanup runs here, or is handed over.
#[cfg_attr(not(feature = "tokio"), allow(unused_variables))] // what is handed over is counted in its manager
pub(crate) fn run_refused(node: &Arc<Node>, draft: Draft, reason: CleanupReason) {
    let work = draft.work;
    let (last_resort, mut timeout) =
        draft.extra.map_or((None, None), |extra| (extra.last_resort, extra.timeout));
    if work.is_async() {
        timeout.get_or_insert_with(|| draft.category.default_timeout());
    }
    #[cfg(feature = "tokio")]
    if work.is_async() && is_async_context() {
        return handover::hand_over_refused(node, work, last_resort, timeout, reason);
    }
    forget_outcome(run_steps(ResourceId::NONE, work, last_resort, timeout, reason));
}
