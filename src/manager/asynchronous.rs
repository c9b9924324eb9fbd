//! What a manager does for asynchronous code.

use std::panic::Location;

use crate::cleanup::{CleanupReason, Outcome, async_work};
use crate::guard::ResourceGuard;
use crate::id::Label;
use crate::manager::ResourceManager;
use crate::registration::register_short;
use crate::report::TeardownReport;
use crate::runtime::inside;
use crate::teardown::shutdown_async;

impl ResourceManager {
    /// Registers a cleanup that awaits: the closure makes its future. Never refused, as [`guard`](Self::guard).
    ///
    /// Both run on castoff's own runtime thread, whichever way the cleanup begins: what they use must not need a
    /// runtime that may be gone or blocked by then.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use castoff::{ResourceGuard, ResourceManager};
    ///
    /// let manager = ResourceManager::new("sessions");
    /// let session = manager.guard_async("session", || async {
    ///     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     castoff::done()
    /// });
    /// ResourceGuard::close_async(session).await
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn guard_async<F, Fut>(&self, label: impl Into<Label>, cleanup: F) -> ResourceGuard<()>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        let (site, work) = (Location::caller(), async_work(cleanup));
        ResourceGuard::new((), register_short(self.node(), label.into(), site, None, None, work))
    }

    /// [`shutdown`](Self::shutdown) without blocking the thread that awaits.
    ///
    /// # Cancel safety
    /// As [`Teardown::run_async`](crate::Teardown::run_async): what runs goes on, what had not started stays live, and
    /// the manager is free at once. It is sealed only if it was by then.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let manager = castoff::ResourceManager::new("ending");
    /// let _session = manager.guard_async("session", || async { castoff::done() });
    /// assert!(manager.shutdown_async().await.is_success());
    /// assert!(manager.resource("too late").guard(|| ()).is_err());
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn shutdown_async(&self) -> TeardownReport {
        shutdown_async(self.node(), CleanupReason::Teardown).await
    }

    /// Waits until every cleanup that a drop in asynchronous code handed over has ended, here and below, with what
    /// that set free. Inside of a cleanup it returns at once: it would wait for itself.
    ///
    /// # Cancel safety
    /// Nothing depends on it: dropped, it only waits no more.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let manager = castoff::ResourceManager::new("settling");
    /// drop(manager.guard_async("session", || async { castoff::done() })); // returns at once
    /// manager.settle_async().await;
    /// assert_eq!(manager.stats().cleaned, 1);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn settle_async(&self) {
        if inside().is_empty() {
            std::future::poll_fn(|cx| self.node().handed_over.poll_none(cx)).await;
        }
    }
}
