//! What exit asks of a Unix system: `atexit`, dispositions of signals, an end by a signal, writing to stderr.
//!
//! All of exit's unsafe code is here. What runs in the context of a signal is [`note`], [`ask`] and [`end_here`] alone:
//! they touch atomics and make system calls that
//! [signal-safety(7)](https://man7.org/linux/man-pages/man7/signal-safety.7.html) lists.
//!
//! ctrlc hears signals on a thread of its own, but its closure is not told which one came, un-ignores what was
//! ignored, and replaces what it finds. So a handler of our own stands in front: it notes the signal first, and then
//! calls ctrlc's, which wakes that thread. `signal-hook-registry` would do it the other way round (what it chains to
//! runs first, and could wake before the note is written), never puts back what it found, and is two more crates.
#![allow(unsafe_code)] // The C library's calls have no safe wrapper that gives dispositions back as they were.

use std::io::{self, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering::SeqCst};

use libc::{c_int, c_void, sigaction, sigset_t};

use crate::error::ExitHookError;
use crate::exit::options::ExitSignal;
use crate::unwind::contain;

/// The signals that ctrlc takes, by its feature `termination`.
const ALL: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Whether signals are castoff's to handle; in which process; and whether the next one ends it at once.
static INSTALLED: AtomicBool = AtomicBool::new(false);
static OWNER: AtomicU32 = AtomicU32::new(0);
static LEAVING: AtomicBool = AtomicBool::new(false);
/// The first signal since the hooks were installed, and the last. Zero for none.
static FIRST: AtomicI32 = AtomicI32::new(0);
static LAST: AtomicI32 = AtomicI32::new(0);
/// ctrlc's handler, once it has one: a function, as an address.
static CTRLC: AtomicPtr<()> = AtomicPtr::new(null_mut());
/// Whether every signal that ctrlc takes is ours.
static TOOK_ALL: AtomicBool = AtomicBool::new(false);

/// The exit status of a process that would have succeeded, but for its leaks.
const LEAKED: c_int = 99;

/// Has the C library call [`end::at_exit`](super::end::at_exit) at the end of the process: after `main` has returned,
/// and in `exit`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn at_exit() {
    // glibc's own: `atexit` for who wants to know the status (https://man7.org/linux/man-pages/man3/on_exit.3.html).
    unsafe extern "C" {
        fn on_exit(end: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    extern "C" fn end(status: c_int, _: *mut c_void) {
        finish(Some(status));
    }
    // SAFETY: `end` is an item of this crate and lives as long as the code that could call it: glibc forgets the
    // hooks of a library that is unloaded. It does not look at its second argument. A refusal (no memory) means no
    // teardown at exit, and nothing else.
    unsafe { on_exit(end, null_mut()) };
}

/// The same where the status can't be known.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn at_exit() {
    extern "C" fn end() {
        finish(None);
    }
    // SAFETY: `end` is an item of this crate and lives as long as the code that could call it. A refusal (no
    // memory) means no teardown at exit, and nothing else.
    unsafe { libc::atexit(end) };
}

fn finish(status: Option<c_int>) {
    // What unwinds out of here aborts.
    let failed = contain(super::end::at_exit).unwrap_or(false);
    // A failure of the program's own stays as it is.
    if failed && status.unwrap_or(0) == 0 {
        // SAFETY: ends the process; takes a number and touches no memory of ours. What the C library would still do,
        // hooks that were registered earlier among it, is left undone: there is no other way to change the status.
        unsafe { libc::_exit(LEAKED) };
    }
}

/// What was there before the hooks: signal by signal, to be put back.
pub(super) struct Taken(Vec<(c_int, sigaction)>);

/// Takes those of these signals that are not ignored. `woken` is called on ctrlc's thread for each that comes.
/// The caller sees to it that this and [`put_back`] never run at once.
pub(super) fn take(chosen: &[ExitSignal], woken: fn()) -> Result<Taken, ExitHookError> {
    let mut before = Vec::new();
    for signal in ALL {
        before.push((signal, disposition(signal).map_err(ExitHookError::System)?));
    }
    let mut taken = Vec::new();
    for (signal, found) in &before {
        match found.sa_sigaction {
            _ if !chosen.iter().any(|one| one.number() == *signal) => {}
            libc::SIG_IGN => {}
            libc::SIG_DFL => taken.push((*signal, *found)),
            _ => return Err(ExitHookError::ForeignHandler { signal: *signal }),
        }
    }
    LAST.store(0, SeqCst);
    FIRST.store(0, SeqCst);
    TOOK_ALL.store(taken.len() == ALL.len(), SeqCst);
    OWNER.store(std::process::id(), SeqCst);
    INSTALLED.store(true, SeqCst);
    if CTRLC.load(SeqCst).is_null() {
        start_ctrlc(&before, &taken, woken)?;
    } else {
        taken.iter().for_each(|(signal, _)| dispose(*signal, &ours()));
    }
    Ok(Taken(taken))
}

