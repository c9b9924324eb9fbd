//! A panic that aborts: no drop runs, and the panic hook is the last that does.
//!
//! Where panics unwind nothing of this is installed: drops do the work, and a thread that panics is not the end of
//! the process.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::after;
use crate::exit::end::{GRACE, finish, root};
use crate::exit::signal;

/// Until when the first panic's teardown may take, once there is one. `None` in it: for ever.
static BEGUN: OnceLock<Option<Instant>> = OnceLock::new();

/// Puts the teardown behind the panic hook that is there, where a panic aborts.
pub(super) fn chain() {
    // A thread that panics must not change the hook; it is then too late anyway.
    if !cfg!(panic = "abort") || thread::panicking() {
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        before_abort();
    }));
}

/// The panicking thread may hold any lock, and is inside of any cleanup.
fn before_abort() {
    let Some(root) = root() else { return };
    // A signal's end goes on without this thread.
    signal::wait_for_end();
    let mut is_first = false;
    let latest = BEGUN.get_or_init(|| {
        is_first = true;
        after(Instant::now(), root.config.shutdown_deadline.saturating_add(GRACE))
    });
    if is_first {
        finish("panic", CleanupReason::Panicking, true);
        return;
    }
    // A cleanup of the teardown that the first panic began, or anybody else: what returns from here aborts the
    // process, so it stays, and the teardown gives it up and goes on.
    match latest {
        None => loop {
            thread::park();
        },
        Some(latest) => loop {
            match latest.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return,
                left => thread::sleep(left),
            }
        },
    }
}
