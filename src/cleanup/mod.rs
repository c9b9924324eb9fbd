//! What ends a resource: [`Cleanup`], what it may return ([`Outcome`]), and what it is told ([`CleanupContext`]).

mod work;

use std::error::Error;
use std::fmt;
#[cfg(feature = "tokio")]
use std::pin::Pin;
use std::time::Instant;

use self::work::Step;
pub(crate) use self::work::Work;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// How a step goes on once it has begun.
pub(crate) enum Course {
    Done(Result<(), BoxError>),
    #[cfg(feature = "tokio")]
    Future(StepFuture),
}

/// What is left of an asynchronous step once it has begun.
#[cfg(feature = "tokio")]
pub(crate) type StepFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

impl<F: FnOnce(&CleanupContext) -> Result<(), BoxError> + Send + 'static> Step for SyncStep<F> {
    #[inline]
    fn begin(self, context: &CleanupContext) -> Course {
        Course::Done(self.0(context))
    }
}

struct SyncStep<F>(F);

#[cfg(feature = "tokio")]
struct AsyncStep<F>(F);

#[cfg(feature = "tokio")]
impl<F, Fut> Step for AsyncStep<F>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome,
{
    const IS_ASYNC: bool = true;

    fn begin(self, _: &CleanupContext) -> Course {
        let future = self.0();
        Course::Future(Box::pin(async move { future.await.into_result() }))
    }
}

// Nobody outside is meant to name these: that is what seals them.
#[allow(unnameable_types)]
mod sealed {
    pub trait Sealed {}
    pub trait Returns {
        type Output;
    }
    impl<T> Returns for fn() -> T {
        type Output = T;
    }
}

// The type `!` by its detour over a function's return type: it can't be written directly on stable Rust.
type Never = <fn() -> ! as sealed::Returns>::Output;

/// What a cleanup may return: `()`, `!`, or `Result<(), E>` with `E: Into<Box<dyn Error + Send + Sync>>`.
///
/// A cleanup that uses `?` ends in [`done`](crate::done). For what returns something else:
///
/// | the last call | what to write |
/// |---|---|
/// | `JoinHandle::join` | `handle.join().map_err(\|_\| "the worker panicked")` and `.map(drop)` if it returns a value |
/// | `Child::wait` | `child.wait().map(drop)` |
/// | a `bool` | `if ok { Ok(()) } else { Err("refused") }` |
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("outcomes");
/// let _plain = manager.guard("nothing to tell", || ());
/// let _fallible = manager.guard("a file", || std::fs::remove_file("/nonexistent/file"));
/// let _several = manager.guard("two steps", || {
///     std::fs::metadata("/")?;
///     castoff::done()
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "a cleanup returns `()` or `Result<(), E>`, not `{Self}`",
    note = "end a cleanup that uses `?` with `castoff::done()`; drop another value with `.map(drop)`"
)]
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl sealed::Sealed for () {}
impl Outcome for () {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl sealed::Sealed for Never {}
impl Outcome for Never {
    fn into_result(self) -> Result<(), BoxError> {
        self
    }
}

impl<E: Into<BoxError>> sealed::Sealed for Result<(), E> {}
impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// The last line of a cleanup that uses `?`.
///
/// # Errors
/// Never: it is `Ok(())` with the error type spelled out, which a closure that uses `?` can't infer.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("done");
/// let guard = manager.guard("index", || {
///     let size: usize = "12".parse()?;
///     assert_eq!(size, 12);
///     castoff::done()
/// });
/// assert!(castoff::ResourceGuard::close(guard).is_ok());
/// ```
pub fn done() -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(())
}

/// What ends a resource, with everything it needs captured: it may run on another thread, while the guard is
/// still held.
///
/// # Examples
/// ```
/// use castoff::{Cleanup, ResourceManager};
///
/// let manager = ResourceManager::new("cleanups");
/// let path = std::env::temp_dir().join(format!("castoff-doc-{}", std::process::id()));
/// std::fs::create_dir(&path)?;
/// let cleanup = Cleanup::sync({ let path = path.clone(); move || std::fs::remove_dir(path) });
/// let guard = manager.resource("scratch").keep(path.clone(), cleanup)?;
/// assert!(guard.exists());
/// drop(guard);
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cleanup {
    pub(crate) graceful: Work,
    pub(crate) last_resort: Option<Work>,
}

