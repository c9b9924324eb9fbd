//! Real threads that register, let go, tear down and look at once: nothing is lost, nothing runs twice, nothing hangs.
//! Every cleanup counts its own runs. A test that is not done in time ends the process and says who was doing what.
//!
//! `CASTOFF_STORM` multiplies the sizes: 10 for a long storm, 0.1 for a short one.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

mod crowd;
mod ended_threads;
mod handing_over;
mod listeners;
mod millions;
mod nested;
pub(crate) mod quiet;
mod races;
mod reentrant;
mod shutdown;
pub(crate) mod tally;
pub(crate) mod watchdog;

/// How long a storm of the usual size may take: a hundred times what it does take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A size, multiplied as the environment says, and at least one.
pub(crate) fn scaled(size: usize) -> usize {
    ((size as f64 * factor()) as usize).max(1)
}

/// The watchdog's limit for storms of the size asked for.
pub(crate) fn patience() -> Duration {
    PATIENCE.mul_f64(factor().max(1.0))
}

fn factor() -> f64 {
    let Ok(text) = std::env::var("CASTOFF_STORM") else { return 1.0 };
    let factor = text.parse().ok().filter(|factor| (0.0..1e6).contains(factor));
    factor.unwrap_or_else(|| panic!("CASTOFF_STORM is {text:?}, not a number from 0 to a million"))
}

/// Random enough to mix the threads up, and the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: usize) -> Dice {
        Dice((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// From 0 to `sides - 1`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

/// One of the threads that others wait for: counted out at its end, which may be a panic.
struct Counted<'n>(&'n AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
