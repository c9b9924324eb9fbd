//! Tells a forked child from its parent: a child must not clean what its parent owns.
//!
//! Asking the kernel for the process id costs more than a whole registration, so the C library is told once to
//! count forks ([`pthread_atfork`](https://man7.org/linux/man-pages/man3/pthread_atfork.3.html)), and [`era`] reads
//! that count. A child made by a bare `clone` system call, without the C library, is not seen.
#![allow(unsafe_code)] // The one foreign call has no safe wrapper that is kept well.

use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(target_os = "linux")]
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::sync::OnceCell;

static ERA: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the one that used castoff first.
#[inline]
pub(crate) fn era() -> u32 {
    ERA.load(Ordering::Relaxed)
}

/// How many forks, one below the other, have a lock each.
#[cfg(target_os = "linux")] // whose looks at the process need one
const GENERATIONS: usize = 256;

/// A lock for each process of a line of forks. A child never waits for what a thread of its parent had when it was forked,
/// and there is no other lock on the way to its own.
#[cfg(target_os = "linux")]
pub(crate) struct LockOfEach([Mutex<()>; GENERATIONS]);

#[cfg(target_os = "linux")]
impl LockOfEach {
    pub(crate) const fn new() -> LockOfEach {
        LockOfEach([const { Mutex::new(()) }; GENERATIONS])
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.0[era() as usize % GENERATIONS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread that forks does before and, in both processes, after: the child by its own first.
pub(crate) struct Hooks {
    pub(crate) before: fn(),
    pub(crate) in_child: fn(),
    pub(crate) after: fn(),
}

static HOOKS: OnceCell<Hooks> = OnceCell::new();

/// Starts counting, and calls these from now on. Called once, when the registry is made; what is registered before has
/// nowhere to be.
pub(crate) fn watch(hooks: Hooks) {
    if HOOKS.set(hooks).is_err() {
        return;
    }
    #[cfg(unix)]
    {
        extern "C" fn before() {
            if let Some(hooks) = HOOKS.get() {
                (hooks.before)();
            }
        }
        extern "C" fn in_parent() {
            if let Some(hooks) = HOOKS.get() {
                (hooks.after)();
            }
        }
        extern "C" fn in_child() {
            ERA.fetch_add(1, Ordering::Relaxed);
            if let Some(hooks) = HOOKS.get() {
                (hooks.in_child)();
            }
            in_parent();
        }
        // SAFETY: these are items of this crate and live as long as the process; what they do in a child is atomic
        // additions and stores, and letting go of locks that the same thread has taken before. A refusal (no memory) leaves children
        // uncounted and has no other effect.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}
