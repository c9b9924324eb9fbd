//! The life of a resource: registering and dropping on one thread, and a thousand registrations at once.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{MILLISECOND, SLAB, Scale, repeated, row, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::slab::SlabRegistry;
use crate::peers::{
    BareScopeguard, Builder, COUNTERS, Contender, Grandchild, ShortForm, TrackerToken, fresh_manager,
    register_and_drop,
};

/// All on the calling thread, in short turns: a machine's cores differ for moments at a time, and a thread of its own for
/// each contender would give each another core.
pub(crate) fn register_and_drop_on_one_thread(table: &mut Table, scale: &Scale) {
    let (short, builder, grandchild) =
        (ShortForm(fresh_manager()), Builder(fresh_manager()), Grandchild::new());
    let (slab, token) = (SlabRegistry::default(), TrackerToken(TaskTracker::new()));
    let rounds = Rounds::run(
        scale.many_rounds,
        &mut [
            &mut || [cycles(&short, scale)],
            &mut || [cycles(&builder, scale)],
            &mut || [cycles(&grandchild, scale)],
            &mut || [cycles(&slab, scale)],
            &mut || [cycles(&token, scale)],
            &mut || [cycles(&BareScopeguard, scale)],
        ],
    );
    assert_eq!(short.0.resource_count() + builder.0.resource_count() + slab.live(), 0, "every guard dropped");

    for (what, pair, bound) in [
        (format!("`guard()` against {SLAB}"), (0, 3), Bound::RatioAtMost(1.3)),
        (format!("`resource()` with category and priority against {SLAB}"), (1, 3), Bound::RatioAtMost(1.3)),
        ("`guard()` in a grandchild manager against `guard()`".into(), (2, 0), Bound::None),
        ("`guard()` against a `TaskTracker` token, which only counts".into(), (0, 4), Bound::None),
        ("`guard()` against bare `scopeguard`, which nobody knows of".into(), (0, 5), Bound::None),
    ] {
        table.push(row(format!("register and drop: {what}"), &rounds, pair, scale.cycles as f64, bound));
    }
}

fn cycles(contender: &impl Contender, scale: &Scale) -> Duration {
    timed(|| register_and_drop(contender, &COUNTERS[0], scale.cycles))
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