impl Cleanup {
    /// A cleanup that needs to be told nothing.
    ///
    /// # Examples
    /// ```
    /// let cleanup = castoff::Cleanup::sync(|| println!("gone"));
    /// ```
    pub fn sync<F, O>(f: F) -> Cleanup
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        Cleanup { graceful: work(f), last_resort: None }
    }

    /// A cleanup that awaits: the closure makes its future.
    ///
    /// Both run on castoff's own runtime thread, whichever way the cleanup begins: what the future uses must not
    /// need a runtime that may be gone or blocked by then. Open a new connection in the closure rather than bring
    /// one along.
    ///
    /// # Examples
    /// ```
    /// use castoff::{Cleanup, ResourceManager};
    /// use std::time::Duration;
    ///
    /// let manager = ResourceManager::new("futures");
    /// let cleanup = Cleanup::future(|| async {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     castoff::done()
    /// });
    /// let _guard = manager.resource("session").with_cleanup(cleanup)?;
    /// assert!(manager.cleanup().is_success());
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn future<F, Fut>(f: F) -> Cleanup
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        Cleanup { graceful: async_work(f), last_resort: None }
    }

    /// A cleanup that is told why it runs and how long it has.
    ///
    /// # Examples
    /// ```
    /// use castoff::{Cleanup, CleanupReason, ResourceGuard, ResourceManager};
    ///
    /// let manager = ResourceManager::new("context");
    /// let cleanup = Cleanup::with_context(|cx| match cx.reason() {
    ///     CleanupReason::Closed => Ok(()),
    ///     other => Err(format!("{other:?}")),
    /// });
    /// let guard = manager.resource("session").with_cleanup(cleanup)?;
    /// assert!(ResourceGuard::close(guard).is_ok());
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn with_context<F, O>(f: F) -> Cleanup
    where
        F: FnOnce(&CleanupContext) -> O + Send + 'static,
        O: Outcome,
    {
        Cleanup { graceful: work_with_context(f), last_resort: None }
    }

    /// What to do when the graceful step failed, panicked or timed out: force. It runs once, after the graceful
    /// step has ended or was given up, and the outcome still tells how the graceful step went.
    ///
    /// # Examples
    /// ```
    /// use castoff::{Cleanup, ResourceGuard, ResourceManager};
    /// use std::sync::mpsc;
    ///
    /// let (killed, was_killed) = mpsc::channel();
    /// let cleanup = Cleanup::sync(|| Err("it did not answer")).last_resort(move || killed.send("SIGKILL"));
    /// let guard = ResourceManager::new("force").resource("server").with_cleanup(cleanup)?;
    /// assert!(ResourceGuard::close(guard).is_err());
    /// assert_eq!(was_killed.recv(), Ok("SIGKILL"));
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn last_resort<F, O>(self, f: F) -> Cleanup
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        Cleanup { last_resort: Some(work(f)), ..self }
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup").field("last_resort", &self.last_resort.is_some()).finish_non_exhaustive()
    }
}

pub(crate) fn work<F, O>(f: F) -> Work
where
    F: FnOnce() -> O + Send + 'static,
    O: Outcome,
{
    work_with_context(move |_| f().into_result())
}

pub(crate) fn work_with_context<F, O>(f: F) -> Work
where
    F: FnOnce(&CleanupContext) -> O + Send + 'static,
    O: Outcome,
{
    Work::new(SyncStep(move |context: &CleanupContext| f(context).into_result()))
}

#[cfg(feature = "tokio")]
pub(crate) fn async_work<F, Fut>(f: F) -> Work
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome,
{
    Work::new(AsyncStep(f))
}

/// What a cleanup is told: why it runs, and until when.
///
/// # Examples
/// ```
/// use castoff::{CleanupReason, ResourceManager};
///
/// let manager = ResourceManager::new("contexts");
/// let guard = manager.resource("cache").guard_with_context(|cx| {
///     assert_eq!(cx.reason(), CleanupReason::Dropped);
///     assert!(cx.deadline().is_none());
/// })?;
/// drop(guard);
/// assert_eq!(manager.stats().cleaned, 1);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CleanupContext {
    pub(crate) reason: CleanupReason,
    pub(crate) deadline: Option<Instant>,
}

impl CleanupContext {
    /// Why the cleanup runs.
    pub fn reason(&self) -> CleanupReason {
        self.reason
    }

    /// When the cleanup will be given up: its own timeout or the teardown's deadline, whichever is first. `None`
    /// where nothing limits it.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// Why a cleanup runs.
///
/// # Examples
/// ```
/// use castoff::CleanupReason;
/// assert_ne!(CleanupReason::Dropped, CleanupReason::Teardown);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum CleanupReason {
    /// The guard was dropped, or the last dependent of a guard dropped before has gone.
    Dropped,
    /// [`ResourceGuard::close`](crate::ResourceGuard::close) was called.
    Closed,
    /// A teardown chose it.
    Teardown,
    /// Its scope ended.
    ScopeEnded,
    /// The guard was dropped while its thread was panicking, or a panic is about to abort the process.
    Panicking,
    /// The process got this signal.
    Signal(i32),
    /// The process is ending.
    ProcessExit,
}
