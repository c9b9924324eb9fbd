//! Tearing down 100 to 1,000,000 resources, without dependencies, with two each and in a chain: against petgraph's
//! topological order of the same graph alone, against making that graph, ordering it and calling the same cleanups in
//! boxes, against Kahn's algorithm by hand, and against a stack of boxes that is popped.
//!
//! These are floors, not rivals: a teardown also chooses, claims, times, runs and reports each resource, contains its
//! panics and can leave it when it hangs, and puts priorities and newest-first on top of the order. castoff's plan alone,
//! which runs nothing, is the part that compares with the bare order like with like.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::COUNTERS;
use peers::slab::BoxedCleanup;
use peers::stack::{
    Shape, Stack, bare_order, boxed_cleanups, build_order_and_run, chain, graph, kahn_and_run, pop_and_run,
    shape,
};
use peers::walk::{end_if_stuck, measuring};

/// In a walk nothing is judged by time, and so nothing has to be large.
const LARGEST_WALKED: usize = 1_000;

fn tear_down_a_stack(criterion: &mut Criterion) {
    end_if_stuck();
    for size in [100, 1_000, 10_000, 100_000, 1_000_000] {
        if size > LARGEST_WALKED && !measuring() {
            continue;
        }
        let shapes = [("no dependencies", shape(size, 0)), ("2 dependencies each", shape(size, 2))];
        for (what, shape) in shapes.into_iter().chain([("a chain", chain(size))]) {
            let mut group = criterion.benchmark_group(format!("teardown of {size}, {what}"));
            group.throughput(Throughput::Elements(size as u64));
            if size >= 10_000 {
                // Each sample builds its stack anew, which takes longer than the teardown itself.
                group.sample_size(10).sampling_mode(SamplingMode::Flat);
            }
            compare(&mut group, &shape);
            group.finish();
        }
    }
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, shape: &Shape) {
    let graph = graph(shape);
    let order = bare_order(&graph);
    assert_eq!(order.len(), shape.len(), "the peer orders every resource");

    for concurrency in [1, 2] {
        group.bench_function(format!("castoff, {concurrency} at once"), |bencher| {
            let tear_down = || Stack::build(shape).tear_down_by(concurrency);
            bencher.iter_custom(|rounds| (0..rounds).map(|_| tear_down()).sum());
        });
    }
    group.bench_function("castoff plan()", |bencher| {
        let stack = Stack::build(shape);
        stack.check_plan(shape, &stack.manager.plan());
        bencher.iter(|| stack.manager.plan());
    });
    group.bench_function("petgraph toposort", |bencher| bencher.iter(|| bare_order(&graph)));
    let mut peer = |name: &str, end: &dyn Fn(&mut Vec<Option<BoxedCleanup>>)| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| run_boxes(shape.len(), end)).sum());
        });
    };
    peer("a graph made, petgraph toposort, then the boxes", &|boxes| build_order_and_run(shape, boxes));
    peer("Kahn by hand, with the boxes", &|boxes| kahn_and_run(shape, boxes));
    peer("the boxes popped", &pop_and_run);
}

/// The time of ending them alone; the boxes are made before.
fn run_boxes(size: usize, end: &dyn Fn(&mut Vec<Option<BoxedCleanup>>)) -> Duration {
    let before = COUNTERS[0].counted();
    let mut cleanups = boxed_cleanups(size);
    let start = Instant::now();
    end(black_box(&mut cleanups));
    let took = start.elapsed();
    assert_eq!(COUNTERS[0].counted() - before, size as u64, "each cleanup runs once");
    took
}

criterion_group!(benches, tear_down_a_stack);
criterion_main!(benches);
