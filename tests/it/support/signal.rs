//! A signal between threads and tasks: given once, awaited or waited for.

use std::sync::Arc;

use tokio::sync::watch;

use super::until;

/// Not given until somebody gives it; from then on nobody waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Signal(Arc<watch::Sender<bool>>);

impl Signal {
    pub(crate) fn new() -> Signal {
        Signal(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn give(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits in asynchronous code, for as long as it takes: a watchdog watches.
    pub(crate) async fn given(&self) {
        // It can't end otherwise: the sender is this value's own.
        let given = self.0.subscribe().wait_for(|given| *given).await.map(drop);
        given.expect("the sender lives as long as the signal");
    }

    /// Waits on a thread, and fails when that takes too long.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str) {
        until(what, || self.is_given());
    }

    /// The factory of a cleanup that tells that it has begun, and ends when `end` is given.
    pub(crate) fn then(
        &self,
        end: &Signal,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static + use<> {
        let (begun, end) = (self.clone(), end.clone());
        move || {
            Box::pin(async move {
                begun.give();
                end.given().await;
            })
        }
    }
}

mod tests {
    use super::*;
    use crate::support::{LIMIT, shortly, watchdog};

    #[test]
    fn a_signal_is_seen_by_who_awaits_and_by_who_comes_late() {
        watchdog(LIMIT, || {
            let (signal, runtime) = (Signal::new(), tokio::runtime::Builder::new_current_thread().build());
            assert!(!signal.is_given());
            let giver = signal.clone();
            shortly(move || giver.give());
            runtime.expect("a runtime").block_on(signal.given());
            signal.wait("a signal that was given");
        });
    }

    #[test]
    fn a_cleanup_made_of_two_signals_ends_with_the_second() {
        watchdog(LIMIT, || {
            let (begun, end) = (Signal::new(), Signal::new());
            let cleanup = begun.then(&end);
            assert!(!begun.is_given());
            end.give();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(cleanup());
            assert!(begun.is_given());
        });
    }
}
