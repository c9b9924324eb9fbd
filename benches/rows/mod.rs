//! The rows of the table of ratios: what is measured, against which peer, with which bound.

pub(crate) mod cycle;
#[cfg(feature = "tokio")]
#[allow(dead_code, reason = "a table of its own")]
pub(crate) mod fan_out;
pub(crate) mod forms;
pub(crate) mod live;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod pair;
pub(crate) mod plot;
#[allow(dead_code, reason = "a table of its own")]
pub(crate) mod scan;
pub(crate) mod teardown;

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::measure::table::{Bound, Figure, Row};
use crate::measure::{Rounds, thousands};
use crate::peers::{COUNTERS, Contender, register_and_drop};

const SLAB: &str = "`Mutex<Slab<(Entry, Box)>>`";
const SHARDED: &str = "sharded-slab";
const DASH: &str = "`DashMap`";
const MILLISECOND: Figure = Figure::Nanoseconds(1e6);

/// How much is done: the real figures, or just enough to walk every path.
pub(crate) struct Scale {
    /// Rounds of what takes a millisecond, of most things, and of what takes long by itself.
    many_rounds: usize,
    rounds: usize,
    few_rounds: usize,
    /// Guards registered and dropped in one turn on one thread, and by two threads together.
    cycles: u64,
    shared_cycles: u64,
    /// For how long two threads wait for a machine that has two cores for them.
    patience: Duration,
    /// How often one turn repeats what takes microseconds.
    repeats: u32,
    /// What "a hundred thousand" and "a million" mean.
    many: usize,
    most: usize,
}

pub(crate) const MEASURED: Scale = Scale {
    many_rounds: 1_001,
    rounds: 31,
    few_rounds: 9,
    cycles: 20_000,
    shared_cycles: 400_000,
    patience: Duration::from_secs(60),
    repeats: 20,
    many: 100_000,
    most: 1_000_000,
};

pub(crate) const WALKED: Scale = Scale {
    many_rounds: 1,
    rounds: 1,
    few_rounds: 1,
    cycles: 100,
    shared_cycles: 100,
    patience: Duration::ZERO,
    repeats: 1,
    many: 2_000,
    most: 3_000,
};

/// A row of two contenders of the same rounds; `times` is how often one turn did the thing that the row is about.
fn row(what: String, rounds: &Rounds, (castoff, peer): (usize, usize), times: f64, bound: Bound) -> Row {
    Row {
        what,
        castoff: Figure::Nanoseconds(rounds.median(castoff) / times),
        peer: Some(Figure::Nanoseconds(rounds.median(peer) / times)),
        ratio: Some(rounds.ratio(castoff, peer)),
        bound,
    }
}

/// The time of a call, without dropping what it gives.
fn timed<R>(call: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    let result = call();
    let took = start.elapsed();
    drop(black_box(result));
    took
}

fn repeated(times: u32, mut turn: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| turn()).sum()
}

/// The time of so many cycles on the calling thread.
fn cycles(contender: &impl Contender, times: u64) -> Duration {
    timed(|| register_and_drop(contender, &COUNTERS[0], times))
}
