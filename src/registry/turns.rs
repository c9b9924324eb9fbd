//! Which of two registrations on different threads is the newer.
//!
//! One thread's registrations are ordered by a number of its shard. Between threads a global counter would tell,
//! but costs more than the rest of a registration as soon as two threads use it. So the counter moves only when
//! the thread that registers is another than the last one: a thread alone only reads it.
//!
//! Invariants:
//! 1. A registration that happens after another on a different thread has a greater turn, as long as fewer than
//!    [`HAND_OVERS`] hand-overs fall into one step of the coarse clock. Beyond that, threads that register at
//!    full speed stop counting until the next step, and their order within it is arbitrary but fixed.
//! 2. Turns never decrease for one thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Coarse;

/// At 4 ms a step and up to 200 ns a hand-over, where cores pull the word from each other, this bounds the cost at about
/// one part in a hundred.
const HAND_OVERS: u64 = 250;
const WHO_BITS: u32 = 16;

#[derive(Debug)]
pub(crate) struct Turns {
    /// The turn, and in the low bits who took it.
    last: AtomicU64,
    /// The step of the clock that the budget below is for. Both are only written at a hand-over.
    step: AtomicU64,
    used: AtomicU64,
}

impl Turns {
    pub(crate) const fn new() -> Turns {
        Turns { last: AtomicU64::new(0), step: AtomicU64::new(0), used: AtomicU64::new(0) }
    }

    /// The turn of a registration by `who` (a shard's number plus one).
    #[inline]
    pub(crate) fn take(&self, who: u32, now: Coarse) -> u64 {
        let last = self.last.load(Relaxed);
        if last & ((1 << WHO_BITS) - 1) == u64::from(who) {
            last >> WHO_BITS
        } else {
            self.hand_over(who, now)
        }
    }

    #[cold]
    fn hand_over(&self, who: u32, now: Coarse) -> u64 {
        if self.step.load(Relaxed) != now.step() {
            self.step.store(now.step(), Relaxed);
            self.used.store(0, Relaxed);
        } else if self.used.load(Relaxed) >= HAND_OVERS {
            return self.last.load(Relaxed) >> WHO_BITS;
        }
        self.used.fetch_add(1, Relaxed);
        let next = |last: u64| ((last >> WHO_BITS) + 1) << WHO_BITS | u64::from(who);
        // Relaxed is enough: what happens before on another thread has written or read this very word, and a
        // later look at one word never goes back behind an earlier one.
        let before =
            self.last.fetch_update(Relaxed, Relaxed, |last| Some(next(last))).unwrap_or_else(|last| last);
        (before >> WHO_BITS) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_alone_stays_in_its_turn() {
        let turns = Turns::new();
        let now = Coarse::now();
        let first = turns.take(1, now);
        assert_eq!(turns.take(1, now), first);
        assert!(turns.take(2, now) > first);
        assert!(turns.take(1, now) > first + 1);
    }

    #[test]
    fn a_storm_of_hand_overs_stops_counting_but_never_goes_back() {
        let turns = Turns::new();
        let now = Coarse::now();
        let taken: Vec<u64> = (0..10 * HAND_OVERS).map(|n| turns.take((n % 2) as u32 + 1, now)).collect();
        assert!(taken.is_sorted());
        assert_eq!(taken.last(), Some(&HAND_OVERS));
    }
}
