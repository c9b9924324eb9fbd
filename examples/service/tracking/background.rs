//! A task as a resource: its cleanup asks it to end and awaits that; if it does not end in time, it is aborted.

use castoff::{Cleanup, Registration, ResourceGuard};
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;

use crate::Result;

/// Spawns a task on the runtime that this runs on. The guard's value is a handle on it.
pub(crate) fn start<T, F>(
    registration: Registration<'_>,
    body: impl FnOnce(CancellationToken) -> F,
    value: impl FnOnce(AbortHandle) -> T,
) -> Result<ResourceGuard<T>>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let stop = CancellationToken::new();
    let task = tokio::spawn(body(stop.clone()));
    let handle = task.abort_handle();
    let aborted = task.abort_handle();
    let cleanup = Cleanup::future(move || async move {
        stop.cancel();
        task.await.or_else(pass_on)
    })
    .last_resort(move || aborted.abort());
    Ok(registration.keep(value(handle), cleanup)?)
}

/// The panic of a task goes on in who awaits it, and so from a cleanup into the report.
fn pass_on(error: JoinError) -> std::result::Result<(), JoinError> {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => Err(cancelled),
    }
}
