//! Registering a resource and dropping its guard, on one thread and on two: castoff's short form and builder against a
//! bare `scopeguard` (the floor: nobody knows of the guard), a `Mutex<Slab>` that keeps the same facts (what one would
//! write by hand), the same in a sharded-slab and in a `DashMap`, and the guards of `TaskTracker` and swansong (what an async
//! service has at hand; they count and know nothing else).
//!
//! This is the path that every user pays for each resource. The same total is split over the threads, so elements per
//! second compare directly: two threads of a registry that scales show twice the throughput.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tokio_util::task::TaskTracker;

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::maps::{DashRegistry, ShardedRegistry};
use peers::slab::SlabRegistry;
use peers::threads::split;
use peers::tokens::{Swan, TrackerToken};
use peers::walk::end_if_stuck;
use peers::{BareScopeguard, Builder, Contender, Grandchild, ShortForm, fresh_manager, register_and_drop};

fn register_and_drop_a_guard(criterion: &mut Criterion) {
    end_if_stuck();
    for (name, threads) in [("1 thread", 1), ("2 threads", 2)] {
        let mut group = criterion.benchmark_group(format!("register and drop, {name}"));
        group.throughput(Throughput::Elements(1));
        contend(&mut group, threads, &ShortForm(fresh_manager()));
        contend(&mut group, threads, &Builder(fresh_manager()));
        contend(&mut group, threads, &Grandchild::new());
        contend(&mut group, threads, &SlabRegistry::default());
        contend(&mut group, threads, &TrackerToken(TaskTracker::new()));
        contend(&mut group, threads, &Swan::that_counts());
        contend(&mut group, threads, &ShardedRegistry::default());
        contend(&mut group, threads, &DashRegistry::default());
        contend(&mut group, threads, &BareScopeguard);
        group.finish();
    }
}

fn contend(group: &mut BenchmarkGroup<'_, WallTime>, threads: usize, contender: &impl Contender) {
    group.bench_function(contender.name(), |bencher| {
        bencher.iter_custom(|total| {
            split(threads, total, |counter, share| register_and_drop(contender, counter, share))
        });
    });
}

criterion_group!(benches, register_and_drop_a_guard);
criterion_main!(benches);
