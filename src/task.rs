//! Tasks that stay in the scope of the task or thread that started them.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::manager::{Entered, ResourceManager, innermost};

/// Spawns a task that is in the scope of the caller: [`ResourceManager::current`] is the same manager whenever the task
/// is polled, so what it registers belongs to the scope, and is seen and cleaned with it.
///
/// Apart from that it is [`tokio::spawn`].
///
/// # Panics
/// Outside of a runtime, as [`tokio::spawn`] does.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("jobs");
/// let (live, report) = manager.scope_async("job 1", |job| async move {
///     let worker = castoff::task::spawn(async {
///         tokio::task::yield_now().await;
///         std::mem::forget(ResourceManager::current().guard("buffer", || ()));
///     });
///     worker.await.expect("it does not panic");
///     job.resource_count()
/// }).await;
/// assert_eq!((live, report.cleaned()), (1, 1));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match innermost() {
        Some(scope) => tokio::spawn(InScope { scope, future: Box::pin(future) }),
        None => tokio::spawn(future),
    }
}

/// A future that is polled in a scope.
struct InScope<T> {
    scope: ResourceManager,
    future: Pin<Box<dyn Future<Output = T> + Send>>,
}

impl<T> Future for InScope<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let _entered = Entered::enter(&this.scope);
        this.future.as_mut().poll(cx)
    }
}
