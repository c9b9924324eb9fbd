//! The coarse clock: some milliseconds a step, 2 to 6 ns a reading. Good for ages, no good for order.

use std::time::{Duration, Instant};

/// A moment of the coarse clock.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Coarse(u64);

/// In units of 2^-32 s, as coarsetime counts.
#[cfg(all(target_os = "linux", not(castoff_bare)))]
#[inline]
fn ticks() -> u64 {
    // What coarsetime asks, without two calls on the way: this is a tenth of what a guard costs.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let part = ((now.tv_nsec as u64) << 32) / 1_000_000_000;
    (now.tv_sec as u64) << 32 | part
}

#[cfg(all(not(target_os = "linux"), not(castoff_bare)))]
fn ticks() -> u64 {
    // Not `now`: that one writes a cache line that all threads share.
    coarsetime::Instant::now_without_cache_update().as_ticks()
}

impl Coarse {
    #[inline]
    pub(crate) fn now() -> Coarse {
        #[cfg(castoff_bare)]
        return Coarse(1);
        #[cfg(not(castoff_bare))]
        Coarse(ticks())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Coarse::now().since(self)
    }

    /// The moment so long before, or the first there is.
    pub(crate) fn before(self, time: Duration) -> Coarse {
        // Longer than its whole seconds go into the upper half of a tick count is as good as for ever.
        let ticks =
            u32::try_from(time.as_secs()).map_or(u64::MAX, |_| coarsetime::Duration::from(time).as_ticks());
        Coarse(self.0.saturating_sub(ticks))
    }

    pub(crate) fn since(self, earlier: Coarse) -> Duration {
        coarsetime::Duration::from_ticks(self.0.saturating_sub(earlier.0)).into()
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
}
