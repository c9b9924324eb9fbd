//! Threads that stay in the scope of the thread that started them.

use std::thread::{Builder, JoinHandle};

use crate::manager::{Entered, innermost};

/// Starts a thread that is in the scope of the calling one: [`ResourceManager::current`](crate::ResourceManager::current) is the same manager there, so
/// what it registers belongs to the scope, and is seen and cleaned with it.
///
/// Apart from that it is [`std::thread::spawn`]. The thread is called after the scope.
///
/// # Panics
/// When the system refuses a thread, as [`std::thread::spawn`] does.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let (live, report) = ResourceManager::new("jobs").scope("job 1", |job| {
///     let worker = castoff::thread::spawn(|| std::mem::forget(ResourceManager::current().guard("buffer", || ())));
///     worker.join().expect("it does not panic");
///     job.resource_count()
/// });
/// assert_eq!((live, report.cleaned()), (1, 1));
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(scope) = innermost() else { return std::thread::spawn(f) };
    // A name holds no zero byte, but a label may.
    let name = scope.name().replace('\0', " ");
    let run = move || {
        let _entered = Entered::enter(&scope);
        f()
    };
    Builder::new().name(name).spawn(run).expect("the system refuses a thread, as std::thread::spawn says")
}
