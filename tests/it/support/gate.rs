//! Gates that say what they wait for, and a cleanup that hangs for as long as its test wants.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;
use super::watchdog::{PATIENCE, step};

/// Closed until somebody opens it. Whoever waits too long fails, and says for what.
#[derive(Clone)]
pub(crate) struct Gate {
    what: &'static str,
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub(crate) fn new(what: &'static str) -> Gate {
        Gate { what, state: Arc::default() }
    }

    pub(crate) fn open(&self) {
        *lock(&self.state.0) = true;
        self.state.1.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *lock(&self.state.0)
    }

    pub(crate) fn opens_within(&self, limit: Duration) -> bool {
        let waited = self.state.1.wait_timeout_while(lock(&self.state.0), limit, |open| !*open);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        step(self.what);
        assert!(self.opens_within(PATIENCE), "waited {PATIENCE:?} for {}", self.what);
        step("the library to return");
    }
}

/// A cleanup that does not return while this value lives. Dropping it lets the abandoned thread go.
pub(crate) struct Hang {
    started: Gate,
    released: Gate,
}

impl Hang {
    pub(crate) fn new() -> Hang {
        Hang {
            started: Gate::new("the hanging cleanup to start"),
            released: Gate::new("the hang to be released"),
        }
    }

    pub(crate) fn cleanup(&self) -> impl FnOnce() + Send + 'static + use<> {
        let (started, released) = (self.started.clone(), self.released.clone());
        move || {
            started.open();
            released.wait();
        }
    }

    pub(crate) fn wait_started(&self) {
        self.started.wait();
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.is_open()
    }

    pub(crate) fn release(&self) {
        self.released.open();
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        self.release();
    }
}

mod tests {
    use std::thread;

    use super::*;
    use crate::support::{LIMIT, shortly, watchdog};

    #[test]
    fn a_gate_lets_through_only_once_it_is_open() {
        let gate = Gate::new("the gate");
        assert!(!gate.opens_within(Duration::from_millis(1)));
        let key = gate.clone();
        shortly(move || key.open());
        watchdog(LIMIT, move || gate.wait());
    }

    #[test]
    fn a_hang_ends_with_its_owner() {
        let hang = Hang::new();
        assert!(!hang.has_started());
        let hanging = thread::spawn(hang.cleanup());
        hang.wait_started();
        assert!(!hanging.is_finished());
        drop(hang);
        watchdog(LIMIT, move || hanging.join().expect("a released hang"));
    }
}
