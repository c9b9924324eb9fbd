//! A task of tokio's that works until it is told to end.

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::held::Held;
use crate::cleanup::Cleanup;

/// A task, and the way to tell it.
pub(super) struct Running {
    ending: CancellationToken,
    /// Until a cleanup awaits it.
    task: Held<JoinHandle<()>>,
    abort: AbortHandle,
}

impl Running {
    /// Spawns it on the runtime at hand.
    #[track_caller]
    pub(super) fn spawn<Fut>(body: impl FnOnce(CancellationToken) -> Fut) -> Running
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let ending = CancellationToken::new();
        let task = Handle::current().spawn(body(ending.clone()));
        Running { ending, abort: task.abort_handle(), task: Held::new(task) }
    }

    /// Tells the task to end and waits for that; aborts it in the last resort.
    pub(super) fn cleanup(&self) -> Cleanup {
        let (ending, task, abort) = (self.ending.clone(), self.task.clone(), self.abort.clone());
        let told = ending.clone();
        let graceful = Cleanup::future(move || async move {
            told.cancel();
            match task.take() {
                Some(task) => ended(task).await,
                None => Ok(()),
            }
        });
        graceful.last_resort(move || {
            // Where it could not even be told.
            ending.cancel();
            abort.abort();
        })
    }

    /// What tells it to end.
    #[cfg(feature = "hyper")]
    pub(super) fn ending(&self) -> CancellationToken {
        self.ending.clone()
    }

    /// Whether it was told to end, or has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_cancelled() || self.abort.is_finished()
    }
}

async fn ended(task: JoinHandle<()>) -> Result<(), String> {
    match task.await {
        // Cancelled: its runtime has ended, and the task with it.
        Err(error) if error.is_panic() => Err(format!("its task panicked: {error}")),
        _ => Ok(()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}
