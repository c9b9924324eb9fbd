//! [`ShutdownToken`]: how the rest of the program hears that the process is about to end.
//!
//! One state for the whole process, which changes once. A token that has been polled has one waker in it, under a
//! number of its own, and takes that out when it is dropped. Wakers are foreign code: they are cloned, woken and
//! dropped with the lock released.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[cfg(feature = "tokio")]
use once_cell::sync::Lazy;
#[cfg(feature = "tokio")]
use tokio_util::sync::CancellationToken;

use crate::clock::after;
use crate::unwind::contain;

struct Waiting {
    requested: bool,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { requested: false, next: 0, wakers: BTreeMap::new() });
static REQUESTED: Condvar = Condvar::new();
#[cfg(feature = "tokio")]
static CANCELLATION: Lazy<CancellationToken> = Lazy::new(CancellationToken::new);

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the process was asked to end: true from the first signal that the exit hooks hear, before anything is
/// cleaned. Ask it, block on it, or await it under any executor.
///
/// All tokens are of the process, whatever manager they are from, and a signal fires all of them, for good.
/// `shutdown` and `exit` fire none. Without [exit hooks](crate::ResourceManager::install_exit_hooks) none ever fires.
///
/// # Cancel safety
/// A token that is dropped while it waits leaves nothing behind.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let token = ResourceManager::global().shutdown_requested();
/// let worker = std::thread::spawn(move || {
///     for _job in 0..3 {
///         if token.is_requested() {
///             break;
///         }
///     }
/// });
/// # worker.join().expect("it ends by itself");
/// ```
pub struct ShutdownToken {
    /// Its waker's number, once it has one.
    key: Option<u64>,
}

impl ShutdownToken {
    pub(crate) fn new() -> ShutdownToken {
        ShutdownToken { key: None }
    }

    /// Whether a signal has come.
    ///
    /// # Examples
    /// ```
    /// let token = castoff::ResourceManager::global().shutdown_requested();
    /// assert!(!token.is_requested());
    /// ```
    pub fn is_requested(&self) -> bool {
        waiting().requested
    }

    /// Blocks until a signal comes: for ever, if no exit hooks are installed.
    ///
    /// What comes after it races with the teardown, and with the end of the process by the signal.
    ///
    /// # Examples
    /// ```no_run
    /// use castoff::{ExitOptions, ResourceManager};
    ///
    /// let manager = ResourceManager::global();
    /// manager.install_exit_hooks(ExitOptions::default())?.forget();
    /// let _guard = manager.guard("socket", || println!("closed"));
    /// manager.shutdown_requested().wait();
    /// # Ok::<(), castoff::ExitHookError>(())
    /// ```
    pub fn wait(&self) {
        let mut waiting = waiting();
        while !waiting.requested {
            waiting = REQUESTED.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same, but no longer than this. Whether a signal has come.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let token = castoff::ResourceManager::global().shutdown_requested();
    /// assert!(!token.wait_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "it says whether the signal came or the time passed"]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let Some(end) = after(Instant::now(), limit) else {
            self.wait();
            return true;
        };
        let mut waiting = waiting();
        while !waiting.requested {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = REQUESTED.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// A [`CancellationToken`] that is cancelled when a signal comes, for code that knows of those. Cancelling it
    /// fires nothing here. Any number of them may be had; each is a child of one that is kept for the process.
    ///
    /// # Examples
    /// ```
    /// let token = castoff::ResourceManager::global().shutdown_requested();
    /// let cancellation = token.cancellation_token();
    /// assert!(!cancellation.is_cancelled());
    /// cancellation.cancel();
    /// assert!(!token.is_requested());
    /// ```
    #[cfg(feature = "tokio")]
    #[must_use = "it is of no use unless somebody waits for it"]
    pub fn cancellation_token(&self) -> CancellationToken {
        CANCELLATION.child_token()
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<()> {
        let new = waker.clone();
        let mut waiting = waiting();
        if waiting.requested {
            drop(waiting);
            drop(new);
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        let old = waiting.wakers.insert(key, new);
        drop(waiting);
        drop(old);
        Poll::Pending
    }
}

impl Future for ShutdownToken {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_with(cx.waker())
    }
}

impl Clone for ShutdownToken {
    /// Another token, which has waited for nothing yet.
    fn clone(&self) -> ShutdownToken {
        ShutdownToken::new()
    }
}

impl Drop for ShutdownToken {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let gone = waiting().wakers.remove(&key);
            contain(move || drop(gone));
        }
    }
}

impl fmt::Debug for ShutdownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownToken").field("requested", &self.is_requested()).finish()
    }
}

/// Fires all tokens there are and will be.
pub(super) fn fire() {
    let wakers = {
        let mut waiting = waiting();
        waiting.requested = true;
        std::mem::take(&mut waiting.wakers)
    };
    REQUESTED.notify_all();
    #[cfg(feature = "tokio")]
    contain(|| CANCELLATION.cancel());
    for waker in wakers.into_values() {
        contain(move || waker.wake());
    }
}
