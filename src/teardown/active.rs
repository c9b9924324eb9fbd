//! What runs in a teardown, and what a worker is to do next: plain data, kept by the run's [state](super::state).

use std::time::{Duration, Instant};

use crate::cleanup::Work;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::id::ResourceId;
use crate::registry::Ended;
use crate::report::ResourceOutcome;
#[cfg(feature = "tokio")]
use crate::runtime::Flight;

/// What a worker does.
pub(crate) enum Task {
    /// The graceful cleanup of an item.
    Clean(u32),
    /// Those of several that may start now, one after the other.
    Stretch(Vec<u32>),
    /// What follows when it was given up: the last resort, and the end.
    Force(Box<Overdue>),
    /// Deferred resources outside the selection that nothing holds back any more.
    Free(Vec<ResourceId>),
}

/// A cleanup that did not end well, or not in time.
pub(crate) struct Overdue {
    pub(crate) index: u32,
    pub(crate) ended: Ended,
    pub(crate) kind: CleanupErrorKind,
    pub(crate) started: Instant,
    pub(crate) elapsed: Duration,
    pub(crate) last_resort: Option<Work>,
    /// The thread that was left with it, if one was.
    pub(crate) left_with: Option<u64>,
    /// What stands behind it has been let go on.
    pub(crate) overtaken: bool,
}

/// Who runs it.
pub(crate) enum Runner {
    /// One of the run's own threads, the one with its number.
    Thread,
    /// castoff's runtime; dropped, it is cancelled.
    #[cfg(feature = "tokio")]
    Flight(Flight),
    /// Somebody else: a guard on its own thread, another teardown.
    Elsewhere,
}

/// Something that runs and is watched.
pub(crate) struct Active {
    pub(crate) runner: Runner,
    /// The item; `None` for a deferred resource outside the selection.
    pub(crate) index: Option<u32>,
    pub(crate) started: Instant,
    pub(crate) limit: Option<Instant>,
    /// When a run with a deadline goes on without it.
    pub(crate) patience: Option<Instant>,
    pub(crate) notice: Option<Instant>,
    /// The run went on without it,
    pub(crate) left: bool,
    /// and then with what stands behind it.
    pub(crate) overtaken: bool,
    pub(crate) stage: Stage,
}

impl Active {
    /// When the supervisor has to look at it.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        let patience = self.patience.filter(|_| !self.left);
        self.limit.into_iter().chain(patience).chain(self.notice).min()
    }

    /// Whether it has passed its limit.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match (&self.runner, self.limit) {
            (_, None) => false,
            #[cfg(feature = "tokio")]
            (Runner::Flight(flight), Some(limit)) => flight.is_due(limit, now),
            (_, Some(limit)) => now >= limit,
        }
    }

    /// Whether it is one of those whose number the concurrency limits.
    pub(super) fn counts(&self) -> bool {
        !self.left && !matches!(self.runner, Runner::Elsewhere)
    }
}

pub(crate) enum Stage {
    /// Somebody else runs it, or it is outside the selection.
    Foreign,
    /// Its graceful step runs.
    Graceful { ended: Ended, last_resort: Option<Work> },
    /// Its last resort runs.
    Forced(Box<Overdue>),
    /// It has ended, and this is being told.
    Told { outcome: ResourceOutcome, elapsed: Duration, error: Option<Box<CleanupError>> },
}
