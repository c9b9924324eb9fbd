//! Subscriptions of asynchronous code: a handler that is called for what comes, and a stream that ends.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::adapters::running::Running;
use crate::adapters::slot::Slot;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// What a [`Source`] has next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received<T> {
    /// An event.
    Event(T),
    /// So many events were lost, because they came faster than they were taken.
    Lost(u64),
    /// There will be no more.
    Ended,
}

/// Where a [`TokioListener`] has its events from: the receivers of tokio's `broadcast`, `watch` and `mpsc` channels, a
/// [`Stream`] in a [`Streamed`], or a type of your own.
pub trait Source: Send + 'static {
    /// What it yields.
    type Event: Send + 'static;

    /// Waits for what comes next.
    ///
    /// # Cancel safety
    /// It has to be: nothing is lost when it is dropped before it is done.
    fn receive(&mut self) -> impl Future<Output = Received<Self::Event>> + Send;
}

impl<T: Clone + Send + 'static> Source for broadcast::Receiver<T> {
    type Event = T;
    async fn receive(&mut self) -> Received<T> {
        match self.recv().await {
            Ok(event) => Received::Event(event),
            Err(RecvError::Lagged(lost)) => Received::Lost(lost),
            Err(RecvError::Closed) => Received::Ended,
        }
    }
}

/// Yields each value that it sees change, not the first.
impl<T: Clone + Send + Sync + 'static> Source for watch::Receiver<T> {
    type Event = T;
    async fn receive(&mut self) -> Received<T> {
        match self.changed().await {
            Ok(()) => Received::Event(self.borrow_and_update().clone()),
            Err(_) => Received::Ended,
        }
    }
}

impl<T: Send + 'static> Source for mpsc::Receiver<T> {
    type Event = T;
    async fn receive(&mut self) -> Received<T> {
        self.recv().await.map_or(Received::Ended, Received::Event)
    }
}

impl<T: Send + 'static> Source for mpsc::UnboundedReceiver<T> {
    type Event = T;
    async fn receive(&mut self) -> Received<T> {
        self.recv().await.map_or(Received::Ended, Received::Event)
    }
}

/// A stream as a [`Source`]: what flume, async-broadcast and others give.
#[derive(Debug)]
pub struct Streamed<S>(Pin<Box<S>>);

impl<S> Streamed<S> {
    /// Takes the stream.
    pub fn new(stream: S) -> Streamed<S> {
        Streamed(Box::pin(stream))
    }
}

impl<S: Stream<Item: Send + 'static> + Send + 'static> Source for Streamed<S> {
    type Event = S::Item;
    async fn receive(&mut self) -> Received<S::Item> {
        let next = std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await;
        next.map_or(Received::Ended, Received::Event)
    }
}

/// A handler that is called for what a [`Source`] yields, one event after the other, in a task of the tokio runtime at
/// hand.
///
/// Its cleanup lets no call begin any more, waits for the one that runs, and drops the source, which unsubscribes it:
/// after it there is no delivery. What is still in a channel then is not delivered. A handler that panicked fails the
/// cleanup. In the last resort the task is aborted: a handler that hangs ends at its next `await`.
///
/// A handler may drop its own guard, but not wait for that: `close_async` in it waits for that very handler.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use castoff::adapters::TokioListener;
/// use castoff::{ResourceGuard, ResourceManager};
/// use tokio::sync::{broadcast, mpsc};
///
/// let (orders, source) = broadcast::channel(16);
/// let (seen, mut was_seen) = mpsc::unbounded_channel();
/// let audit = TokioListener::spawn("audit", source, move |order: &str| {
///     let (seen, order) = (seen.clone(), order.to_owned());
///     async move { drop(seen.send(order)) }
/// });
/// let audit = ResourceManager::new("shop").adopt(audit);
/// orders.send("tea").expect("somebody listens");
/// assert_eq!(was_seen.recv().await.as_deref(), Some("tea"));
/// assert!(ResourceGuard::close_async(audit).await.is_ok());
/// assert!(orders.send("coffee").is_err(), "nobody listens");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a listener that is dropped ends"]
pub struct TokioListener {
    label: Label,
    running: Running,
    lost: Arc<AtomicU64>,
}

impl TokioListener {
    /// Listens from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn<S, F, Fut>(label: impl Into<Label>, source: S, handler: F) -> TokioListener
    where
        S: Source,
        F: FnMut(S::Event) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let running = Running::spawn(|ending| listen(source, handler, ending, counter));
        TokioListener { label: label.into(), running, lost }
    }

    /// How many events came faster than they were taken, and were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether it hears no more: it was cleaned, or its source has ended.
    pub fn is_over(&self) -> bool {
        self.running.is_over()
    }
}

async fn listen<S, F, Fut>(mut source: S, mut handler: F, ending: CancellationToken, lost: Arc<AtomicU64>)
where
    S: Source,
    F: FnMut(S::Event) -> Fut,
    Fut: Future<Output = ()>,
{
    while let Some(received) = ending.run_until_cancelled(source.receive()).await {
        match received {
            // Asked again: an event may have been there at the same time as the end.
            Received::Event(_) if ending.is_cancelled() => return,
            Received::Event(event) => handler(event).await,
            Received::Lost(count) => drop(lost.fetch_add(count, Ordering::Relaxed)),
            Received::Ended => return,
        }
    }
}

impl Resource for TokioListener {
    const CATEGORY: Category = Category::Event;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        self.running.cleanup()
    }
}

impl fmt::Debug for TokioListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioListener")
            .field("label", &self.label)
            .field("lost", &self.lost())
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

/// A stream that ends when it is cleaned.
///
/// Its cleanup drops the stream inside, which unsubscribes it, and wakes who waits for the next item: from then on there
/// is none. It never waits for long: for a poll that is under way, and there is no last resort.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use castoff::ResourceManager;
/// use castoff::adapters::Subscribed;
/// use futures_util::StreamExt;
///
/// let manager = ResourceManager::new("prices");
/// let mut prices = manager.adopt(Subscribed::new("prices", futures_util::stream::repeat(7)));
/// assert_eq!(prices.next().await, Some(7));
/// assert!(manager.cleanup().is_success());
/// assert_eq!(prices.next().await, None);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Subscribed<S> {
    label: Label,
    slot: Arc<Slot<Pin<Box<S>>>>,
}

impl<S: Stream> Subscribed<S> {
    /// Takes the stream.
    pub fn new(label: impl Into<Label>, stream: S) -> Subscribed<S> {
        Subscribed { label: label.into(), slot: Arc::new(Slot::new(Box::pin(stream))) }
    }

    /// The stream itself. `None` after its cleanup.
    pub fn into_inner(self) -> Option<Pin<Box<S>>> {
        self.slot.close()
    }
}

impl<S: Stream> Stream for Subscribed<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Poll::Ready(Ok(mut stream)) = self.slot.poll_borrow(cx) else { return Poll::Ready(None) };
        let polled = stream.as_mut().poll_next(cx);
        drop(stream);
        // Whoever has cleaned it meanwhile may already count on that nothing comes any more.
        if self.slot.watch(cx) { Poll::Ready(None) } else { polled }
    }
}

impl<S: Stream + Send + 'static> Resource for Subscribed<S> {
    const CATEGORY: Category = Category::Event;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let slot = Arc::clone(&self.slot);
        Cleanup::sync(move || drop(slot.close()))
    }
}

impl<S> fmt::Debug for Subscribed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed").field("label", &self.label).field("slot", &self.slot).finish()
    }
}
