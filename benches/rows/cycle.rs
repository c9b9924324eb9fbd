//! The life of a resource: registering and dropping on one thread, and a thousand registrations at once.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{DASH, MILLISECOND, SHARDED, SLAB, Scale, cycles, repeated, row, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::maps::{DashRegistry, ShardedRegistry};
use crate::peers::slab::SlabRegistry;
use crate::peers::tokens::{Swan, TrackerToken};
use crate::peers::{BareScopeguard, Builder, COUNTERS, Contender, Grandchild, ShortForm, fresh_manager};

/// All on the calling thread, in short turns: a machine's cores differ for moments at a time, and a thread of its own for
/// each contender would give each another core.
pub(crate) fn register_and_drop_on_one_thread(table: &mut Table, scale: &Scale) {
    let (short, builder, grandchild) =
        (ShortForm(fresh_manager()), Builder(fresh_manager()), Grandchild::new());
    let (slab, token) = (SlabRegistry::default(), TrackerToken(TaskTracker::new()));
    let (swan, reported) = (Swan::that_counts(), Swan::that_reports());
    let (sharded, dash) = (ShardedRegistry::default(), DashRegistry::default());
    let times = scale.cycles;
    let rounds = Rounds::run(
        scale.many_rounds,
        &mut [
            &mut || [cycles(&short, times)],
            &mut || [cycles(&builder, times)],
            &mut || [cycles(&grandchild, times)],
            &mut || [cycles(&slab, times)],
            &mut || [cycles(&token, times)],
            &mut || [cycles(&swan, times)],
            &mut || [cycles(&reported, times)],
            &mut || [cycles(&sharded, times)],
            &mut || [cycles(&dash, times)],
            &mut || [cycles(&BareScopeguard, times)],
        ],
    );
    assert_eq!(short.0.resource_count() + builder.0.resource_count() + slab.live(), 0, "every guard dropped");
    assert_eq!(swan.live() + reported.live() + dash.live(), 0, "the peers' too");

    for (what, pair, bound) in [
        (format!("`guard()` against {SLAB}"), (0, 3), Bound::RatioAtMost(0.5)),
        (format!("`resource()` with category and priority against {SLAB}"), (1, 3), Bound::RatioAtMost(0.5)),
        ("`guard()` in a grandchild manager against `guard()`".into(), (2, 0), Bound::None),
        (
            "`guard()` against a `TaskTracker` token, which only counts".into(),
            (0, 4),
            Bound::RatioAtMost(0.8),
        ),
        ("`guard()` against swansong's `guard()`, which only counts".into(), (0, 5), Bound::None),
        ("`guard()` against swansong's `guard()` with its report".into(), (0, 6), Bound::None),
        (format!("`guard()` against {SHARDED} of `(Entry, Box)`"), (0, 7), Bound::None),
        (format!("`guard()` against {DASH} of `(Entry, Box)`"), (0, 8), Bound::None),
        ("`guard()` against bare `scopeguard`, which nobody knows of".into(), (0, 9), Bound::None),
    ] {
        table.push(row(format!("register and drop: {what}"), &rounds, pair, times as f64, bound));
    }
}

pub(crate) fn a_thousand_registrations(table: &mut Table, scale: &Scale) {
    let rounds = Rounds::run(
        scale.rounds,
        &mut [
            &mut || [repeated(scale.repeats, || fill(&ShortForm(fresh_manager())))],
            &mut || [repeated(scale.repeats, || fill(&Builder(fresh_manager())))],
            &mut || [repeated(scale.repeats, || fill(&SlabRegistry::default()))],
        ],
    );
    for (castoff, name) in ["`guard()`", "`resource()` with category and priority"].into_iter().enumerate() {
        let what = format!("1,000 registrations in a new manager: {name} against {SLAB}");
        table.push(row(what, &rounds, (castoff, 2), f64::from(scale.repeats), Bound::Below(MILLISECOND)));
    }
}

/// The time of a thousand registrations; the guards drop after it.
fn fill(contender: &impl Contender) -> Duration {
    const HERE: u32 = line!();
    let mut guards = Vec::with_capacity(1_000);
    timed(|| {
        for _ in 0..1_000 {
            guards.push(contender.register::<HERE>(&COUNTERS[0]));
        }
    })
}
