//! The coarse clock: some milliseconds a step, 2 to 6 ns a reading. Good for ages, no good for order. And the clock that
//! start times in `/proc` are told by.
#![allow(unsafe_code)] // The call of the system's clocks.

use std::time::{Duration, Instant};

/// A moment of the coarse clock: whole seconds above [`PART_BITS`], nanoseconds below. Made in two steps, and taken apart
/// where somebody wants to know how long ago it was.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Coarse(u64);

/// Enough for the nanoseconds of a second.
const PART_BITS: u32 = 30;

#[cfg(all(target_os = "linux", not(castoff_bare)))]
#[inline]
fn now() -> Coarse {
    let now = told_by(libc::CLOCK_MONOTONIC_COARSE);
    Coarse((now.tv_sec as u64) << PART_BITS | now.tv_nsec as u64)
}

/// By the C library, which knows how to ask where there is no vDSO, as under valgrind; and without a call on the way: this is
/// a tenth of what a guard costs.
#[cfg(all(target_os = "linux", not(castoff_bare)))]
#[inline(always)]
fn told_by(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer, which is all that is written. It fails for clocks that are not there alone, and
    // Linux has had those that are asked for since 2.6.39: then `now` is what it was.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now
}

/// How long the system has been up, asleep or not.
#[cfg(all(target_os = "linux", not(castoff_bare)))]
pub(crate) fn since_boot() -> Duration {
    let now = told_by(libc::CLOCK_BOOTTIME);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(all(target_os = "linux", castoff_bare))]
pub(crate) fn since_boot() -> Duration {
    Duration::ZERO
}

/// What `/proc` tells times in. By the C library for the same reason.
#[cfg(target_os = "linux")]
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: takes and returns numbers.
    let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    // It is 100 but for systems that nobody has.
    u64::try_from(rate).ok().filter(|rate| *rate > 0).unwrap_or(100)
}

#[cfg(all(not(target_os = "linux"), not(castoff_bare)))]
fn now() -> Coarse {
    // Not `now`: that one writes a cache line that all threads share.
    let ticks = coarsetime::Instant::now_without_cache_update().as_ticks();
    Coarse::from_start(coarsetime::Duration::from_ticks(ticks).into())
}

#[cfg(castoff_bare)]
fn now() -> Coarse {
    Coarse(1)
}

impl Coarse {
    #[inline]
    pub(crate) fn now() -> Coarse {
        now()
    }

    /// So long after the clock began.
    pub(crate) fn from_start(time: Duration) -> Coarse {
        // More seconds than there is room for are as good as for ever.
        let seconds = time.as_secs().min(u64::MAX >> PART_BITS);
        Coarse(seconds << PART_BITS | u64::from(time.subsec_nanos()))
    }

    fn since_start(self) -> Duration {
        Duration::new(self.0 >> PART_BITS, (self.0 & ((1 << PART_BITS) - 1)) as u32)
    }

    pub(crate) fn elapsed(self) -> Duration {
        Coarse::now().since(self)
    }

    /// The moment so long before, or the first there is.
    pub(crate) fn before(self, time: Duration) -> Coarse {
        Coarse::from_start(self.since_start().saturating_sub(time))
    }

    pub(crate) fn since(self, earlier: Coarse) -> Duration {
        self.since_start().saturating_sub(earlier.since_start())
    }

    /// Which step of the clock this is.
    pub(crate) fn step(self) -> u64 {
        self.0
    }
}

/// A moment that far ahead, or `None` where that is beyond what the clock can say: never.
pub(crate) fn after(start: Instant, limit: Duration) -> Option<Instant> {
    start.checked_add(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_as_fast_as_the_other_clock() {
        // A step of the coarse clock is some milliseconds, ten at most.
        let step = Duration::from_millis(10);
        let (coarse, exact) = (Coarse::now(), Instant::now());
        while coarse.elapsed() < 5 * step {
            std::thread::yield_now();
        }
        assert!(exact.elapsed() >= 4 * step);
        let most = coarse.elapsed();
        assert!(most <= exact.elapsed() + step);
    }

    #[test]
    fn moments_are_as_far_apart_as_they_say() {
        let now = Coarse::now();
        for time in [0, 1, 999_999_999, 1_000_000_000, 86_400_000_000_123].map(Duration::from_nanos) {
            let later = Coarse::from_start(now.since_start() + time);
            assert_eq!(later.since(now), time);
            assert_eq!(later.before(time), now);
            assert_eq!(later >= now, now.since(later) == Duration::ZERO);
        }
        assert_eq!(now.before(Duration::MAX), Coarse::default());
        assert!(Coarse::from_start(Duration::MAX) > now);
    }
}
