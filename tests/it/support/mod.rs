//! What the tests share: managers that no other test can see, an order log, a drop counter, gates, a recorder
//! of events and a watchdog. Each helper has tests of its own, beside it.

mod gate;
mod log;
mod recorder;
#[cfg(feature = "tokio")]
mod signal;
mod watchdog;

use std::sync::{Mutex, MutexGuard, PoisonError};

use castoff::{ManagerConfig, ResourceManager};

pub(crate) use gate::{Gate, Hang};
pub(crate) use log::{Counted, DropCounter, OrderLog};
pub(crate) use recorder::Recorder;
#[cfg(feature = "tokio")]
pub(crate) use signal::Signal;
#[cfg(feature = "tokio")]
pub(crate) use watchdog::watchdog_telling;
pub(crate) use watchdog::{LIMIT, PATIENCE, panic_of, shortly, until, watchdog};

/// A manager in no tree: what other tests do cannot reach it.
pub(crate) fn manager() -> ResourceManager {
    manager_with(ManagerConfig::default())
}

pub(crate) fn manager_with(config: ManagerConfig) -> ResourceManager {
    ResourceManager::isolated("test", config)
}

/// A test that panics with a lock held fails by itself: what it guarded stays readable for the others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
