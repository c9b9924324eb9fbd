//! The end of many resources: a hundred cleanups, teardowns with and without dependencies, handing over to threads, one
//! category of eight.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{MILLISECOND, Scale, repeated, row, thousands, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::crowd::{Crowd, chosen_of, drain_list, filter_list, plain_list};
use crate::peers::slab::BoxedCleanup;
use crate::peers::stack::{
    Shape, Stack, bare_order, boxed_cleanups, build_order_and_run, chain, graph, kahn_and_run, pop_and_run,
    shape,
};
use crate::peers::{LABEL, fresh_manager};

pub(crate) fn a_hundred_cleanups(table: &mut Table, scale: &Scale) {
    let shape = shape(100, 0);
    let mut castoff = || [repeated(scale.repeats, || Stack::build(&shape).tear_down())];
    let mut boxes = || [repeated(scale.repeats, call_a_hundred_boxes)];
    let rounds = Rounds::run(scale.rounds, &mut [&mut castoff, &mut boxes]);
    let what = "100 cleanups by `cleanup()`, report included, against calling 100 boxed closures".into();
    table.push(row(what, &rounds, (0, 1), f64::from(scale.repeats), Bound::Below(MILLISECOND)));
}

fn call_a_hundred_boxes() -> Duration {
    let mut cleanups = boxed_cleanups(100);
    timed(|| cleanups.drain(..).rev().flatten().for_each(|cleanup| cleanup()))
}

/// Who depends on whom.
#[derive(Clone, Copy)]
enum Edges {
    None,
    TwoEach,
    Chain,
}

impl Edges {
    fn shape(self, size: usize) -> Shape {
        match self {
            Edges::None => shape(size, 0),
            Edges::TwoEach => shape(size, 2),
            Edges::Chain => chain(size),
        }
    }

    fn of(self, size: usize) -> String {
        let number = thousands(size);
        match self {
            Edges::None => format!("{number}, no dependencies"),
            Edges::TwoEach => format!("{number}, 2 dependencies each"),
            Edges::Chain => format!("{number} in a chain"),
        }
    }

    /// What a teardown may take, in times of making a graph, ordering it and calling boxes.
    fn bound(self, size: usize) -> Bound {
        match (self, size) {
            (Edges::TwoEach, 1_000) => Bound::RatioAtMost(2.0),
            (Edges::TwoEach, 100_000) => Bound::RatioAtMost(3.0),
            (Edges::TwoEach, 1_000_000) => Bound::RatioAtMost(4.0),
            _ => Bound::None,
        }
    }
}

pub(crate) fn teardowns(table: &mut Table, scale: &Scale) {
    for (size, rounds, repeats) in [
        (100, scale.rounds, scale.repeats),
        (1_000, scale.rounds, 1),
        (10_000, scale.few_rounds, 1),
        (scale.many, scale.few_rounds, 1),
        // Each round makes a stack of a million anew, which takes seconds.
        (scale.most, scale.few_rounds.min(3), 1),
    ] {
        let size = size.min(scale.most);
        for edges in [Edges::None, Edges::TwoEach, Edges::Chain] {
            teardown_rows(table, size, edges, (rounds, repeats));
        }
        plan_row(table, size, (rounds, repeats));
    }
}

/// Against what has to be done at the least where there are dependencies, and where there are none.
fn teardown_rows(table: &mut Table, size: usize, edges: Edges, (rounds, repeats): (usize, u32)) {
    let shape = &edges.shape(size);
    let least = |boxes: &mut Vec<Option<BoxedCleanup>>| match edges {
        Edges::None => pop_and_run(boxes),
        Edges::TwoEach | Edges::Chain => kahn_and_run(shape, boxes),
    };
    let rounds = Rounds::run(
        rounds,
        &mut [
            &mut || [repeated(repeats, || Stack::build(shape).tear_down())],
            &mut || [repeated(repeats, || of_boxes(shape, |boxes| build_order_and_run(shape, boxes)))],
            &mut || [repeated(repeats, || of_boxes(shape, least))],
        ],
    );
    let (least, bound) = match (&edges, size) {
        (Edges::None, 1_000) => ("popping and calling boxed closures", Bound::RatioAtMost(4.0)),
        (Edges::None, _) => ("popping and calling boxed closures", Bound::None),
        _ => ("Kahn by hand and calling boxed closures", Bound::None),
    };
    let built = "making petgraph's graph, `toposort` and calling boxed closures";
    for (peer, pair, bound) in [(built, (0, 1), edges.bound(size)), (least, (0, 2), bound)] {
        let what = format!("teardown of {}, against {peer}", edges.of(size));
        table.push(row(what, &rounds, pair, f64::from(repeats), bound));
    }
}