/// Starts ctrlc, which can be done once in a process. It takes all three signals for a moment; this thread sees
/// none of them meanwhile, and what another thread sees then is in [`noted`].
fn start_ctrlc(
    before: &[(c_int, sigaction)],
    taken: &[(c_int, sigaction)],
    woken: fn(),
) -> Result<(), ExitHookError> {
    let mask = mask(libc::SIG_BLOCK, &set_of(&ALL));
    let started = ctrlc::set_handler(move || {
        contain(woken);
    });
    if started.is_ok()
        && let Ok(theirs) = disposition(libc::SIGINT)
    {
        CTRLC.store(theirs.sa_sigaction as *mut (), SeqCst);
    }
    for (signal, found) in before {
        let is_ours = started.is_ok() && taken.iter().any(|(one, _)| one == signal);
        dispose(*signal, &if is_ours { ours() } else { *found });
    }
    restore_mask(&mask);
    started.map_err(|error| {
        INSTALLED.store(false, SeqCst);
        TOOK_ALL.store(false, SeqCst);
        match error {
            ctrlc::Error::System(cause) => ExitHookError::System(cause),
            // Somebody else gave ctrlc its one closure, and has the signals or will.
            _ => ExitHookError::ForeignHandler { signal: libc::SIGINT },
        }
    })
}

/// Puts back what was there, where nobody has put something in front of it since.
pub(super) fn put_back(taken: &Taken) {
    for (signal, found) in &taken.0 {
        if disposition(*signal).is_ok_and(|now| now.sa_sigaction == ours().sa_sigaction) {
            dispose(*signal, found);
        }
    }
    INSTALLED.store(false, SeqCst);
    TOOK_ALL.store(false, SeqCst);
}

/// The signal that woke ctrlc's thread: the first one, or the last if that has been seen already. `None` where it
/// came in the moment of ctrlc's start and could have been one that is not ours.
pub(super) fn noted(first: bool) -> Option<ExitSignal> {
    let number = if first { FIRST.load(SeqCst) } else { LAST.load(SeqCst) };
    ExitSignal::numbered(number).or_else(|| TOOK_ALL.load(SeqCst).then_some(ExitSignal::Terminate))
}

/// From now on a signal ends the process in its handler.
pub(super) fn leave() {
    LEAVING.store(true, SeqCst);
}

/// Our handler: notes which signal it is, then lets ctrlc wake its thread. In a forked child, which has no such
/// thread, it ends the child as the signal would have without us.
#[cfg_attr(castoff_realtime, sanitize(realtime = "nonblocking"))]
extern "C" fn note(signal: c_int) {
    if cfg!(castoff_planted = "allocation") {
        // The bug that RealtimeSanitizer has to find: see scripts/verify.
        drop(std::hint::black_box(Box::new(signal)));
    }
    if std::process::id() != OWNER.load(SeqCst) || LEAVING.load(SeqCst) {
        end_here(signal);
        return;
    }
    if !INSTALLED.load(SeqCst) {
        // Somebody in front of us still calls us: without us there would be nobody to call.
        return;
    }
    LAST.store(signal, SeqCst);
    // Only the first is kept: that another was first is no failure.
    FIRST.compare_exchange(0, signal, SeqCst, SeqCst).unwrap_or(0);
    let theirs = CTRLC.load(SeqCst);
    if !theirs.is_null() {
        // SAFETY: `CTRLC` holds what ctrlc passed to `sigaction` without `SA_SIGINFO`: a function of this type.
        let wake = unsafe { std::mem::transmute::<*mut (), extern "C" fn(c_int)>(theirs) };
        // It posts a semaphore, which is safe here and leaves errno alone.
        wake(signal);
    }
}

/// Gives the signal its default disposition and sends it to this thread: delivered at once, or when its handler
/// returns. Process 1 survives it.
fn end_here(signal: c_int) {
    dispose(signal, &default());
    // SAFETY: takes a number and touches no memory of ours.
    unsafe { libc::raise(signal) };
}

/// Sends the signal to this thread once more, whatever its disposition is by now.
pub(super) fn hand_back(signal: ExitSignal) {
    // SAFETY: takes a number and touches no memory of ours.
    unsafe { libc::raise(signal.number()) };
}

/// Ends the process by this signal, so that its parent sees it die of that. Where that can't be (process 1), by
/// exit status 128 + its number. Nothing else runs: no `atexit`, no drop.
pub(super) fn die_by(signal: ExitSignal) -> ! {
    let number = signal.number();
    dispose(number, &default());
    mask(libc::SIG_UNBLOCK, &set_of(&[number]));
    end_here(number);
    // SAFETY: ends the process; takes a number and touches no memory of ours.
    unsafe { libc::_exit(128 + number) }
}

