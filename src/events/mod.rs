//! What happens, told to who listens: [`ResourceEvent`] and [`Subscription`].

#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
pub(crate) mod spans;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::CleanupError;
use crate::finding::ResourceLeak;
use crate::id::{Label, ResourceId};
use crate::sync::Lock;
use crate::unwind::contain;

/// Something that happened to a resource or a manager.
///
/// Listeners run on the thread that caused the event, one event of one resource after the other, while no lock of
/// castoff's is held: a listener may register, close or look. It should be quick, for it holds up what it hears of.
///
/// # Examples
/// ```
/// use castoff::{ResourceEvent, ResourceManager};
/// use std::sync::mpsc;
///
/// let manager = ResourceManager::new("watched");
/// let (tell, told) = mpsc::channel();
/// let _subscription = manager.subscribe(move |event| {
///     if let ResourceEvent::Cleaned { label, .. } = event {
///         tell.send(label.to_string()).ok();
///     }
/// });
/// drop(manager.guard("cache", || ()));
/// assert_eq!(told.try_recv().as_deref(), Ok("cache"));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ResourceEvent {
    /// A resource was registered.
    Registered {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A resource was let go without a cleanup.
    Released {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A guard is gone while others depend on its resource: the cleanup waits for them.
    Deferred {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A cleanup succeeded.
    Cleaned {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A cleanup failed, panicked or was given up.
    CleanupFailed {
        /// What happened.
        error: CleanupError,
    },
    /// A teardown has been waiting for this cleanup longer than
    /// [`ManagerConfig::slow_after`](crate::ManagerConfig::slow_after), once more.
    SlowCleanup {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// The system refused a thread for this cleanup, which is about to run on the thread that asked for it: no timeout and no
    /// deadline holds there, and where that thread is an asynchronous runtime's it is blocked meanwhile.
    Unwatched {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A teardown begins.
    TeardownStarted {
        /// The manager that is torn down.
        manager: Label,
    },
    /// A teardown has ended.
    TeardownFinished {
        /// The manager that was torn down.
        manager: Label,
    },
    /// Somebody looked, and a resource should not be live. Told once for each.
    LeakDetected {
        /// What was found.
        leak: ResourceLeak,
    },
    /// A resource that was told of as a leak has ended.
    Unleaked {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
    /// A cleanup that had been given up has ended after all.
    FinishedLate {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
        /// How long the cleanup took.
        after: Duration,
    },
    /// A short form registered one more than the manager may hold.
    LimitExceeded {
        /// What was registered.
        label: Label,
        /// How many may live at once.
        limit: usize,
    },
    /// A short form registered with a manager that was shut down.
    RegisteredAfterShutdown {
        /// The resource.
        id: ResourceId,
        /// What people call it.
        label: Label,
    },
}

impl ResourceEvent {
    /// The resource that it is about, if it is about one that is registered.
    pub fn id(&self) -> Option<ResourceId> {
        match self {
            ResourceEvent::Registered { id, .. }
            | ResourceEvent::Released { id, .. }
            | ResourceEvent::Deferred { id, .. }
            | ResourceEvent::Cleaned { id, .. }
            | ResourceEvent::SlowCleanup { id, .. }
            | ResourceEvent::Unwatched { id, .. }
            | ResourceEvent::Unleaked { id, .. }
            | ResourceEvent::FinishedLate { id, .. }
            | ResourceEvent::RegisteredAfterShutdown { id, .. } => Some(*id),
            ResourceEvent::CleanupFailed { error } => Some(error.id),
            ResourceEvent::LeakDetected { leak } => Some(leak.id),
            ResourceEvent::TeardownStarted { .. }
            | ResourceEvent::TeardownFinished { .. }
            | ResourceEvent::LimitExceeded { .. } => None,
        }
    }

    /// What people call the resource that it is about.
    pub fn label(&self) -> Option<&Label> {
        match self {
            ResourceEvent::Registered { label, .. }
            | ResourceEvent::Released { label, .. }
            | ResourceEvent::Deferred { label, .. }
            | ResourceEvent::Cleaned { label, .. }
            | ResourceEvent::SlowCleanup { label, .. }
            | ResourceEvent::Unwatched { label, .. }
            | ResourceEvent::Unleaked { label, .. }
            | ResourceEvent::FinishedLate { label, .. }
            | ResourceEvent::LimitExceeded { label, .. }
            | ResourceEvent::RegisteredAfterShutdown { label, .. } => Some(label),
            ResourceEvent::CleanupFailed { error } => Some(&error.label),
            ResourceEvent::LeakDetected { leak } => Some(&leak.label),
            ResourceEvent::TeardownStarted { .. } | ResourceEvent::TeardownFinished { .. } => None,
        }
    }
}

type Listener = Arc<dyn Fn(&ResourceEvent) + Send + Sync>;

/// Subscriptions of the whole process: while there is none, nothing is told and no label is copied for it.
static SUBSCRIPTIONS: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Whether anyone listens to anything, a `tracing` subscriber included.
#[inline]
pub(crate) fn anyone_listens() -> bool {
    SUBSCRIPTIONS.load(Relaxed) != 0 || spans::on()
}

/// Who listens to one manager.
#[derive(Default)]
pub(crate) struct Listeners(Lock<Vec<(u64, Listener)>>);

impl Listeners {
    pub(crate) fn subscribe(self: &Arc<Self>, listener: Listener) -> Subscription {
        let key = NEXT.fetch_add(1, Relaxed);
        self.0.lock().push((key, listener));
        SUBSCRIPTIONS.fetch_add(1, Relaxed);
        Subscription { listeners: Arc::downgrade(self), key }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// A listener that panics harms nobody: the others still hear, and so will it next time.
    pub(crate) fn tell(&self, event: &ResourceEvent) {
        let listeners: Vec<Listener> = self.0.lock().iter().map(|(_, listener)| listener.clone()).collect();
        for listener in listeners {
            contain(|| listener(event));
            contain(move || drop(listener));
        }
    }
}

/// Listens as long as it lives.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::sync::Arc;
///
/// let manager = ResourceManager::new("subscriptions");
/// let heard = Arc::new(());
/// let subscription = manager.subscribe({ let heard = heard.clone(); move |_| drop(heard.clone()) });
/// drop(subscription);
/// assert_eq!(Arc::strong_count(&heard), 1, "the listener is gone");
/// ```
#[derive(Debug)]
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    listeners: Weak<Listeners>,
    key: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        SUBSCRIPTIONS.fetch_sub(1, Relaxed);
        let Some(listeners) = self.listeners.upgrade() else { return };
        let gone = {
            let mut list = listeners.0.lock();
            list.iter().position(|(key, _)| *key == self.key).map(|at| list.remove(at))
        };
        // What the listener captured is foreign code when it is dropped: outside the lock.
        contain(move || drop(gone));
    }
}
