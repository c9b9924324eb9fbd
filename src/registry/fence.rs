//! A fence of which one side is free: who passes often pays nothing, who passes seldom pays for both.
//!
//! Of two threads that each write one word, pass their fence, and read the other's word, at least one reads what the
//! other wrote, if one passed [`light`] and the other [`heavy`]. On Linux the kernel does the heavy part on every core
//! that runs this process ([`membarrier`](https://man7.org/linux/man-pages/man2/membarrier.2.html), about a
//! microsecond); elsewhere there is no such fence, and [`is_there`] says so.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

/// The free side.
#[inline(always)]
pub(super) fn light() {
    compiler_fence(SeqCst);
}

pub(super) use os::{heavy, is_there};

#[cfg(all(target_os = "linux", not(miri), not(castoff_unbiased)))]
mod os {
    use std::sync::atomic::{AtomicBool, Ordering, fence};
    use std::time::Duration;

    use once_cell::sync::OnceCell;
    use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

    /// The kernel has refused a fence since: a program may forbid itself system calls at any time.
    static REFUSED: AtomicBool = AtomicBool::new(false);

    /// Longer than any core keeps what it has written to itself, by orders of magnitude.
    const DRAINED: Duration = Duration::from_millis(1);

    pub(crate) fn is_there() -> bool {
        // Who counts instructions has one thread at a time, and a kernel that knows no fence.
        if cfg!(castoff_counted) {
            return true;
        }
        static REGISTERED: OnceCell<bool> = OnceCell::new();
        *REGISTERED.get_or_init(|| {
            membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
                && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
        }) && !REFUSED.load(Ordering::Relaxed)
    }

    /// The other side.
    #[cold]
    pub(crate) fn heavy() {
        fence(Ordering::SeqCst);
        if membarrier(MembarrierCommand::PrivateExpedited).is_err() {
            // Nobody relies on it any more from here on, and this once the other cores are given time.
            REFUSED.store(true, Ordering::Relaxed);
            std::thread::sleep(DRAINED);
        }
        fence(Ordering::SeqCst);
    }
}

#[cfg(not(all(target_os = "linux", not(miri), not(castoff_unbiased))))]
mod os {
    pub(crate) fn is_there() -> bool {
        false
    }

    pub(crate) fn heavy() {
        unreachable!("nobody relies on a fence that is not there");
    }
}
