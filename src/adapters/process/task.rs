//! A task of tokio's.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::adapters::held::Held;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long tasks are waited for, unless they are told otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A tokio task: the cleanup cancels its token, waits for it for 5 s, aborts it if it has not ended then, and awaits its
/// end.
///
/// [`spawn`](Task::spawn) starts one and gives it the token. `Task::from(handle)` takes one that runs already, which nobody
/// can ask: it is aborted at once. A task that had to be aborted although it was asked is an error of the cleanup, and so
/// is one that panicked.
///
/// A task that never awaits can't be aborted either: the cleanup's timeout ends the wait for it. Neither can one whose
/// runtime is blocked by whoever waits for the cleanup; in a task use
/// [`run_async`](crate::Teardown::run_async) or [`close_async`](crate::ResourceGuard::close_async).
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::{ResourceGuard, ResourceManager};
/// use castoff::adapters::Task;
///
/// let task = Task::spawn("heartbeat", |stop| async move {
///     stop.cancelled().await;
///     // says goodbye
/// });
/// let guard = ResourceManager::new("service").adopt(task);
/// assert!(!guard.is_finished());
/// ResourceGuard::close_async(guard).await
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task that is dropped runs on: adopt it"]
pub struct Task<T = ()> {
    label: Label,
    stop: Option<CancellationToken>,
    grace: Duration,
    handle: Held<JoinHandle<T>>,
    abort: AbortHandle,
}

impl<T: Send + 'static> Task<T> {
    /// Spawns a task, which has to end soon after the token is cancelled.
    ///
    /// # Panics
    /// Outside of a runtime, as [`tokio::spawn`] does.
    pub fn spawn<F, Fut>(label: impl Into<Label>, work: F) -> Task<T>
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let handle = tokio::spawn(work(stop.clone()));
        Task { label: label.into(), stop: Some(stop), ..Task::from(handle) }
    }

    /// Takes a task that runs, and the token that it looks at.
    pub fn new(label: impl Into<Label>, handle: JoinHandle<T>, stop: CancellationToken) -> Task<T> {
        Task { label: label.into(), stop: Some(stop), ..Task::from(handle) }
    }

    /// How long it is waited for before it is aborted: 5 s unless said otherwise. Zero aborts at once.
    pub fn grace(self, grace: Duration) -> Task<T> {
        Task { grace, ..self }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }

    /// The task's handle. `None` once its cleanup has begun.
    pub fn into_inner(self) -> Option<JoinHandle<T>> {
        self.handle.take()
    }
}

impl<T> From<JoinHandle<T>> for Task<T> {
    /// A task that can't be asked: its cleanup aborts it.
    fn from(handle: JoinHandle<T>) -> Task<T> {
        let abort = handle.abort_handle();
        Task { label: Label::from("task"), stop: None, grace: GRACE, handle: Held::new(handle), abort }
    }
}

impl<T: Send + 'static> Resource for Task<T> {
    const CATEGORY: Category = Category::Process;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (label, stop, grace) = (self.label.clone(), self.stop.clone(), self.grace);
        let (handle, abort) = (self.handle.clone(), self.abort.clone());
        Cleanup::future(move || async move {
            match handle.take() {
                Some(handle) => end(handle, stop, grace).await.map_err(|why| why.of(label)),
                None => Ok(()),
            }
        })
        .last_resort(move || abort.abort())
    }
}

async fn end<T>(
    mut handle: JoinHandle<T>,
    stop: Option<CancellationToken>,
    grace: Duration,
) -> Result<(), Why> {
    let asked = stop.filter(|_| !grace.is_zero());
    if let Some(stop) = &asked {
        stop.cancel();
        if let Ok(ended) = tokio::time::timeout(grace, &mut handle).await {
            return Why::of_end(ended);
        }
    }
    handle.abort();
    Why::of_end(handle.await)?;
    if asked.is_some() { Err(Why::Outlasted { left: 1, grace }) } else { Ok(()) }
}

/// A [`TaskError`] that does not know its label yet.
pub(super) enum Why {
    Outlasted { left: usize, grace: Duration },
    Panicked(JoinError),
}

impl Why {
    /// What to make of how a task ended: whoever cancelled it, it is gone.
    pub(super) fn of_end<T>(ended: Result<T, JoinError>) -> Result<(), Why> {
        match ended {
            Err(error) if error.is_panic() => Err(Why::Panicked(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn of(self, label: Label) -> TaskError {
        match self {
            Why::Outlasted { left, grace } => TaskError::Outlasted { label, left, grace },
            Why::Panicked(source) => TaskError::Panicked { label, source },
        }
    }
}

/// Why the cleanup of a [`Task`] or of [`Tasks`](super::Tasks) failed.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
/// use castoff::adapters::{Task, TaskError};
///
/// let task: Task = Task::from(tokio::spawn(async { panic!("no such order") }));
/// tokio::task::yield_now().await;
/// let guard = ResourceManager::new("service").adopt(task);
/// let Err(error) = ResourceGuard::close_async(guard).await else { panic!("it panicked") };
/// let CleanupErrorKind::Failed(cause) = error.kind else { panic!("it says why") };
/// assert!(matches!(cause.downcast_ref(), Some(TaskError::Panicked { .. })));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It had not ended when its grace was over, and was aborted.
    #[error(
        "{left} of `{label}` had not ended {grace:.1?} after the token was cancelled, and had to be aborted; let tasks look at the token, or give them a longer `grace`"
    )]
    Outlasted {
        /// What it is called.
        label: Label,
        /// How many tasks.
        left: usize,
        /// How long they had.
        grace: Duration,
    },
    /// It panicked.
    #[error("a task of `{label}` panicked")]
    Panicked {
        /// What it is called.
        label: Label,
        /// With the panic's message.
        source: JoinError,
    },
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Task");
        out.field("label", &self.label)
            .field("is_finished", &self.abort.is_finished())
            .finish_non_exhaustive()
    }
}
