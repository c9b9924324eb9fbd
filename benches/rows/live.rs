//! What is live already: what a registration and its drop cost beside a million others, and how long the longest
//! registration takes on the way there.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use super::{DASH, SHARDED, SLAB, Scale, cycles, row, thousands};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Figure, Row, Table};
use crate::peers::maps::{DashRegistry, ShardedRegistry};
use crate::peers::slab::SlabRegistry;
use crate::peers::tokens::{Swan, TrackerToken};
use crate::peers::{COUNTERS, Contender, ShortForm, fresh_manager};
use crate::rows::plot::{Line, Plot};

/// The contenders' places in the rounds, and what they are called in the plot.
const NAMES: [&str; 6] = [
    "castoff guard()",
    "Mutex<Slab>",
    "sharded-slab",
    "DashMap",
    "swansong, with report",
    "TaskTracker token",
];

/// With so many live, and with none of them, in the same round.
const fn with(contender: usize) -> usize {
    2 * contender
}

const fn without(contender: usize) -> usize {
    2 * contender + 1
}

/// Gives the plot of cost against live resources, too.
pub(crate) fn register_and_drop_beside_many(table: &mut Table, scale: &Scale) -> Plot {
    let mut lines = NAMES.map(|name| Line { name, points: Vec::new() });
    for live in [1, 10, 100, 1_000, 10_000, scale.many, scale.most] {
        let rounds = beside(live, scale);
        for (contender, line) in lines.iter_mut().enumerate() {
            line.points.push((live as f64, rounds.median(with(contender)) / scale.cycles as f64));
        }
        if live == 1_000 || live >= scale.many {
            rows(table, &rounds, live, scale);
        }
    }
    Plot {
        title: "A registration and its drop beside what is live",
        across: "live resources",
        up: "nanoseconds",
        lines: lines.into(),
    }
}

fn rows(table: &mut Table, rounds: &Rounds, live: usize, scale: &Scale) {
    let what = format!("register and drop beside {} live", thousands(live));
    for (what, pair, bound) in [
        (format!("{what}: `guard()`, against none live"), (with(0), without(0)), Bound::RatioAtMost(1.2)),
        (format!("{what}: `guard()` against {SLAB}"), (with(0), with(1)), Bound::None),
        (format!("{what}: `guard()` against {SHARDED} of `(Entry, Box)`"), (with(0), with(2)), Bound::None),
        (format!("{what}: `guard()` against {DASH} of `(Entry, Box)`"), (with(0), with(3)), Bound::None),
        (format!("{what}: (for scale) {SLAB}, against none live"), (with(1), without(1)), Bound::None),
        (format!("{what}: (for scale) {SHARDED}, against none live"), (with(2), without(2)), Bound::None),
        (format!("{what}: (for scale) {DASH}, against none live"), (with(3), without(3)), Bound::None),
    ] {
        table.push(row(what, rounds, pair, scale.cycles as f64, bound));
    }
}

fn beside(live: usize, scale: &Scale) -> Rounds {
    let rounds = if live > 100_000 { scale.few_rounds } else { scale.rounds };
    Rounds::run(
        rounds,
        &mut [
            &mut || hot(&ShortForm(fresh_manager()), live, scale),
            &mut || hot(&SlabRegistry::default(), live, scale),
            &mut || hot(&ShardedRegistry::default(), live, scale),
            &mut || hot(&DashRegistry::default(), live, scale),
            &mut || hot(&Swan::that_reports(), live, scale),
            &mut || hot(&TrackerToken(TaskTracker::new()), live, scale),
        ],
    )
}

/// The same cycles in what is new, and then beside as many guards. They are all of the calling thread, and so in the shard
/// that it goes on with. Before, and not afterwards: a table that has grown is as far from the caches when it is empty.
fn hot(contender: &impl Contender, live: usize, scale: &Scale) -> [Duration; 2] {
    const HERE: u32 = line!();
    let warm = || {
        cycles(contender, scale.cycles);
        cycles(contender, scale.cycles)
    };
    let (before, without) = (COUNTERS[0].counted(), warm());
    let guards: Vec<_> = (0..live).map(|_| contender.register::<HERE>(&COUNTERS[0])).collect();
    let with = warm();
    drop(black_box(guards));
    assert_eq!(COUNTERS[0].counted() - before, live as u64 + 4 * scale.cycles, "each cleanup runs once");
    [with, without]
}

/// The longest of very many registrations in what grows by them. The least of several rounds, because what else the machine
/// does can only lengthen it.
pub(crate) fn worst_registration(table: &mut Table, scale: &Scale) {
    let most = scale.most;
    let rounds = Rounds::run(
        scale.few_rounds,
        &mut [
            &mut || [worst(&ShortForm(fresh_manager()), most)],
            &mut || [worst(&SlabRegistry::default(), most)],
            &mut || [worst(&ShardedRegistry::default(), most)],
            &mut || [worst(&DashRegistry::default(), most)],
        ],
    );
    let castoff = rounds.least(0);
    for (name, peer, bound) in
        [(SLAB, 1, Bound::RatioAtMost(0.2)), (SHARDED, 2, Bound::None), (DASH, 3, Bound::None)]
    {
        let peer = rounds.least(peer);
        table.push(Row {
            what: format!(
                "longest of {} registrations, none dropped, least of {} rounds: `guard()` against {name}",
                thousands(most),
                scale.few_rounds
            ),
            castoff: Figure::Nanoseconds(castoff),
            peer: Some(Figure::Nanoseconds(peer)),
            ratio: Some(castoff / peer),
            bound,
        });
    }
}

fn worst(contender: &impl Contender, most: usize) -> Duration {
    const HERE: u32 = line!();
    let mut guards = Vec::with_capacity(most);
    let mut worst = Duration::ZERO;
    for _ in 0..most {
        let start = Instant::now();
        let guard = contender.register::<HERE>(&COUNTERS[0]);
        worst = worst.max(start.elapsed());
        // Outside of the clock: the first touch of the page that it goes to is not the registry's.
        guards.push(guard);
    }
    drop(black_box(guards));
    worst
}
