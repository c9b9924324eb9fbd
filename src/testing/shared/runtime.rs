//! Where a making that awaits runs: on a thread of its own, by a runtime that lives as long as the process.
//!
//! A thread for each making, so that one that blocks holds up nobody but itself: not the runtime, and not another that it
//! asks for. The runtime's own thread turns its timers and sockets, and runs what the makings have spawned.

use std::future::pending;
use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};

use crate::cleanup::BoxError;
use crate::manager::{Entered, ResourceManager, innermost};
use crate::runtime::{elsewhere, helper};
use crate::sync::Lock;
use crate::unwind::caught;

const NAME: &str = "castoff-shared";

/// The runtime, which is started on first use.
pub(super) fn handle() -> io::Result<Handle> {
    static HANDLE: Lock<Option<Handle>> = Lock::new(None);
    let mut handle = HANDLE.lock();
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().thread_name(NAME).build()?;
    let started = runtime.handle().clone();
    helper(NAME, move || runtime.block_on(pending()))?;
    Ok(handle.insert(started).clone())
}

/// Runs a making on a thread of its own, where this manager is current, and waits for it. What it said, if it panicked.
pub(super) fn on_a_thread<T: Send>(
    manager: &ResourceManager,
    make: impl FnOnce() -> Result<T, BoxError> + Send,
) -> Result<Result<T, BoxError>, String> {
    let run = || {
        let _entered = Entered::enter(manager);
        caught(make)
    };
    thread::scope(|scope| match thread::Builder::new().name(NAME.into()).spawn_scoped(scope, run) {
        // It has caught what can be caught.
        Ok(thread) => thread.join().unwrap_or_else(|_| Err(String::from("its thread was lost"))),
        Err(error) => Ok(Err(error.into())),
    })
}

/// Runs something that blocks without blocking the thread that awaits, in the same scope.
pub(super) async fn aside<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = tokio::sync::oneshot::channel();
    let scope = innermost();
    elsewhere(NAME, move || {
        let _entered = scope.as_ref().map(Entered::enter);
        // Nobody may be left to hear it.
        drop(tell.send(run()));
    });
    told.await.expect("what runs aside catches what it runs, and tells before it ends")
}
