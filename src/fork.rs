//! Tells a forked child from its parent: a child must not clean what its parent owns.
//!
//! Asking the kernel for the process id costs more than a whole registration, so the C library is told once to
//! count forks ([`pthread_atfork`](https://man7.org/linux/man-pages/man3/pthread_atfork.3.html)), and [`era`] reads
//! that count. A child made by a bare `clone` system call, without the C library, is not seen.
#![allow(unsafe_code)] // The one foreign call has no safe wrapper that is kept well.

use std::sync::atomic::{AtomicU32, Ordering};

static ERA: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the one that used castoff first.
#[inline]
pub(crate) fn era() -> u32 {
    ERA.load(Ordering::Relaxed)
}

/// Starts counting. Called once, when the registry is made; what is registered before has nowhere to be.
pub(crate) fn watch() {
    #[cfg(unix)]
    {
        extern "C" fn in_child() {
            ERA.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: `in_child` does nothing but one atomic addition, which is safe in a forked child at any moment,
        // and as an item of this crate it lives as long as the process. A refusal (no memory) leaves children
        // uncounted and has no other effect.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}
