//! Asynchronous cleanups that take their time, torn down concurrently: 10,000 that sleep for a millisecond, a thousand at
//! once, and a hundred pools that close in 100 ms, all at once, against the same futures in a bare `FuturesUnordered`,
//! polled on a runtime of the same kind.
//!
//! The bare set is the ideal: it registers, orders, times and reports nothing.

use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceManager};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::runtime::{Builder, Runtime};

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::walk::end_if_stuck;

/// So many cleanups, so many of them at once, each so long.
struct Crowd {
    size: usize,
    at_once: usize,
    each: Duration,
}

const CROWDS: [Crowd; 2] = [
    Crowd { size: 10_000, at_once: 1_000, each: Duration::from_millis(1) },
    Crowd { size: 100, at_once: 100, each: Duration::from_millis(100) },
];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be had")
}

/// The teardown alone: what it takes to register is another bench's.
async fn castoff(crowd: &Crowd) -> Duration {
    let manager = ResourceManager::isolated("crowd", ManagerConfig::default());
    let each = crowd.each;
    let guards: Vec<_> =
        (0..crowd.size).map(|_| manager.guard_async("pool", move || tokio::time::sleep(each))).collect();
    let start = Instant::now();
    let report = manager.teardown().concurrency(crowd.at_once).run_async().await;
    let took = start.elapsed();
    assert_eq!(report.cleaned(), crowd.size, "each cleanup runs");
    drop(guards);
    took
}

async fn bare(crowd: &Crowd) -> Duration {
    let start = Instant::now();
    let each = crowd.each;
    let ended = if crowd.at_once >= crowd.size {
        let all: FuturesUnordered<_> = (0..crowd.size).map(|_| tokio::time::sleep(each)).collect();
        all.count().await
    } else {
        let sleeps = stream::iter(0..crowd.size).map(|_| tokio::time::sleep(each));
        sleeps.buffer_unordered(crowd.at_once).count().await
    };
    let took = start.elapsed();
    assert_eq!(ended, crowd.size, "each future ends");
    took
}

fn tear_down_a_crowd(criterion: &mut Criterion) {
    end_if_stuck();
    for crowd in &CROWDS {
        let name = format!("{} cleanups of {:?}, {} at once", crowd.size, crowd.each, crowd.at_once);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        compare(&mut group, crowd);
        group.finish();
    }
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, crowd: &Crowd) {
    let runtime = runtime();
    group.bench_function("castoff run_async()", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(castoff(crowd))).sum());
    });
    group.bench_function("FuturesUnordered", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(bare(crowd))).sum());
    });
}

criterion_group!(benches, tear_down_a_crowd);
criterion_main!(benches);
