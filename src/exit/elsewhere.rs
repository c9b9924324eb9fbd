//! The same as `sys` where there are no Unix signals: ctrlc alone hears Ctrl-C, and nothing hears `exit`. It compiles
//! and has never been run.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::error::ExitHookError;
use crate::exit::options::ExitSignal;
use crate::unwind::contain;

static STARTED: AtomicBool = AtomicBool::new(false);

/// Does nothing: where hooks of `exit` run when other threads are gone already, a teardown there would hang.
pub(super) fn at_exit() {
    // Named, so that it is the same code everywhere.
    let _ = super::end::at_exit;
}

/// What was there before: nothing that could be put back.
pub(super) struct Taken;

pub(super) fn take(_: &[ExitSignal], woken: fn()) -> Result<Taken, ExitHookError> {
    if STARTED.load(SeqCst) {
        return Ok(Taken);
    }
    let started = ctrlc::try_set_handler(move || {
        contain(woken);
    });
    match started {
        Ok(()) => STARTED.store(true, SeqCst),
        Err(ctrlc::Error::System(cause)) => return Err(ExitHookError::System(cause)),
        Err(_) => return Err(ExitHookError::ForeignHandler { signal: ExitSignal::Interrupt.number() }),
    }
    Ok(Taken)
}

pub(super) fn put_back(_: &Taken) {}

pub(super) fn noted(_: bool) -> Option<ExitSignal> {
    Some(ExitSignal::Interrupt)
}

pub(super) fn leave() {}

pub(super) fn hand_back(signal: ExitSignal) {
    die_by(signal);
}

pub(super) fn die_by(signal: ExitSignal) -> ! {
    std::process::exit(128 + signal.number())
}

pub(super) fn write_stderr(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap_or(());
}

pub(super) fn write_stderr_if_ready(text: &str) {
    write_stderr(text);
}
