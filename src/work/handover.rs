//! Cleanups that a drop hands over: it must not wait, for its thread belongs to an asynchronous runtime.
//!
//! The resource is counted as being cleaned before the drop returns, and stays registered until the end. The end of
//! a scope or a teardown waits for it, as for any cleanup that runs elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cleanup::{CleanupContext, CleanupReason, Work};
use crate::clock::after;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::spans::{Journey, here};
use crate::id::ResourceId;
use crate::registry::entry::Kept;
use crate::registry::tree::{Node, UnderWay};
use crate::registry::{Ended, Job, registry};
use crate::runtime::{board, elsewhere, elsewhere_or_here};
use crate::sync::Lock;
use crate::unwind::contain;
use crate::work::{conclude, force, forget_outcome, run_freed, run_here, tell_unwatched};

/// What is left to do when a cleanup that was handed over has ended.
struct Handed {
    id: ResourceId,
    /// `None` for what was refused by the registry.
    ended: Option<Ended>,
    last_resort: Option<Work>,
    timeout: Option<Duration>,
    reason: CleanupReason,
    start: Instant,
    kept: Option<Kept>,
    /// Who awaits the outcome.
    tell: Option<Teller>,
    /// Let go last: who waits for all to have ended waits for what this one sets free, too.
    _under_way: Option<UnderWay>,
}

type Teller = oneshot::Sender<Result<(), CleanupError>>;

/// Runs a claimed cleanup away from the calling thread. It goes on when its outcome is awaited no more; the value
/// lives until its end.
pub(crate) async fn run_away(job: Job, kept: Kept, reason: CleanupReason) -> Result<(), CleanupError> {
    let (tell, told) = oneshot::channel();
    if job.work.is_async() {
        hand_over(job, Some(kept), reason, Some(tell));
    } else {
        // With a limit it says so itself, if it finds no thread either.
        let (id, is_limited) = (job.id, job.timeout.is_some());
        let run = move || {
            let outcome = run_here(job, reason);
            contain(move || drop(kept));
            drop(tell.send(outcome));
        };
        elsewhere_or_here("castoff-cleanup", run, || {
            if !is_limited {
                tell_unwatched(id);
            }
        });
    }
    told.await.expect("every cleanup ends, if only by being cancelled, and its end is told")
}

/// Hands a claimed cleanup over.
pub(super) fn hand_over(job: Job, kept: Option<Kept>, reason: CleanupReason, tell: Option<Teller>) {
    let ended = Some(job.ended().timed());
    let _under_way = registry().node_of(job.id).map(|node| UnderWay::new(&node));
    let handed = Handed {
        id: job.id,
        ended,
        last_resort: job.last_resort,
        timeout: job.timeout,
        reason,
        start: Instant::now(),
        kept,
        tell,
        _under_way,
    };
    handed.launch(job.work);
}

/// Hands over the cleanup of what was refused.
pub(super) fn hand_over_refused(
    node: &Arc<Node>,
    work: Work,
    last_resort: Option<Work>,
    timeout: Option<Duration>,
    reason: CleanupReason,
) {
    let handed = Handed {
        id: ResourceId::NONE,
        ended: None,
        last_resort,
        timeout,
        reason,
        start: Instant::now(),
        kept: None,
        tell: None,
        _under_way: Some(UnderWay::new(node)),
    };
    handed.launch(work);
}

impl Handed {
    fn launch(self, work: Work) {
        let ticket = match board() {
            Ok(ticket) => ticket,
            Err(refused) => {
                // Not here: what follows may block.
                let failed = Err(CleanupErrorKind::Failed(Arc::new(refused)));
                contain(move || drop(work));
                return elsewhere("castoff-cleanup", move || self.land(failed));
            }
        };
        let (id, limit) = (self.id, self.timeout);
        let deadline = limit.and_then(|limit| after(self.start, limit));
        let context = CleanupContext { reason: self.reason, deadline };
        // Whoever takes it says how it ended: the landing, or the timer.
        let handed = Arc::new(Lock::new(Some(self)));
        let (over, is_over) = oneshot::channel::<()>();
        let landed = {
            let handed = handed.clone();
            move |result: Result<(), CleanupErrorKind>| {
                drop(over);
                let handed = handed.lock().take();
                if let Some(handed) = handed {
                    handed.land(result);
                }
            }
        };
        let journey = Journey::new(id, || registry().label_of(id), context.reason, Arc::new(here()));
        let flight = ticket.clone().launch(id, work, context, journey, landed);
        let (Some(limit), Some(deadline)) = (limit, deadline) else { return flight.detach() };
        let timer = ticket.clone();
        let watch = async move {
            if tokio::time::timeout_at(deadline.into(), is_over).await.is_ok() {
                return flight.detach();
            }
            while !flight.is_due(deadline, Instant::now()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let handed = handed.lock().take();
            drop(flight);
            if let Some(handed) = handed {
                timer.run(move || handed.land(Err(CleanupErrorKind::TimedOut(limit))));
            }
        };
        drop(ticket.handle().spawn(watch));
    }

    fn land(self, result: Result<(), CleanupErrorKind>) {
        let result = force(self.id, result, self.last_resort, self.timeout, self.reason);
        let Some(ended) = self.ended else { return forget_outcome(result) };
        let finished = registry().finish(&ended, result, self.start.elapsed(), None);
        let (outcome, owner) = (finished.error.clone().map_or(Ok(()), Err), finished.owner.clone());
        run_freed(conclude(self.id, finished));
        let kept = self.kept;
        contain(move || drop(kept));
        let unheard = match self.tell {
            Some(tell) => tell.send(outcome).err().unwrap_or(Ok(())),
            None => outcome,
        };
        if let (Err(error), Some(owner)) = (&unheard, owner) {
            owner.keep_unheard(error);
        }
        forget_outcome(unheard);
    }
}
