//! The end of many resources: a hundred cleanups, teardowns with and without dependencies, handing over to threads, one
//! category of eight.

use std::hint::black_box;
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

pub(crate) fn teardowns(table: &mut Table, scale: &Scale) {
    for (size, rounds, repeats) in
        [(100, scale.rounds, scale.repeats), (1_000, scale.rounds, 1), (scale.many, scale.few_rounds, 1)]
    {
        for each in [0, 2] {
            let what = format!("{}, {each} dependencies each", thousands(size));
            teardown_rows(table, &shape(size, each), &what, (rounds, repeats), bounds(size, each));
        }
    }
    teardown_rows(table, &chain(1_000), "a chain of 1,000", (scale.rounds, 1), Bounds::NONE);
    // Each round makes a stack of a million anew, which takes seconds.
    let what = format!("{}, 2 dependencies each", thousands(scale.most));
    let goals = bounds(scale.most, 2);
    teardown_rows(table, &shape(scale.most, 2), &what, (scale.few_rounds.min(3), 1), goals);
}

/// What a teardown may take, in times of what two of its peers take.
struct Bounds {
    built: Option<f64>,
    popped: Option<f64>,
}

impl Bounds {
    const NONE: Bounds = Bounds { built: None, popped: None };
}

fn bounds(size: usize, each: usize) -> Bounds {
    match (size, each) {
        (1_000, 0) => Bounds { popped: Some(4.0), ..Bounds::NONE },
        (1_000, 2) => Bounds { built: Some(2.0), ..Bounds::NONE },
        (100_000, 2) => Bounds { built: Some(3.0), ..Bounds::NONE },
        (1_000_000, 2) => Bounds { built: Some(4.0), ..Bounds::NONE },
        _ => Bounds::NONE,
    }
}

fn teardown_rows(
    table: &mut Table,
    shape: &Shape,
    what: &str,
    (rounds, repeats): (usize, u32),
    bounds: Bounds,
) {
    let graph = graph(shape);
    let stack = Stack::build(shape);
    stack.check_plan(shape, &stack.manager.plan());
    let rounds = Rounds::run(
        rounds,
        &mut [
            &mut || [repeated(repeats, || Stack::build(shape).tear_down())],
            &mut || [repeated(repeats, || timed(|| stack.manager.plan()))],
            &mut || [repeated(repeats, || timed(|| bare_order(black_box(&graph))))],
            &mut || [repeated(repeats, || of_boxes(shape, |boxes| build_order_and_run(shape, boxes)))],
            &mut || [repeated(repeats, || of_boxes(shape, |boxes| kahn_and_run(shape, boxes)))],
            &mut || [repeated(repeats, || of_boxes(shape, pop_and_run))],
        ],
    );
    let at_most = |goal: Option<f64>| goal.map_or(Bound::None, Bound::RatioAtMost);
    let built = "making petgraph's graph, `toposort` and calling boxed closures";
    for (what, pair, bound) in [
        (format!("teardown of {what}, against {built}"), (0, 3), at_most(bounds.built)),
        (format!("teardown of {what}, against Kahn by hand and calling boxed closures"), (0, 4), Bound::None),
        (
            format!("teardown of {what}, against popping and calling boxed closures"),
            (0, 5),
            at_most(bounds.popped),
        ),
        (format!("plan of {what}, against petgraph's bare `toposort`"), (1, 2), Bound::None),
    ] {
        table.push(row(what, &rounds, pair, f64::from(repeats), bound));
    }
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
            &mut || [busy(2)],
            &mut || [busy(1)],
        ],
    );
    let one = "teardown of 1, against starting a thread for it and joining that";
    table.push(row(one.into(), &rounds, (0, 1), f64::from(scale.repeats), Bound::None));
    let nothing = "teardown of 1,000 by 2 at once, against one at a time";
    table.push(row(nothing.into(), &rounds, (2, 3), 1.0, Bound::None));
    let worth_it = "teardown of 200 that take 20 µs each, by 2 at once, against one at a time";
    table.push(row(worth_it.into(), &rounds, (4, 5), 1.0, Bound::None));
}

fn there_and_back() -> Duration {
    let mut cleanups = boxed_cleanups(1);
    timed(|| std::thread::spawn(move || cleanups.drain(..).flatten().for_each(|cleanup| cleanup())).join())
}

fn busy(concurrency: usize) -> Duration {
    let manager = fresh_manager();
    let busy = || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
    };
    let guards: Vec<_> = (0..200).map(|_| manager.guard(LABEL, busy)).collect();
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
