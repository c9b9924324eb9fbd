//! How a process ends: `exit` and the return of `main`, signals, panics that abort.
//!
//! In comes the end (the C library's `atexit`, a signal through ctrlc, the panic hook, the end of
//! [`run`](crate::run)); out goes one teardown of what is to be torn down, on a thread of its own (`end`), watched,
//! and never more than once. Signals and stderr are `sys`, and all that is unsafe.
//!
//! `dump` is the one thing here that ends nothing: a signal that asks what leaks.
//!
//! 1. Nothing touches a signal before hooks are installed, and what was there is put back when they are dropped.
//! 2. Nothing here waits without a bound: not for a lock, a cleanup, a callback or a reader of stderr. Foreign code
//!    runs on threads that can be left behind.
//! 3. In a forked child nothing runs.
//! 4. Nothing is written to stdout.
//! 5. A signal's end, once begun, is the process's end: `exit` waits for it.

#[cfg(unix)]
mod dump;
mod end;
mod hooks;
mod main_scope;
mod options;
mod panic;
mod say;
mod signal;
#[cfg_attr(not(unix), path = "elsewhere.rs")]
mod sys;
mod token;

#[cfg(unix)]
pub use dump::{DumpError, LeakDump, dump_on};
pub use hooks::ExitHooks;
pub use main_scope::run;
pub use options::{ExitOptions, ExitReporting, ExitSignal};
pub use token::ShutdownToken;

pub(crate) use end::{is_ending, watch_over, watch_over_last};
pub(crate) use hooks::install;
