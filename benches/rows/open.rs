//! Guards that do not go as they came: several open at once, the oldest dropped first, and guards that another thread
//! drops.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{DASH, SHARDED, SLAB, Scale, row, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::maps::{DashRegistry, ShardedRegistry};
use crate::peers::slab::SlabRegistry;
use crate::peers::tokens::TrackerToken;
use crate::peers::{COUNTERS, Contender, ShortForm, fresh_manager};

/// As many as are open at once.
const OPEN: usize = 16;
/// How many guards change threads together: their way costs the clock nothing.
const BATCH: usize = 1_000;

pub(crate) fn sixteen_open_at_once(table: &mut Table, scale: &Scale) {
    let (short, slab) = (ShortForm(fresh_manager()), SlabRegistry::default());
    let (sharded, dash) = (ShardedRegistry::default(), DashRegistry::default());
    let token = TrackerToken(TaskTracker::new());
    let times = scale.cycles;
    let rounds = Rounds::run(
        scale.many_rounds,
        &mut [
            &mut || [around(&short, times)],
            &mut || [around(&slab, times)],
            &mut || [around(&sharded, times)],
            &mut || [around(&dash, times)],
            &mut || [around(&token, times)],
        ],
    );
    assert_eq!(short.0.resource_count() + slab.live() + dash.live(), 0, "every guard dropped");
    for (what, peer) in [
        (SLAB, 1),
        ("sharded-slab of `(Entry, Box)`", 2),
        ("`DashMap` of `(Entry, Box)`", 3),
        ("`TaskTracker` tokens", 4),
    ] {
        let what =
            format!("register and drop, {OPEN} open at once, the oldest dropped: `guard()` against {what}");
        table.push(row(what, &rounds, (0, peer), times as f64, Bound::None));
    }
}

/// The oldest of those that are open makes room for the next.
fn around(contender: &impl Contender, times: u64) -> Duration {
    const HERE: u32 = line!();
    let before = COUNTERS[0].counted();
    let mut open = [const { None }; OPEN];
    let took = timed(|| {
        for turn in 0..times as usize {
            let place = &mut open[turn % OPEN];
            *place = None;
            *place = Some(black_box(contender.register::<HERE>(&COUNTERS[0])));
        }
    });
    drop(open);
    assert_eq!(COUNTERS[0].counted() - before, times, "each cleanup runs once");
    took
}

/// Registering and dropping, the one after the other: all on one thread, and with a second one for the dropping.
pub(crate) fn dropped_on_another_thread(table: &mut Table, scale: &Scale) {
    let (short, slab) = (ShortForm(fresh_manager()), SlabRegistry::default());
    let (sharded, dash) = (ShardedRegistry::default(), DashRegistry::default());
    let batches = (scale.cycles as usize).div_ceil(BATCH);
    let rounds = Rounds::run(
        scale.rounds * 3,
        &mut [
            &mut || kept_and_handed_over(&short, batches),
            &mut || kept_and_handed_over(&slab, batches),
            &mut || kept_and_handed_over(&sharded, batches),
            &mut || kept_and_handed_over(&dash, batches),
        ],
    );
    assert_eq!(short.0.resource_count() + slab.live() + dash.live(), 0, "every guard dropped");
    let times = (batches * BATCH) as f64;
    let what = "register and drop, 1,000 live";
    for (what, pair, bound) in [
        (
            format!("{what}: `guard()` dropped on another thread, against one"),
            (1, 0),
            Bound::RatioAtMost(6.0),
        ),
        (format!("{what}: `guard()` dropped on another thread, against {SLAB} so"), (1, 3), Bound::None),
        (format!("{what}: (for scale) {SLAB} dropped on another thread, against one"), (3, 2), Bound::None),
        (
            format!("{what}: (for scale) {SHARDED} dropped on another thread, against one"),
            (5, 4),
            Bound::None,
        ),
        (format!("{what}: (for scale) {DASH} dropped on another thread, against one"), (7, 6), Bound::None),
    ] {
        table.push(row(what, &rounds, pair, times, bound));
    }
}

/// The times for as many batches, without and with the other thread. One of the two threads waits while the other works.
fn kept_and_handed_over(contender: &impl Contender, batches: usize) -> [Duration; 2] {
    const HERE: u32 = line!();
    let before = COUNTERS[0].counted();
    let register = || contender.register::<HERE>(&COUNTERS[0]);
    let kept = register_and_end(register, batches, |guards| timed(|| drop(guards)));
    let (give, take) = channel();
    let (tell, told) = channel();
    let handed_over = thread::scope(|threads| {
        threads.spawn(move || drop_all(&take, &tell));
        register_and_end(register, batches, move |guards| {
            give.send(guards).expect("the other thread takes until this one ends");
            told.recv().expect("the other thread answers")
        })
    });
    assert_eq!(COUNTERS[0].counted() - before, 2 * (batches * BATCH) as u64, "each cleanup runs once");
    [kept, handed_over]
}

/// The time of registering every batch, and what ending each of them took.
fn register_and_end<G>(
    register: impl Fn() -> G,
    batches: usize,
    mut end: impl FnMut(Vec<G>) -> Duration,
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let mut guards = Vec::with_capacity(BATCH);
        total += timed(|| guards.extend((0..BATCH).map(|_| black_box(register()))));
        total += end(guards);
    }
    total
}

fn drop_all<G>(take: &Receiver<Vec<G>>, tell: &Sender<Duration>) {
    for guards in take {
        let took = timed(|| drop(guards));
        tell.send(took).expect("the first thread waits for this");
    }
}
