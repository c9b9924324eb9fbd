//! One teardown of a manager at a time: who is next, and what was asked for meanwhile by who must not wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

/// What a cleanup asked for while its manager was being torn down.
pub(crate) type Request = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Default)]
struct State {
    busy: bool,
    asked: Vec<Request>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Whether a teardown of this manager runs, or might: asks without waiting.
    pub(crate) fn may_be_busy(&self) -> bool {
        match self.shared.state.try_lock() {
            Ok(state) => state.busy,
            Err(TryLockError::Poisoned(state)) => state.into_inner().busy,
            Err(TryLockError::WouldBlock) => true,
        }
    }

    /// Waits until no other teardown of this manager runs, or gives up at `until`.
    pub(crate) fn enter(&self, until: Option<Instant>) -> Option<Turn> {
        let mut state = self.shared.state();
        while state.busy {
            let free = &self.shared.free;
            state = match until {
                None => free.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                    free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Some(self.take(&mut state))
    }

    /// Without waiting: the turn, or the request is left with the teardown that runs.
    pub(crate) fn enter_or_ask(&self, request: Request) -> Option<Turn> {
        let mut state = self.shared.state();
        if state.busy {
            state.asked.push(request);
            return None;
        }
        Some(self.take(&mut state))
    }

    fn take(&self, state: &mut State) -> Turn {
        state.busy = true;
        Turn { queue: self.shared.clone() }
    }

    /// Leaves the request with the teardown that runs, or gives it back when none does.
    pub(crate) fn ask(&self, request: Request) -> Result<(), Request> {
        let mut state = self.shared.state();
        if !state.busy {
            return Err(request);
        }
        state.asked.push(request);
        Ok(())
    }
}

/// The right to tear a manager down. Its drop does what was asked for meanwhile, then lets the next one in.
pub(crate) struct Turn {
    queue: Arc<Shared>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        loop {
            let asked = {
                let mut state = self.queue.state();
                if state.asked.is_empty() {
                    state.busy = false;
                    self.queue.free.notify_one();
                    return;
                }
                std::mem::take(&mut state.asked)
            };
            for request in asked {
                request();
            }
        }
    }
}
