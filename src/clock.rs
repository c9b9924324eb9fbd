//! The coarse clock: some milliseconds a step, 2 to 6 ns a reading. Good for ages, no good for order.

use std::time::{Duration, Instant};

/// A moment of the coarse clock.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Coarse(u64);

impl Coarse {
    #[inline]
    pub(crate) fn now() -> Coarse {
        // Not `now`: that one writes a cache line that all threads share.
        Coarse(coarsetime::Instant::now_without_cache_update().as_ticks())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Coarse::now().since(self)
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
