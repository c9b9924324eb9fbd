//! Which of two registrations on different threads is the newer.
//!
//! One thread's registrations are ordered by a number of its shard. Between threads a global counter would tell,
//! but costs more than the rest of a registration as soon as two threads use it. So the counter moves only when
//! the thread that registers is another than the last one: a thread alone only reads it.
//!
//! Invariants:
//! 1. A registration that happens after another on a different thread has a greater turn, as long as fewer than
//!    [`HAND_OVERS`] hand-overs fall into one step of the coarse clock. Beyond that, threads that register at
//!    full speed stop counting until the next step, and their order within it is arbitrary but fixed: each stays in its
//!    turn, and does not even look.
//! 2. Turns never decrease for one thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Coarse;

/// At 4 ms a step and up to 200 ns a hand-over, where cores pull the word from each other, this bounds the cost at less than
/// one part in a hundred.
const HAND_OVERS: u64 = 128;
const WHO_BITS: u32 = 16;

#[derive(Debug)]
pub(crate) struct Turns {
    /// The turn, and in the low bits who took it. Shard 0 has the first.
    last: AtomicU64,
    /// The step of the clock that the budget below is for. Both are only written at a hand-over.
    step: AtomicU64,
    used: AtomicU64,
}

/// The turn of who registers in one shard.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Turn {
    number: u64,
    /// The step of the clock in which no more hand-overs are counted.
    over_in: u64,
}

impl Turns {
    pub(crate) const fn new() -> Turns {
        Turns { last: AtomicU64::new(0), step: AtomicU64::new(0), used: AtomicU64::new(0) }
    }

    /// The turn of a registration in shard `who`, whose last one was this.
    #[inline]
    pub(crate) fn take(&self, who: u32, now: Coarse, turn: &mut Turn) -> u64 {
        if turn.over_in != now.step() {
            let last = self.last.load(Relaxed);
            turn.number = match last & ((1 << WHO_BITS) - 1) == u64::from(who) {
                true => last >> WHO_BITS,
                false => self.hand_over(who, now, turn),
            };
        }
        turn.number
    }

    #[cold]
    fn hand_over(&self, who: u32, now: Coarse, turn: &mut Turn) -> u64 {
        if self.step.load(Relaxed) != now.step() {
            self.step.store(now.step(), Relaxed);
            self.used.store(0, Relaxed);
        } else if self.used.load(Relaxed) >= HAND_OVERS {
            turn.over_in = now.step();
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
        let (turns, now) = (Turns::new(), Coarse::now());
        let (mut one, mut other) = (Turn::default(), Turn::default());
        let first = turns.take(1, now, &mut one);
        assert_eq!(turns.take(1, now, &mut one), first);
        assert!(turns.take(2, now, &mut other) > first);
        assert!(turns.take(1, now, &mut one) > first + 1);
    }

    #[test]
    fn a_storm_of_hand_overs_stops_counting_until_the_next_step_but_never_goes_back() {
        let (turns, now) = (Turns::new(), Coarse::now());
        let mut both = [Turn::default(); 2];
        let mut taken = |number: u64, now| {
            let who = (number % 2) as usize;
            turns.take(who as u32 + 1, now, &mut both[who])
        };
        let storm: Vec<u64> = (0..10 * HAND_OVERS).map(|number| taken(number, now)).collect();
        let counted = HAND_OVERS as usize;
        assert!(storm[..counted].is_sorted_by(|one, next| one < next));
        assert!(storm[counted..].iter().all(|turn| *turn == HAND_OVERS));
        let later = now.before(std::time::Duration::from_nanos(1));
        assert!(taken(0, later) > HAND_OVERS && taken(1, later) > HAND_OVERS + 1);
    }
}
