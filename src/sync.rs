//! The lock that castoff uses: a mutex that is never poisoned.
//!
//! No foreign code runs under any of castoff's locks, so a panic under one can only be castoff's own, and what it
//! protects is put right before anything that can panic.

pub(crate) use std::sync::MutexGuard;
use std::sync::{Mutex, PoisonError, TryLockError};

/// What the registry's own lock is made of. The models of `tests/loom` put another kind in their place.
pub(crate) mod primitives {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
    pub(crate) use std::thread_local;
    use std::time::Duration;

    /// A moment in which the thread that one waits for gets its core.
    pub(crate) fn nap() {
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless somebody has it: for who may be that somebody.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