/// Ordering alone: nothing runs, and nothing is made before it but the graph of the peer.
fn plan_row(table: &mut Table, size: usize, (rounds, repeats): (usize, u32)) {
    let edges = Edges::TwoEach;
    let shape = edges.shape(size);
    let graph = graph(&shape);
    let stack = Stack::build(&shape);
    stack.check_plan(&shape, &stack.manager.plan());
    let rounds = Rounds::run(
        rounds,
        &mut [&mut || [repeated(repeats, || timed(|| stack.manager.plan()))], &mut || {
            [repeated(repeats, || timed(|| bare_order(black_box(&graph))))]
        }],
    );
    let what = format!("plan of {}, against petgraph's bare `toposort`", edges.of(size));
    table.push(row(what, &rounds, (0, 1), f64::from(repeats), Bound::None));
}

/// The time of ending boxed cleanups in some way; the boxes are made before.
fn of_boxes(shape: &Shape, end: impl Fn(&mut Vec<Option<BoxedCleanup>>)) -> Duration {
    let mut cleanups = boxed_cleanups(shape.len());
    timed(|| end(black_box(&mut cleanups)))
}

/// Handing over to helper threads: one cleanup alone, many that are nothing, and some that are worth it.
pub(crate) fn dispatch(table: &mut Table, scale: &Scale) {
    let (one, thousand) = (shape(1, 0), shape(1_000, 0));
    let rounds = Rounds::run(
        scale.rounds,
        &mut [
            &mut || [repeated(scale.repeats, || Stack::build(&one).tear_down())],
            &mut || [repeated(scale.repeats, there_and_back)],
            &mut || [Stack::build(&thousand).tear_down_by(2)],
            &mut || [Stack::build(&thousand).tear_down()],
            &mut || [popped_by_two(1_000, || ())],
            &mut || [busy(2)],
            &mut || [busy(1)],
            &mut || [popped_by_two(200, for_a_while)],
        ],
    );
    let one = "teardown of 1, against starting a thread for it and joining that";
    table.push(row(one.into(), &rounds, (0, 1), f64::from(scale.repeats), Bound::None));
    let nothing = "teardown of 1,000 by 2 at once, against one at a time";
    table.push(row(nothing.into(), &rounds, (2, 3), 1.0, Bound::None));
    let by_hand = "two threads started for it that pop boxes from a `Mutex<Vec>`";
    let nothing = format!("teardown of 1,000 by 2 at once, against {by_hand}");
    table.push(row(nothing, &rounds, (2, 4), 1.0, Bound::None));
    let worth_it = "teardown of 200 that take 20 µs each, by 2 at once, against";
    table.push(row(format!("{worth_it} one at a time"), &rounds, (5, 6), 1.0, Bound::None));
    table.push(row(format!("{worth_it} {by_hand}"), &rounds, (5, 7), 1.0, Bound::None));
}

/// Two threads and what they share, in the least that one writes by hand.
fn popped_by_two(size: usize, each: fn()) -> Duration {
    let boxes: Vec<BoxedCleanup> = (0..size).map(|_| Box::new(each) as BoxedCleanup).collect();
    let (boxes, called) = (Mutex::new(boxes), AtomicUsize::new(0));
    let work = || {
        // A statement of its own, so that the lock is gone before foreign code runs.
        let next = || boxes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(cleanup) = next() {
            cleanup();
            called.fetch_add(1, Relaxed);
        }
    };
    let took = timed(|| {
        thread::scope(|threads| {
            threads.spawn(work);
            threads.spawn(work);
        });
    });
    assert_eq!(called.into_inner(), size, "each cleanup runs once");
    took
}

fn for_a_while() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(20) {
        std::hint::spin_loop();
    }
}

fn there_and_back() -> Duration {
    let mut cleanups = boxed_cleanups(1);
    timed(|| thread::spawn(move || cleanups.drain(..).flatten().for_each(|cleanup| cleanup())).join())
}

fn busy(concurrency: usize) -> Duration {
    let manager = fresh_manager();
    let guards: Vec<_> = (0..200).map(|_| manager.guard(LABEL, for_a_while)).collect();
    let mut cleaned = 0;
    let took = timed(|| cleaned = manager.teardown().concurrency(concurrency).run().cleaned());
    assert_eq!(cleaned, guards.len(), "a teardown cleans every resource");
    took
}

pub(crate) fn one_category_of_eight(table: &mut Table, scale: &Scale) {
    const LIVE: usize = 10_000;
    let crowd = Crowd::build(LIVE);
    let list = plain_list(LIVE);
    assert_eq!(crowd.plan_one(), chosen_of(LIVE), "the plan holds the category and nothing else");
    assert_eq!(filter_list(&list).len(), chosen_of(LIVE), "the peer finds the same resources");
    let rounds = Rounds::run(
        scale.rounds,
        &mut [
            &mut || [timed(|| crowd.plan_one())],
            &mut || [timed(|| filter_list(black_box(&list)))],
            &mut || [Crowd::build(LIVE).tear_down_one()],
            &mut || {
                let mut list = plain_list(LIVE);
                [timed(|| drain_list(&mut list))]
            },
        ],
    );
    for (what, pair) in [
        ("plan 1 category of 8 out of 10,000, against a `Vec` filter", (0, 1)),
        (
            "tear down 1 category of 8 out of 10,000, against a `Vec` filter and calling boxed closures",
            (2, 3),
        ),
    ] {
        table.push(row(what.into(), &rounds, pair, 1.0, Bound::None));
    }
}
