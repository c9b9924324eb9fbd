//! What the histories register: real guards whose cleanups and values write down when they run and when they drop.

use std::sync::{Arc, Mutex, PoisonError};

use castoff::{
    Cleanup, CleanupError, RegisterError, Registration, ResourceGuard, ResourceId, ResourceState, Strategy,
};

use super::history::{Ending, Profile};
use crate::storm::quiet::ON_PURPOSE;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The cleanup of a resource began.
    Ran(usize),
    /// Its value was dropped.
    Dropped(usize),
    /// The test is about to let it go without a cleanup.
    LetGo(usize),
}

/// Everything that happened in a history, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    pub(crate) fn write(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// What was written after the first `seen` events.
    pub(crate) fn since(&self, seen: usize) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[seen..].to_vec()
    }
}

/// A value in a guard: its drop is written down.
#[derive(Debug)]
pub(crate) struct Probe {
    resource: usize,
    log: Log,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.log.write(Event::Dropped(self.resource));
    }
}

#[derive(Debug)]
pub(crate) struct Failure(usize);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&failure(self.0))
    }
}

impl std::error::Error for Failure {}

/// The message of a cleanup that fails or panics.
pub(crate) fn failure(resource: usize) -> String {
    format!("{ON_PURPOSE}r{resource}")
}

/// A guard whose strategy is forgotten. Dropping the box drops the guard.
pub(crate) trait Guard {
    fn id(&self) -> ResourceId;
    fn state(&self) -> ResourceState;
    fn close(self: Box<Self>) -> Result<(), CleanupError>;
    fn release(self: Box<Self>) -> Probe;
    fn leak(self: Box<Self>);
}

impl<S: Strategy> Guard for ResourceGuard<Probe, S> {
    fn id(&self) -> ResourceId {
        ResourceGuard::id(self)
    }

    fn state(&self) -> ResourceState {
        ResourceGuard::state(self)
    }

    fn close(self: Box<Self>) -> Result<(), CleanupError> {
        ResourceGuard::close(*self)
    }

    fn release(self: Box<Self>) -> Probe {
        ResourceGuard::release(*self)
    }

    fn leak(self: Box<Self>) {
        ResourceGuard::leak(*self);
    }
}

/// Finishes a registration with a cleanup and a value that write to the log.
pub(crate) fn keep<S: Strategy + 'static>(
    registration: Registration<'_, S>,
    resource: usize,
    profile: &Profile,
    log: &Log,
) -> Result<Box<dyn Guard>, RegisterError> {
    let value = Probe { resource, log: log.clone() };
    let (log, ending) = (log.clone(), profile.ending);
    let run = move || {
        log.write(Event::Ran(resource));
        match ending {
            Ending::Ends => Ok(()),
            Ending::Fails => Err(Failure(resource)),
            Ending::Panics => panic!("{}", failure(resource)),
        }
    };
    let cleanup = cleanup(run, profile.awaits);
    registration.keep(value, cleanup).map(|guard| Box::new(guard) as Box<dyn Guard>)
}

/// A cleanup of either kind.
pub(crate) fn cleanup<E>(run: impl FnOnce() -> Result<(), E> + Send + 'static, awaits: bool) -> Cleanup
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    #[cfg(feature = "tokio")]
    if awaits {
        return Cleanup::future(|| async {
            tokio::task::yield_now().await;
            run()
        });
    }
    assert!(!awaits, "there is nothing to await with");
    Cleanup::sync(run)
}
