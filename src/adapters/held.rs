//! What a value shares with its cleanup: the thing itself, until one of them takes it out.
//!
//! The lock is the resource's own, none of castoff's: whoever uses the thing holds it meanwhile, and the cleanup waits
//! for that, within its timeout. What was taken out is ended with no lock held.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::Label;

/// A thing that is there until somebody takes it out.
pub(super) struct Held<T>(Arc<Mutex<Option<T>>>);

impl<T> Held<T> {
    pub(super) fn new(thing: T) -> Held<T> {
        Held(Arc::new(Mutex::new(Some(thing))))
    }

    /// Takes it out, to end it. `None` if somebody did before.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().take()
    }

    /// Uses it where it is. `None` if it has been taken out.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().as_mut().map(f)
    }

    // A panic of who used it says nothing about whether it has to be ended.
    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a guard that is still held answers after the cleanup.
pub(super) fn closed(label: &Label) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("`{label}` was closed by its cleanup"))
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Held<T> {
        Held(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the thing: whoever prints must not wait for who uses it.
        match self.0.try_lock() {
            Ok(held) if held.is_none() => f.write_str("gone"),
            _ => f.write_str("held"),
        }
    }
}