/// Writes to stderr, past the standard library's lock of it: another thread may hold that. In one call unless the
/// system takes less. May wait for who reads it.
pub(super) fn write_stderr(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the pointer and the length are those of a live slice, which `write` only reads.
        let wrote = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(wrote) {
            Ok(0) => return,
            Ok(wrote) => rest = &rest[wrote.min(rest.len())..],
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The same, if nobody has to be waited for; else it is left unsaid. For lines of less than 4 KiB: so much a pipe
/// that is ready takes at once.
pub(super) fn write_stderr_if_ready(text: &str) {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, which lives until the call returns.
    let ready = unsafe { libc::poll(&raw mut stderr, 1, 0) };
    if ready == 1 && stderr.revents & libc::POLLOUT != 0 {
        write_stderr(text);
    }
}

/// Where [`ask`] asks, in which process, and whether it has asked for something that nobody has begun to answer.
static QUESTIONS: AtomicI32 = AtomicI32::new(-1);
static ASKED_IN: AtomicU32 = AtomicU32::new(0);
static ASKED: AtomicBool = AtomicBool::new(false);

/// A signal that asks, and what its disposition was before.
pub(super) struct Asking {
    signal: c_int,
    before: sigaction,
}

/// From now on this signal, in this process, writes a byte to the pipe of which `questions` is the end. That has to
/// stay open: a handler may be about to write to it at any time. `None` where the signal has a handler already.
pub(super) fn ask_on(signal: c_int, questions: &'static PipeWriter) -> io::Result<Option<Asking>> {
    let before = disposition(signal)?;
    if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
        return Ok(None);
    }
    QUESTIONS.store(questions.as_raw_fd(), SeqCst);
    ASKED.store(false, SeqCst);
    ASKED_IN.store(std::process::id(), SeqCst);
    let asks = asks();
    // SAFETY: a whole disposition, whose handler is an item of this crate and lives as long as the code around it.
    match unsafe { libc::sigaction(signal, &raw const asks, null_mut()) } {
        0 => Ok(Some(Asking { signal, before })),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the byte that was read stands for a signal. What comes from here on asks anew.
pub(super) fn was_asked() -> bool {
    ASKED.swap(false, SeqCst)
}

/// Puts back what was there, unless somebody has put something in front of it since.
pub(super) fn ask_no_more(asking: &Asking) {
    if disposition(asking.signal).is_ok_and(|now| now.sa_sigaction == asks().sa_sigaction) {
        dispose(asking.signal, &asking.before);
    }
}

/// The handler of a signal that asks. In a forked child it does nothing: nobody there would answer, and the parent
/// was not asked. Any number of signals are one question until somebody begins to answer it, so the pipe never
/// fills, `write` never waits, and as it succeeds errno stays as it was.
#[cfg_attr(castoff_realtime, sanitize(realtime = "nonblocking"))]
extern "C" fn ask(_: c_int) {
    if std::process::id() == ASKED_IN.load(SeqCst) && !ASKED.swap(true, SeqCst) {
        // SAFETY: the pointer is to one byte, which `write` only reads.
        unsafe { libc::write(QUESTIONS.load(SeqCst), c"?".as_ptr().cast(), 1) };
    }
}

fn asks() -> sigaction {
    let handler = ask as extern "C" fn(c_int);
    sigaction { sa_sigaction: handler as usize, ..ours() }
}

fn default() -> sigaction {
    // SAFETY: a `sigaction` of zeros is one without flags, with an empty mask and the default disposition.
    unsafe { MaybeUninit::<sigaction>::zeroed().assume_init() }
}

fn ours() -> sigaction {
    let handler = note as extern "C" fn(c_int);
    // As ctrlc's own: what was interrupted goes on. Not on the alternate stack: `std::process::exit` unmaps that of
    // the main thread, on whatever thread it is called, and the main thread may just be returning from here.
    sigaction { sa_sigaction: handler as usize, sa_flags: libc::SA_RESTART, ..default() }
}

fn disposition(signal: c_int) -> io::Result<sigaction> {
    let mut found = default();
    // SAFETY: `found` is a valid place to write to, and a null pointer for the new disposition means: only look.
    match unsafe { libc::sigaction(signal, null(), &raw mut found) } {
        0 => Ok(found),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Fails for no signal of ours: each exists and may be caught.
fn dispose(signal: c_int, how: &sigaction) {
    // SAFETY: `how` is a whole disposition, read from the system or made above; its handler is the system's, a
    // foreign one that was there before, or one of ours, which live as long as the process.
    unsafe { libc::sigaction(signal, how, null_mut()) };
}

fn set_of(signals: &[c_int]) -> sigset_t {
    let mut set = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: the place is large enough for a set, which this writes.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set was written above, and the signal exists.
        unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) };
    }
    // SAFETY: written by `sigemptyset`.
    unsafe { set.assume_init() }
}

/// Changes what this thread lets through, and returns what it was.
fn mask(how: c_int, set: &sigset_t) -> sigset_t {
    let mut old = set_of(&[]);
    // SAFETY: both are whole sets, and the second is ours to write to.
    unsafe { libc::pthread_sigmask(how, set, &raw mut old) };
    old
}

fn restore_mask(old: &sigset_t) {
    mask(libc::SIG_SETMASK, old);
}
