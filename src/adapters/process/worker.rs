//! A thread that is told to stop.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use crate::adapters::held::Held;
use crate::adapters::pause::{before_it_is_given_up, ends_within};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long a thread is waited for, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// A thread: the cleanup tells it to stop, waits for it for 10 s, and joins it.
///
/// [`spawn`](Worker::spawn) starts one and gives it a [`StopSignal`]; [`new`](Worker::new) takes one that runs already, and
/// how it is told. A thread can't be forced: one that does not stop in time is an error, and is left behind. So is one that
/// panicked, before its cleanup or in it: nobody else would hear of that.
///
/// A worker that ends itself, by dropping its own guard, is told to stop, and not waited for.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::Worker;
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("service");
/// let worker = manager.adopt(Worker::spawn("mailer", |stop| {
///     while !stop.wait(Duration::from_secs(60)) {
///         // once a minute
///     }
/// })?);
/// assert!(!worker.is_finished());
///
/// assert!(manager.cleanup().is_success());
/// assert!(worker.is_finished());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// One that waits for work is told by closing its channel:
///
/// ```
/// use castoff::{ResourceGuard, ResourceManager};
/// use castoff::adapters::Worker;
/// use std::sync::mpsc;
///
/// let (orders, queue) = mpsc::channel::<u32>();
/// let thread = std::thread::spawn(move || queue.iter().sum::<u32>());
/// let worker = ResourceManager::new("service").adopt(Worker::new("packer", thread, move || drop(orders)));
/// ResourceGuard::close(worker)?;
/// # Ok::<(), castoff::CleanupError>(())
/// ```
#[must_use = "a worker that is dropped runs on: adopt it"]
pub struct Worker<T = ()> {
    name: Label,
    grace: Duration,
    stop: Held<Box<dyn FnOnce() + Send>>,
    thread: Held<JoinHandle<T>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Takes a thread that runs, and how it is told to stop: a flag that is set, a channel that is closed.
    pub fn new(
        name: impl Into<Label>,
        thread: JoinHandle<T>,
        stop: impl FnOnce() + Send + 'static,
    ) -> Worker<T> {
        Worker { name: name.into(), grace: GRACE, stop: Held::new(Box::new(stop)), thread: Held::new(thread) }
    }

    /// Starts a thread of this name, which looks at the signal from time to time.
    ///
    /// # Errors
    /// If the system refuses a thread.
    ///
    /// # Panics
    /// If the name holds a zero byte.
    pub fn spawn<F>(name: impl Into<Label>, work: F) -> io::Result<Worker<T>>
    where
        F: FnOnce(&StopSignal) -> T + Send + 'static,
    {
        let (name, stop) = (name.into(), StopSignal::default());
        let seen = stop.clone();
        let thread = Builder::new().name(name.to_string()).spawn(move || work(&seen))?;
        Ok(Worker::new(name, thread, move || stop.set()))
    }

    /// How long it is waited for: 10 s unless said otherwise, never longer than nine tenths of what the cleanup's timeout
    /// leaves.
    pub fn grace(self, grace: Duration) -> Worker<T> {
        Worker { grace, ..self }
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.with(|thread| thread.is_finished()).unwrap_or(true)
    }

    /// The thread itself, not told to stop. `None` once its cleanup has joined it.
    pub fn into_inner(self) -> Option<JoinHandle<T>> {
        self.thread.take()
    }
}

impl<T: Send + 'static> Resource for Worker<T> {
    const CATEGORY: Category = Category::Process;

    fn label(&self) -> Label {
        self.name.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (name, grace) = (self.name.clone(), self.grace);
        let (stop, thread) = (self.stop.clone(), self.thread.clone());
        Cleanup::with_context(move |cx| {
            stop.take().into_iter().for_each(|stop| stop());
            join(name, &thread, before_it_is_given_up(grace, cx.deadline()))
        })
    }
}

fn join<T>(name: Label, thread: &Held<JoinHandle<T>>, grace: Duration) -> Result<(), WorkerError> {
    // A thread that waits for itself would wait for ever.
    if thread.with(|it| it.thread().id() == thread::current().id()) == Some(true) {
        return Ok(());
    }
    let has_ended = || Ok(thread.with(|thread| thread.is_finished()).unwrap_or(true));
    if !ends_within(grace, has_ended)? {
        return Err(WorkerError::Outlasted { name, grace });
    }
    match thread.take().map(JoinHandle::join) {
        Some(Err(payload)) => Err(WorkerError::Panicked { name, message: message(&*payload) }),
        _ => Ok(()),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}

/// Why the cleanup of a [`Worker`] failed.
///
/// # Examples
/// ```
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
/// use castoff::adapters::{Worker, WorkerError};
///
/// let worker: Worker = Worker::spawn("packer", |_| panic!("no such order"))?;
/// let guard = ResourceManager::new("service").adopt(worker);
/// let Err(error) = ResourceGuard::close(guard) else { panic!("it panicked") };
/// let CleanupErrorKind::Failed(cause) = error.kind else { panic!("it says why") };
/// assert!(matches!(cause.downcast_ref(), Some(WorkerError::Panicked { message, .. }) if message == "no such order"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It had not ended when its grace was over, and is left behind.
    #[error(
        "thread `{name}` had not ended {grace:.1?} after it was told to stop, and is left behind; let it look more often, or give it a longer `grace`"
    )]
    Outlasted {
        /// What it is called.
        name: Label,
        /// How long it had.
        grace: Duration,
    },
    /// It panicked.
    #[error("thread `{name}` panicked: {message}")]
    Panicked {
        /// What it is called.
        name: Label,
        /// The panic's message.
        message: String,
    },
}

/// Tells a [`Worker`] to stop.
///
/// # Examples
/// ```
/// use castoff::adapters::StopSignal;
/// use std::time::Duration;
///
/// let stop = StopSignal::default();
/// assert!(!stop.wait(Duration::from_millis(1)));
/// stop.clone().set();
/// assert!(stop.is_set() && stop.wait(Duration::MAX));
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<(Mutex<bool>, Condvar)>);

impl StopSignal {
    /// Tells it. It stays told.
    pub fn set(&self) {
        let (told, changed) = &*self.0;
        *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it is to stop.
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for so long, or until it is to stop. Whether it is.
    pub fn wait(&self, pause: Duration) -> bool {
        let (told, changed) = &*self.0;
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(told, pause, |told| !*told);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Worker");
        out.field("name", &self.name).field("grace", &self.grace).finish_non_exhaustive()
    }
}
