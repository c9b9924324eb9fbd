//! The end of many resources: a hundred cleanups, teardowns with and without dependencies, one category of eight.

use std::hint::black_box;
use std::time::Duration;

use petgraph::graph::DiGraph;

use super::{MILLISECOND, Scale, repeated, row, thousands, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::crowd::{Crowd, chosen_of, drain_list, filter_list, plain_list};
use crate::peers::stack::{Shape, Stack, bare_order, boxed_cleanups, graph, order_and_run, shape};

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
            teardown_rows(table, &shape(size, each), each, rounds, repeats);
        }
    }
}

fn teardown_rows(table: &mut Table, shape: &Shape, each: usize, rounds: usize, repeats: u32) {
    let graph = graph(shape);
    let stack = Stack::build(shape);
    stack.check_plan(shape, &stack.manager.plan());
    let rounds = Rounds::run(
        rounds,
        &mut [
            &mut || [repeated(repeats, || Stack::build(shape).tear_down())],
            &mut || [repeated(repeats, || timed(|| stack.manager.plan()))],
            &mut || [repeated(repeats, || timed(|| bare_order(black_box(&graph))))],
            &mut || [repeated(repeats, || order_and_call(&graph))],
        ],
    );
    let of = format!("of {}, {each} dependencies each, against", thousands(shape.len()));
    for (what, pair) in [
        (format!("teardown {of} petgraph's bare `toposort`"), (0, 2)),
        (format!("teardown {of} `toposort` and calling boxed closures"), (0, 3)),
        (format!("plan {of} petgraph's bare `toposort`"), (1, 2)),
    ] {
        table.push(row(what, &rounds, pair, f64::from(repeats), Bound::None));
    }
}

fn order_and_call(graph: &DiGraph<usize, ()>) -> Duration {
    let mut cleanups = boxed_cleanups(graph.node_count());
    timed(|| order_and_run(black_box(graph), &mut cleanups))
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
