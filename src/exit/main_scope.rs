//! [`run`]: a `main` with a teardown at its end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::cleanup::CleanupReason;
use crate::exit::end::finish;

/// How many calls of [`run`] there are at once.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Runs the body of `main`, then shuts the global manager down while the calling thread still has its thread-locals
/// and whatever runtime is around it.
///
/// The exit code is that of what `main` returns: an `Err` is printed to stderr, as it is for `main`. A panic goes on
/// after the teardown. What could not be cleaned is said on stderr, and changes no exit code. Without it the same
/// teardown runs a little later, when the C library ends the process, on Unix; elsewhere only here.
///
/// The teardown blocks the calling thread, within the manager's
/// [`shutdown_deadline`](crate::ManagerConfig::shutdown_deadline), in async code too. Within another `run` it only
/// runs the body; after another one its guards still clean when they are dropped.
///
/// # Panics
/// When `main` does, after the teardown.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     castoff::run(|| {
///         let manager = ResourceManager::new("service");
///         std::mem::forget(manager.guard("socket", || println!("closed")));
///         "8080".parse::<u16>().map(drop)
///     })
/// }
/// ```
pub fn run<R: Termination>(main: impl FnOnce() -> R) -> ExitCode {
    let is_outermost = RUNNING.fetch_add(1, SeqCst) == 0;
    let ended = catch_unwind(AssertUnwindSafe(|| main().report()));
    if is_outermost {
        // A test may call this, with others beside it. Where nothing hears `exit` it is the only end there is.
        finish("end of main", CleanupReason::ProcessExit, cfg!(not(unix)));
    }
    RUNNING.fetch_sub(1, SeqCst);
    match ended {
        Ok(code) => code,
        Err(panic) => resume_unwind(panic),
    }
}
