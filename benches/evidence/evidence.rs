//! What the evidence costs that castoff collects unless told otherwise: who registered what, where, when, for which
//! manager. Against the same source built without asking for it, in one run of one program:
//! `cargo bench -p castoff-evidence`.
//!
//! Built without (`castoff_bare`), a registration reads no clock, and its line is castoff's own instead of the
//! caller's. What stays in both is what the registry could not do without, or what is too small to take out: the manager
//! and the thread's place are what finds a resource again, and three words of the entry are written in any case.

#[allow(dead_code, reason = "each bench file uses its own part of the measuring")]
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../peers/walk.rs"]
mod walk;

use std::hint::black_box;
use std::time::{Duration, Instant};

use measure::Rounds;
use measure::table::{Bound, Figure, Row, Table};
use walk::{end_if_stuck, measuring};

/// How much is done: the real figures, or just enough to walk every path.
struct Scale {
    rounds: usize,
    cycles: u32,
    managers: u32,
}

const MEASURED: Scale = Scale { rounds: 1_001, cycles: 20_000, managers: 10 };
const WALKED: Scale = Scale { rounds: 1, cycles: 100, managers: 1 };
const REGISTRATIONS: usize = 1_000;

/// It captures one reference, as a real one at least does.
#[inline(always)]
fn cleanup() -> impl FnOnce() + Send + 'static {
    static POOL: u64 = 5432;
    let pool = &POOL;
    move || {
        black_box(pool);
    }
}

/// The same work with either of the two. A macro, as they have nothing in common but their source.
macro_rules! contender {
    ($name:ident, $castoff:ident) => {
        mod $name {
            use super::{Duration, Instant, REGISTRATIONS, Scale, black_box, cleanup};
            use $castoff::{ManagerConfig, ResourceManager};

            pub(super) fn manager() -> ResourceManager {
                ResourceManager::isolated("bench", ManagerConfig::default())
            }

            /// Registers and drops, one after the other.
            pub(super) fn cycles(manager: &ResourceManager, scale: &Scale) -> [Duration; 1] {
                let start = Instant::now();
                for _ in 0..scale.cycles {
                    drop(black_box(manager.guard("orders connection", cleanup())));
                }
                [start.elapsed()]
            }

            /// Registers a thousand with a new manager, so many times. Dropping them is not in the figure.
            pub(super) fn registrations(scale: &Scale) -> [Duration; 1] {
                let mut took = Duration::ZERO;
                for _ in 0..scale.managers {
                    let (manager, mut guards) = (manager(), Vec::with_capacity(REGISTRATIONS));
                    let start = Instant::now();
                    for _ in 0..REGISTRATIONS {
                        guards.push(manager.guard("orders connection", cleanup()));
                    }
                    took += start.elapsed();
                    assert_eq!(manager.resource_count(), REGISTRATIONS);
                }
                [took]
            }

            /// Where its registrations seem to come from.
            pub(super) fn evidence() -> String {
                let manager = manager();
                let guard = manager.guard("here", || ());
                let info = manager.get((&guard).into()).expect("it is live");
                format!("{} {}", info.created_at.file(), info.thread)
            }
        }
    };
}

contender!(with, castoff);
contender!(without, castoff_bare);

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("evidence: benchmark");
        return;
    }
    assert!(with::evidence().starts_with(file!()), "the one collects evidence: {}", with::evidence());
    assert!(!without::evidence().starts_with(file!()), "and the other does not");
    if measuring() {
        println!("{}", table(&MEASURED));
    } else {
        end_if_stuck();
        table(&WALKED);
        println!("evidence: everything ran once; `cargo bench -p castoff-evidence` measures");
    }
}

fn table(scale: &Scale) -> Table {
    let mut table = Table::default();
    table.section("What evidence costs");
    let rounds = Rounds::run(
        scale.rounds,
        &mut [&mut || with::registrations(scale), &mut || without::registrations(scale)],
    );
    let each = f64::from(scale.managers) * REGISTRATIONS as f64;
    table.push(row("a registration, one of 1,000 in a new manager", &rounds, each));
    let (full, bare) = (with::manager(), without::manager());
    let rounds = Rounds::run(
        scale.rounds,
        &mut [&mut || with::cycles(&full, scale), &mut || without::cycles(&bare, scale)],
    );
    assert_eq!(full.resource_count() + bare.resource_count(), 0, "every guard dropped");
    assert_eq!(full.stats().cleaned, bare.stats().cleaned, "as often with both");
    table.push(row("a registration and its drop", &rounds, f64::from(scale.cycles)));
    table
}

fn row(what: &str, rounds: &Rounds, times: f64) -> Row {
    Row {
        what: format!("{what}: with the evidence that is on by default, against castoff built without"),
        castoff: Figure::Nanoseconds(rounds.median(0) / times),
        peer: Some(Figure::Nanoseconds(rounds.median(1) / times)),
        ratio: Some(rounds.ratio(0, 1)),
        bound: Bound::RatioAtMost(1.15),
    }
}
