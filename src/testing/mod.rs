//! Tests that fail when they leak: a scope around the body of a test, and a verdict at its end.
//!
//! Inside, [`ResourceManager::current`](crate::ResourceManager::current) is the test's own manager, so code under test
//! that asks for it does not escape; nothing here looks at any other, for tests run beside each other in one process.
//! The order is always the same:
//!
//! 1. the body, whose panic is caught;
//! 2. a look for leaks, before anything is cleaned. What is being cleaned just then gets up to 500 ms, so that what it
//!    frees is not blamed;
//! 3. the teardown, within the manager's deadline;
//! 4. the verdict: the body's own panic goes on, with what was found added to it; a body that passed fails if it left
//!    anything behind, if the teardown did not clean all, or if a cleanup failed that a drop had run.
//!
//! A leak is what is live when the body has ended, be its guard forgotten, in a static, on another thread or in what
//! the body returns. What was [leaked on purpose](crate::ResourceGuard::leak) or declared
//! [long-lived](crate::Registration::long_lived) is none. How severe that is, the variable `CASTOFF_LEAKS` says (`off`,
//! `count`, `warn`, `fail`), else [`ManagerConfig::leaks`](crate::ManagerConfig::leaks) of the manager around the test,
//! else it fails. `CASTOFF_LEAKS_ALLOW` names a [list](crate::LeakAllowList) of leaks that are known.
//!
//! What is too slow to be made for each test is [`Shared`] among them.
//!
//! The whole of it, and what it can't see, is in `docs/testing.md` in the repository.

#[cfg(feature = "macros")]
mod alone;
#[cfg(feature = "macros")]
mod attribute;
mod shared;
mod trial;
mod verdict;
#[cfg(feature = "macros")]
mod window;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub use self::attribute::Attribute;

pub use self::shared::{Made, Shared, SharedError};

use std::panic::Location;

use crate::id::Label;
use crate::manager::ResourceManager;
use crate::testing::trial::Trial;

/// Runs the body of a test with a manager of its own, and fails the test if it leaves anything behind.
///
/// The manager is a child of the [current](ResourceManager::current) one, and named after the test's thread. What the
/// body returns is returned, an `Err` too.
///
/// # Panics
/// When the body does, with its own payload; what was found besides is on stderr then, and at the end of the message if
/// that is a string. When the body did not, but leaks, or a cleanup failed that nobody else was told of: the message is
/// the report.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let sum = castoff::testing::scope(|manager| {
///     let _table = manager.guard("orders table", || ());
///     assert_eq!(ResourceManager::current().resource_count(), 1);
///     1 + 1
/// });
/// assert_eq!(sum, 2);
///
/// let leaky = || castoff::testing::scope(|manager| std::mem::forget(manager.guard("orders table", || ())));
/// let Err(payload) = std::panic::catch_unwind(leaky) else { panic!("it leaks") };
/// let message = payload.downcast_ref::<String>().map_or("", String::as_str);
/// assert!(message.contains("1 leak in ") && message.contains("`orders table`") && message.contains(file!()));
/// ```
#[track_caller]
pub fn scope<R>(body: impl FnOnce(&ResourceManager) -> R) -> R {
    let (trial, ended) = Trial::begin(thread_name(), Location::caller(), None, false).run(body);
    trial.findings().judge(ended, false, None)
}

/// [`scope`] for asynchronous tests: the body gets the manager by value, a handle, and what it makes is awaited.
/// [`ResourceManager::current`] is the test's manager while the body is polled, on whatever thread, and in what
/// [`castoff::task::spawn`](crate::task::spawn) starts.
///
/// # Panics
/// As [`scope`].
///
/// # Cancel safety
/// Dropped half-way, the body is dropped, and what it left is torn down on a thread of castoff's own; nobody is left to
/// be told how that went.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let sum = castoff::testing::async_scope(|manager| async move {
///     let _session = manager.guard_async("session", || async { castoff::done() });
///     1 + 1
/// }).await;
/// assert_eq!(sum, 2); // and the session's cleanup, which its drop handed over, has ended
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(feature = "tokio")]
#[track_caller]
pub fn async_scope<R, Fut>(body: impl FnOnce(ResourceManager) -> Fut) -> impl Future<Output = R>
where
    Fut: Future<Output = R>,
{
    let site = Location::caller();
    async move {
        let trial = Trial::begin(thread_name(), site, None, false);
        let (trial, ended) = trial.run_async(body).await;
        trial.findings_async().await.judge(ended, false, None)
    }
}

/// libtest names the thread of a test after it.
fn thread_name() -> Label {
    let thread = std::thread::current();
    Label::from(thread.name().filter(|name| *name != "main").unwrap_or("test").to_owned())
}
