//! One asynchronous step under way: made, polled and dropped by the reactor's pollers, and landed once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use crate::cleanup::{BoxError, CleanupContext, Course, StepFuture, Work};
use crate::error::CleanupErrorKind;
use crate::events::spans::Journey;
use crate::id::ResourceId;
use crate::runtime::reactor::Ticket;
use crate::runtime::{inside, within};
use crate::unwind::{caught, contain};

/// A step under way. Dropped, it is cancelled: its future is dropped by a poller, and it lands as cancelled.
pub(crate) struct Flight {
    task: async_task::Task<()>,
    begun: Arc<AtomicBool>,
}

/// How long past its limit a step is given to begin, where all pollers are stuck.
const TO_BEGIN: Duration = Duration::from_secs(1);

impl Flight {
    /// Whether its time is over. Even a limit of zero gives it the time to begin.
    pub(crate) fn is_due(&self, limit: Instant, now: Instant) -> bool {
        let past = now.checked_duration_since(limit);
        past.is_some_and(|past| self.begun.load(Acquire) || past >= TO_BEGIN)
    }

    /// It goes on by itself.
    pub(crate) fn detach(self) {
        self.task.detach();
    }
}

impl Ticket {
    /// Launches a step. `landed` hears how it went, once, on a poller.
    pub(crate) fn launch(
        self,
        id: ResourceId,
        work: Work,
        context: CleanupContext,
        journey: Journey,
        landed: impl FnOnce(Result<(), CleanupErrorKind>) + Send + 'static,
    ) -> Flight {
        let schedule = self.schedule();
        let stage = Stage::Waiting(work, context);
        let begun = Arc::new(AtomicBool::new(false));
        let passenger = Passenger {
            id,
            stack: inside(),
            stage,
            begun: begun.clone(),
            landed: Some(landed),
            journey: Some(journey),
            _ticket: self,
        };
        let (runnable, task) = async_task::spawn(passenger, schedule);
        runnable.schedule();
        Flight { task, begun }
    }
}

struct Passenger<L: FnOnce(Result<(), CleanupErrorKind>)> {
    id: ResourceId,
    /// The resources whose cleanups it was launched inside of.
    stack: Vec<ResourceId>,
    stage: Stage,
    begun: Arc<AtomicBool>,
    /// Both are taken when it lands.
    landed: Option<L>,
    journey: Option<Journey>,
    _ticket: Ticket,
}

enum Stage {
    Waiting(Work, CleanupContext),
    Under(StepFuture),
    Over,
}

impl Stage {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Stage::Waiting(..) = self
            && let Stage::Waiting(work, context) = std::mem::replace(self, Stage::Over)
        {
            match work.begin(&context) {
                Course::Done(result) => return Poll::Ready(result),
                Course::Future(future) => *self = Stage::Under(future),
            }
        }
        match self {
            Stage::Under(future) => future.as_mut().poll(cx),
            // It is polled no more once it is over.
            Stage::Waiting(..) | Stage::Over => Poll::Pending,
        }
    }
}

impl<L: FnOnce(Result<(), CleanupErrorKind>)> Passenger<L> {
    fn land(&mut self, result: Result<(), CleanupErrorKind>) {
        // What it captured goes before its end is told.
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let Some(journey) = self.journey.take() {
            let _span = journey.within();
            contain(move || drop(stage));
        }
        if let Some(landed) = self.landed.take() {
            landed(result);
        }
    }
}

/// Nothing of it is pinned in place: what has to be is in a box.
impl<L: FnOnce(Result<(), CleanupErrorKind>)> Unpin for Passenger<L> {}

impl<L: FnOnce(Result<(), CleanupErrorKind>)> Future for Passenger<L> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let stage = &mut this.stage;
        if let (Stage::Waiting(..), Some(journey)) = (&*stage, &mut this.journey) {
            journey.begin();
        }
        this.begun.store(true, Release);
        let polled = {
            let _span = this.journey.as_ref().map(Journey::within);
            within(&mut this.stack, this.id, || caught(|| stage.poll(cx)))
        };
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result.map_err(|cause| CleanupErrorKind::Failed(Arc::from(cause))),
            Err(message) => Err(CleanupErrorKind::Panicked(message)),
        };
        this.land(result);
        Poll::Ready(())
    }
}

impl<L: FnOnce(Result<(), CleanupErrorKind>)> Drop for Passenger<L> {
    fn drop(&mut self) {
        if self.landed.is_some() {
            self.land(Err(CleanupErrorKind::Cancelled));
        }
    }
}

/// Awaits a step on the calling thread, by a runtime made for it alone: the way out where no thread can be had.
pub(crate) fn drive_here(future: StepFuture, deadline: Option<Instant>) -> Result<(), CleanupErrorKind> {
    let failed = |cause: BoxError| Err(CleanupErrorKind::Failed(Arc::from(cause)));
    if Handle::try_current().is_ok() {
        contain(move || drop(future));
        return failed("no thread for castoff's runtime can be had, and this one is a runtime's own".into());
    }
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(refused) => return failed(refused.into()),
    };
    let start = Instant::now();
    let outcome = caught(|| match deadline {
        None => Some(runtime.block_on(future)),
        Some(deadline) => {
            runtime.block_on(async { tokio::time::timeout_at(deadline.into(), future).await.ok() })
        }
    });
    contain(move || runtime.shutdown_background());
    match outcome {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(cause))) => failed(cause),
        Ok(None) => Err(CleanupErrorKind::TimedOut(start.elapsed())),
        Err(message) => Err(CleanupErrorKind::Panicked(message)),
    }
}
