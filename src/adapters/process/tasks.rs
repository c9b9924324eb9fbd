//! A set of tokio's tasks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::task::{GRACE, Why};
use crate::adapters::held::Held;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A set of tokio tasks: the cleanup cancels their token, waits for them for 5 s, aborts those that have not ended then, and
/// awaits the end of all.
///
/// [`new`](Tasks::new) makes an empty set, into which [`spawn`](Tasks::spawn) puts tasks that look at the token.
/// `Tasks::from(set)` takes a [`JoinSet`] whose tasks nobody can ask: they are aborted at once. What the set can't do is said
/// at [`Task`](super::Task).
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::ResourceManager;
/// use castoff::adapters::Tasks;
///
/// let manager = ResourceManager::new("service");
/// let packers = manager.adopt(Tasks::new("packers"));
/// for _ in 0..4 {
///     packers.spawn(|stop| async move { stop.cancelled().await });
/// }
/// assert_eq!(packers.len(), 4);
///
/// assert!(manager.shutdown_async().await.is_success());
/// assert!(!packers.spawn(|_| async {})); // too late
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Tasks<T = ()> {
    label: Label,
    stop: CancellationToken,
    /// Whether the tasks have the token.
    asks: bool,
    grace: Duration,
    set: Held<JoinSet<T>>,
}

impl<T: Send + 'static> Tasks<T> {
    /// An empty set.
    pub fn new(label: impl Into<Label>) -> Tasks<T> {
        Tasks { label: label.into(), asks: true, ..Tasks::from(JoinSet::new()) }
    }

    /// Spawns a task in the set, which has to end soon after the token is cancelled. `false`, and nothing is spawned, once
    /// the cleanup has begun.
    ///
    /// # Panics
    /// Outside of a runtime, as [`tokio::spawn`] does.
    pub fn spawn<F, Fut>(&self, work: F) -> bool
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let future = work(self.stop.clone());
        self.set.with(|set| drop(set.spawn(future))).is_some()
    }

    /// The result of the next task that has ended. `None` if there is none left, and once the cleanup has begun: from then
    /// on the results are its own.
    ///
    /// # Errors
    /// If the task panicked or was aborted.
    ///
    /// # Cancel safety
    /// No result is lost.
    pub async fn join_next(&self) -> Option<Result<T, JoinError>> {
        let mut stopped = pin!(self.stop.cancelled());
        poll_fn(|cx| match stopped.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.set.with(|set| set.poll_join_next(cx)).unwrap_or(Poll::Ready(None)),
        })
        .await
    }

    /// The number of tasks whose results have not been taken. None once the cleanup has begun.
    pub fn len(&self) -> usize {
        self.set.with(|set| set.len()).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long they are waited for before they are aborted: 5 s unless said otherwise. Zero aborts at once.
    pub fn grace(self, grace: Duration) -> Tasks<T> {
        Tasks { grace, ..self }
    }

    /// The set itself. `None` once its cleanup has begun.
    pub fn into_inner(self) -> Option<JoinSet<T>> {
        self.set.take()
    }
}

impl<T: 'static> From<JoinSet<T>> for Tasks<T> {
    /// Tasks that can't be asked: the cleanup aborts them.
    fn from(set: JoinSet<T>) -> Tasks<T> {
        let (label, stop) = (Label::from("tasks"), CancellationToken::new());
        Tasks { label, stop, asks: false, grace: GRACE, set: Held::new(set) }
    }
}

impl<T: Send + 'static> Resource for Tasks<T> {
    const CATEGORY: Category = Category::Process;

    fn label(&self) -> Label {
        self.label.clone()
    }

    // No last resort: a set that is dropped, as it is when its cleanup is given up, aborts its tasks.
    fn cleanup(&mut self) -> Cleanup {
        let (label, stop, set) = (self.label.clone(), self.stop.clone(), self.set.clone());
        let grace = if self.asks { self.grace } else { Duration::ZERO };
        Cleanup::future(move || async move {
            stop.cancel();
            match set.take() {
                Some(set) => end(set, grace).await.map_err(|why| why.of(label)),
                None => Ok(()),
            }
        })
    }
}

/// The first thing that went wrong, after all have ended.
async fn end<T: 'static>(mut set: JoinSet<T>, grace: Duration) -> Result<(), Why> {
    let mut first = Ok(());
    let start = Instant::now();
    while !grace.is_zero()
        && let Ok(next) = timeout(grace.saturating_sub(start.elapsed()), set.join_next()).await
    {
        let Some(ended) = next else { return first };
        first = first.and(Why::of_end(ended));
    }
    if !grace.is_zero() && !set.is_empty() {
        first = first.and(Err(Why::Outlasted { left: set.len(), grace }));
    }
    set.abort_all();
    while let Some(ended) = set.join_next().await {
        first = first.and(Why::of_end(ended));
    }
    first
}

impl<T> fmt::Debug for Tasks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Tasks");
        out.field("label", &self.label).field("set", &self.set).finish_non_exhaustive()
    }
}
