//! One test under way: its manager, its body, and what is found at its end.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
#[cfg(feature = "tokio")]
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::thread;

use crate::cleanup::CleanupReason;
use crate::config::LeakSeverity;
use crate::id::Label;
use crate::leak;
use crate::manager::{Entered, ResourceManager};
use crate::report::TeardownReport;
#[cfg(feature = "tokio")]
use crate::runtime::elsewhere;
use crate::teardown::shutdown;
#[cfg(feature = "tokio")]
use crate::teardown::shutdown_async;
use crate::testing::verdict::Findings;
use crate::unwind::contain;

/// A test. Dropped before its end is judged, it is torn down all the same.
pub(super) struct Trial {
    pub(super) manager: ResourceManager,
    /// Nothing is left to do.
    pub(super) over: bool,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            let manager = self.manager.clone();
            let end = move || {
                contain(|| drop(end(&manager)));
            };
            // It was asynchronous, and is awaited no more: its thread must not wait.
            #[cfg(feature = "tokio")]
            elsewhere("castoff-scope", end);
            #[cfg(not(feature = "tokio"))]
            end();
        }
    }
}

fn end(manager: &ResourceManager) -> TeardownReport {
    manager.node().scope_over.store(true, Relaxed);
    shutdown(manager.node(), CleanupReason::ScopeEnded)
}

impl Trial {
    /// `keeps`: what is live when it fails is left alone, so it must not be the end of the process that cleans it.
    pub(super) fn begin(
        name: Label,
        site: &'static Location<'static>,
        leaks: Option<LeakSeverity>,
        keeps: bool,
    ) -> Trial {
        let manager = ResourceManager::current().for_test(name, site, leaks, keeps);
        Trial { manager, over: false }
    }

    pub(super) fn run<R>(self, body: impl FnOnce(&ResourceManager) -> R) -> (Trial, thread::Result<R>) {
        let entered = Entered::enter(&self.manager);
        let ended = catch_unwind(AssertUnwindSafe(|| body(&self.manager)));
        drop(entered);
        (self, ended)
    }

    #[cfg(feature = "tokio")]
    pub(super) async fn run_async<R, Fut>(
        self,
        body: impl FnOnce(ResourceManager) -> Fut,
    ) -> (Trial, thread::Result<R>)
    where
        Fut: Future<Output = R>,
    {
        let manager = self.manager.clone();
        let ended = {
            let mut body = pin!(async { body(manager.clone()).await });
            let polled = std::future::poll_fn(|cx| {
                let _entered = Entered::enter(&manager);
                match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
                    Ok(polled) => polled.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                }
            });
            polled.await
        };
        (self, ended)
    }

    /// Looks for leaks, then tears down.
    pub(super) fn findings(mut self) -> Findings {
        let node = self.manager.node();
        node.scope_over.store(true, Relaxed);
        leak::settle(node);
        let leaks = leak::at_end_of_test(node);
        let teardown = shutdown(node, CleanupReason::ScopeEnded);
        self.over = true;
        Findings::new(node, leaks, teardown)
    }

    /// The same without blocking the thread that awaits. The wait is castoff's own: the test's runtime may have
    /// stopped its clock.
    #[cfg(feature = "tokio")]
    pub(super) async fn findings_async(mut self) -> Findings {
        let node = self.manager.node();
        node.scope_over.store(true, Relaxed);
        if leak::is_settling(node) {
            let (tell, told) = tokio::sync::oneshot::channel::<()>();
            let there = node.clone();
            elsewhere("castoff-leaks", move || {
                leak::settle(&there);
                drop(tell);
            });
            // Its sender is dropped when it is done, which is all there is to hear.
            drop(told.await);
        }
        let leaks = leak::at_end_of_test(node);
        let teardown = shutdown_async(node, CleanupReason::ScopeEnded).await;
        self.over = true;
        Findings::new(node, leaks, teardown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ManagerConfig;

    #[test]
    fn what_a_panic_would_drop_stays_where_the_test_keeps_it_and_only_there() {
        for keeps in [true, false] {
            let around = ResourceManager::isolated("around", ManagerConfig::default());
            let manager = around.for_test(Label::from("test"), Location::caller(), None, keeps);
            let guard = manager.guard("directory", || ());
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let _guard = guard;
                std::panic::resume_unwind(Box::new("it failed"));
            }));
            assert!(ended.is_err());
            assert_eq!(manager.resource_count(), usize::from(keeps));
            assert_eq!(manager.cleanup().cleaned(), usize::from(keeps));
        }
    }
}
