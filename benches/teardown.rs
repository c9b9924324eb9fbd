//! Tearing down 100, 1,000 and 100,000 resources with no and with two dependencies each, against petgraph's topological
//! order of the same graph alone, and against that order followed by a call of the same boxed cleanups.
//!
//! The bare order is the floor of any ordered teardown, not a rival: a teardown also chooses, claims, times, runs and
//! reports each resource, and puts priorities and newest-first on top of the order. castoff's plan alone, which runs
//! nothing, is the part that compares with it like with like.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::COUNTERS;
use peers::stack::{Shape, Stack, bare_order, boxed_cleanups, graph, order_and_run, shape};
use peers::walk::end_if_stuck;

fn tear_down_a_stack(criterion: &mut Criterion) {
    end_if_stuck();
    for size in [100, 1_000, 100_000] {
        for each in [0, 2] {
            let mut group =
                criterion.benchmark_group(format!("teardown of {size}, {each} dependencies each"));
            group.throughput(Throughput::Elements(size as u64));
            if size == 100_000 {
                // Each sample builds its stack anew, which takes longer than the teardown itself.
                group.sample_size(10).sampling_mode(SamplingMode::Flat);
            }
            compare(&mut group, &shape(size, each));
            group.finish();
        }
    }
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, shape: &Shape) {
    let graph = graph(shape);
    let order = bare_order(&graph);
    assert_eq!(order.len(), shape.len(), "the peer orders every resource");

    group.bench_function("castoff cleanup()", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| Stack::build(shape).tear_down()).sum());
    });
    group.bench_function("castoff plan()", |bencher| {
        let stack = Stack::build(shape);
        stack.check_plan(shape, &stack.manager.plan());
        bencher.iter(|| stack.manager.plan());
    });
    group.bench_function("petgraph toposort", |bencher| bencher.iter(|| bare_order(&graph)));
    group.bench_function("petgraph toposort, then the boxed cleanups", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| run_ordered(&graph)).sum());
    });
}

/// The time of ordering and running alone; the boxes are made before.
fn run_ordered(graph: &petgraph::graph::DiGraph<usize, ()>) -> Duration {
    let before = COUNTERS[0].counted();
    let mut cleanups = boxed_cleanups(graph.node_count());
    let start = Instant::now();
    order_and_run(black_box(graph), &mut cleanups);
    let took = start.elapsed();
    assert_eq!(COUNTERS[0].counted() - before, graph.node_count() as u64, "each cleanup runs once");
    took
}

criterion_group!(benches, tear_down_a_stack);
criterion_main!(benches);
