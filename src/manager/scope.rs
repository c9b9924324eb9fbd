//! Scopes: child managers that end with a block, and the manager that code in them finds without being handed it.

use std::cell::RefCell;
#[cfg(feature = "tokio")]
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
#[cfg(feature = "tokio")]
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
#[cfg(feature = "tokio")]
use std::task::Poll;

#[cfg(feature = "tokio")]
use scopeguard::ScopeGuard;

use crate::cleanup::CleanupReason;
use crate::id::Label;
use crate::manager::ResourceManager;
use crate::report::TeardownReport;
#[cfg(feature = "tokio")]
use crate::runtime::elsewhere;
use crate::teardown::shutdown;
#[cfg(feature = "tokio")]
use crate::teardown::shutdown_async;
use crate::unwind::contain;

thread_local! {
    /// The managers of the scopes that this thread is in, the innermost last.
    static CURRENT: RefCell<Vec<ResourceManager>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread is in this manager's scope while it lives.
pub(crate) struct Entered;

impl Entered {
    pub(crate) fn enter(manager: &ResourceManager) -> Entered {
        CURRENT.try_with(|scopes| scopes.borrow_mut().push(manager.clone())).unwrap_or(());
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // The last handle of a manager is dropped outside of the borrow.
        drop(CURRENT.try_with(|scopes| scopes.borrow_mut().pop()));
    }
}

/// The manager of the scope that this thread is in.
pub(crate) fn innermost() -> Option<ResourceManager> {
    CURRENT.try_with(|scopes| scopes.borrow().last().cloned()).ok().flatten()
}

fn end(manager: &ResourceManager) -> TeardownReport {
    manager.node().scope_over.store(true, Relaxed);
    shutdown(manager.node(), CleanupReason::ScopeEnded)
}

impl ResourceManager {
    /// The manager of the scope that this thread is in, else the global one.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// let manager = ResourceManager::new("requests");
    /// manager.scope("request 7", |_| {
    ///     let guard = ResourceManager::current().guard("buffer", || ());
    ///     assert_eq!(manager.resource_count(), 1);
    ///     drop(guard);
    /// }).1.into_result()?;
    /// # Ok::<(), castoff::TeardownError>(())
    /// ```
    #[track_caller]
    pub fn current() -> ResourceManager {
        innermost().unwrap_or_else(|| ResourceManager::global().clone())
    }

    /// Runs `body` with a child manager, which is shut down at its end, also when the body panics. What registers
    /// through [`current`](Self::current) on this thread meanwhile belongs to it.
    ///
    /// # Panics
    /// When the body does, after the teardown.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("jobs");
    /// let (sum, report) = manager.scope("job 1", |job| {
    ///     std::mem::forget(job.guard("scratch", || ()));
    ///     1 + 1
    /// });
    /// assert_eq!((sum, report.cleaned()), (2, 1));
    /// ```
    #[track_caller]
    pub fn scope<R>(
        &self,
        name: impl Into<Label>,
        body: impl FnOnce(&ResourceManager) -> R,
    ) -> (R, TeardownReport) {
        let manager = self.child(name);
        let entered = scopeguard::guard(Entered::enter(&manager), |entered| {
            drop(entered);
            contain(|| drop(end(&manager)));
        });
        let result = body(&manager);
        drop(scopeguard::ScopeGuard::into_inner(entered));
        (result, end(&manager))
    }

    /// [`scope`](Self::scope) for asynchronous code: the body gets the manager by value, a handle, and what it makes
    /// is awaited. [`current`](Self::current) is the scope's manager while the body is polled, on whatever thread.
    ///
    /// # Panics
    /// When the body does, after the teardown.
    ///
    /// # Cancel safety
    /// Dropped half-way, the body is dropped, and then the scope is torn down on a thread of castoff's own: nothing
    /// is lost, nobody waits, and events tell how it went. Dropped during the teardown, that goes on.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let manager = castoff::ResourceManager::new("jobs");
    /// let (sum, report) = manager
    ///     .scope_async("job 1", |job| async move {
    ///         std::mem::forget(job.guard_async("upload", || async { castoff::done() }));
    ///         1 + 1
    ///     })
    ///     .await;
    /// assert_eq!((sum, report.cleaned()), (2, 1));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    #[track_caller]
    pub fn scope_async<R, Fut>(
        &self,
        name: impl Into<Label>,
        body: impl FnOnce(ResourceManager) -> Fut,
    ) -> impl Future<Output = (R, TeardownReport)>
    where
        Fut: Future<Output = R>,
    {
        let site = Location::caller();
        async move {
            let manager = self.child_at(name.into(), site);
            // Declared before the body, so that a body that is dropped is gone before the teardown.
            let ending = scopeguard::guard(manager.clone(), |manager| {
                elsewhere("castoff-scope", move || {
                    contain(|| drop(end(&manager)));
                });
            });
            let result = {
                let mut body = pin!(async { body(manager.clone()).await });
                std::future::poll_fn(|cx| {
                    let _entered = Entered::enter(&manager);
                    match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
                        Ok(polled) => polled.map(Ok),
                        Err(payload) => Poll::Ready(Err(payload)),
                    }
                })
                .await
            };
            manager.node().scope_over.store(true, Relaxed);
            let report = shutdown_async(manager.node(), CleanupReason::ScopeEnded).await;
            drop(ScopeGuard::into_inner(ending));
            match result {
                Ok(result) => (result, report),
                Err(payload) => resume_unwind(payload),
            }
        }
    }
}
