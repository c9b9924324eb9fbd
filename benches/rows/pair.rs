//! Registering and dropping on two threads at once: what a second core is worth.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use super::{SLAB, Scale};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Figure, Row, Table};
use crate::peers::maps::{DashRegistry, ShardedRegistry};
use crate::peers::slab::SlabRegistry;
use crate::peers::threads::apart_and_together;
use crate::peers::tokens::{Swan, TrackerToken};
use crate::peers::{BareScopeguard, Builder, Contender, ShortForm, fresh_manager, register_and_drop};

/// A contender's place in the rounds, and a figure of it.
const SHORT: usize = 0;
const BUILDER: usize = 1;
const MUTEX: usize = 2;
const TOKEN: usize = 3;
const BARE: usize = 4;
const SWAN: usize = 5;
const REPORTED: usize = 6;
const SHARDED: usize = 7;
const DASH: usize = 8;

/// The time of both halves of the work alone, and of both threads together.
const fn apart(contender: usize) -> usize {
    2 * contender
}

const fn together(contender: usize) -> usize {
    2 * contender + 1
}

/// Bare `scopeguard` is done in a fraction of the others' time: it gets more to do, or its turns would be too short.
const BARE_FACTOR: u64 = 20;

pub(crate) fn register_and_drop_on_two_threads(table: &mut Table, scale: &Scale) {
    let calm = Calm::for_at_most(scale.patience);
    let rounds = measure(scale, &calm);
    for (what, figure, peer, bound) in [
        ("`guard()`, against 1 thread", together(SHORT), apart(SHORT), Bound::RatioAtLeast(1.6)),
        ("`resource()`, against 1 thread", together(BUILDER), apart(BUILDER), Bound::RatioAtLeast(1.6)),
        ("`guard()`, against MUTEX on 2 threads", together(SHORT), together(MUTEX), Bound::None),
        (
            "`guard()`, against `TaskTracker` tokens on 2 threads",
            together(SHORT),
            together(TOKEN),
            Bound::None,
        ),
        (
            "`guard()`, against swansong's `guard()` on 2 threads",
            together(SHORT),
            together(SWAN),
            Bound::None,
        ),
        (
            "`guard()`, against swansong's `guard()` with its report on 2 threads",
            together(SHORT),
            together(REPORTED),
            Bound::None,
        ),
        (
            "`guard()`, against sharded-slab of `(Entry, Box)` on 2 threads",
            together(SHORT),
            together(SHARDED),
            Bound::None,
        ),
        (
            "`guard()`, against `DashMap` of `(Entry, Box)` on 2 threads",
            together(SHORT),
            together(DASH),
            Bound::None,
        ),
        ("(for scale) MUTEX, against 1 thread", together(MUTEX), apart(MUTEX), Bound::None),
        // It shares nothing, so this is what the two cores can give at all.
        ("(for scale) bare `scopeguard`, against 1 thread", together(BARE), apart(BARE), Bound::None),
    ] {
        table.push(Row {
            what: format!("throughput of register and drop on 2 threads: {}", what.replace("MUTEX", SLAB)),
            castoff: throughput(&rounds, figure, scale),
            peer: Some(throughput(&rounds, peer, scale)),
            // More in the same time is less time for the same work: the ratio of times, upside down.
            ratio: Some(rounds.ratio(peer, figure)),
            bound,
        });
    }
    if calm.gave_up.get() > 0 {
        table.note(format!(
            "In {} turns of two threads they had to share a core with something else; run again on an idle machine.",
            calm.gave_up.get()
        ));
    }
}

fn measure(scale: &Scale, calm: &Calm) -> Rounds {
    let (short, builder) = (ShortForm(fresh_manager()), Builder(fresh_manager()));
    let (slab, token) = (SlabRegistry::default(), TrackerToken(TaskTracker::new()));
    let (swan, reported) = (Swan::that_counts(), Swan::that_reports());
    let (sharded, dash) = (ShardedRegistry::default(), DashRegistry::default());
    let total = scale.shared_cycles;
    let rounds = Rounds::run(
        scale.rounds,
        &mut [
            &mut || calm.turn(&short, total),
            &mut || calm.turn(&builder, total),
            &mut || calm.turn(&slab, total),
            &mut || calm.turn(&token, total),
            &mut || calm.turn(&BareScopeguard, total * BARE_FACTOR),
            &mut || calm.turn(&swan, total),
            &mut || calm.turn(&reported, total),
            &mut || calm.turn(&sharded, total),
            &mut || calm.turn(&dash, total),
        ],
    );
    assert_eq!(short.0.resource_count() + builder.0.resource_count() + slab.live(), 0, "every guard dropped");
    assert_eq!(swan.live() + reported.live() + dash.live(), 0, "the peers' too");
    rounds
}

fn throughput(rounds: &Rounds, figure: usize, scale: &Scale) -> Figure {
    let factor = if figure == apart(BARE) || figure == together(BARE) { BARE_FACTOR } else { 1 };
    Figure::PerSecond((scale.shared_cycles * factor) as f64 * 1e9 / rounds.median(figure))
}

/// Takes only turns in which both threads had a core whenever they wanted one; others say nothing about two threads.
struct Calm {
    until: Instant,
    gave_up: Cell<usize>,
}

impl Calm {
    /// How long threads may wait for a core in a good turn: waking a sleeper takes microseconds, and who shares a core
    /// waits for a whole time slice.
    const WAIT: Duration = Duration::from_millis(1);

    /// Every turn counts as it is once this much time has gone.
    fn for_at_most(patience: Duration) -> Calm {
        Calm { until: Instant::now() + patience, gave_up: Cell::new(0) }
    }

    fn turn(&self, contender: &impl Contender, total: u64) -> [Duration; 2] {
        loop {
            let [apart, together, waited] = apart_and_together(total, |counter, share| {
                register_and_drop(contender, counter, share);
            });
            if waited < Calm::WAIT {
                return [apart, together];
            }
            if Instant::now() >= self.until {
                self.gave_up.update(|turns| turns + 1);
                return [apart, together];
            }
        }
    }
}
