//! A thousand registrations as one figure, the guards kept: the short form, the builder with more and more said, and a
//! batch, against a `Mutex<Slab>` that keeps the same facts and against a `Vec` of bare `scopeguard` guards.
//!
//! This is what the start of a service costs. Every round fills a new manager, so growing is part of the figure;
//! dropping the guards is not.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use castoff::{ResourceDefinition, ResourceManager};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::slab::SlabRegistry;
use peers::walk::end_if_stuck;
use peers::{
    BareScopeguard, Builder, CATEGORY, COUNTERS, Contender, Counter, LABEL, PRIORITY, ShortForm,
    fresh_manager,
};

const REGISTRATIONS: usize = 1_000;

fn a_thousand_registrations(criterion: &mut Criterion) {
    end_if_stuck();
    let mut group = criterion.benchmark_group("1,000 registrations");
    compare(&mut group, || ShortForm(fresh_manager()));
    compare(&mut group, || Builder(fresh_manager()));
    compare(&mut group, Everything::new);
    group.bench_function("castoff register_batch()", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| fill_by_batch()).sum());
    });
    compare(&mut group, SlabRegistry::default);
    compare(&mut group, || BareScopeguard);
    group.finish();
}

fn compare<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, make: impl Fn() -> C) {
    group.bench_function(make().name(), |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| fill(&make())).sum());
    });
}

/// The time of a thousand registrations alone: the place for the guards is made before, and they drop after.
fn fill(contender: &impl Contender) -> Duration {
    const HERE: u32 = line!();
    let counter = &COUNTERS[0];
    let before = counter.counted();
    let mut guards = Vec::with_capacity(REGISTRATIONS);
    let start = Instant::now();
    for _ in 0..REGISTRATIONS {
        guards.push(contender.register::<HERE>(counter));
    }
    let took = start.elapsed();
    assert_eq!(counter.counted(), before, "no cleanup runs while its guard lives");
    drop(black_box(guards));
    assert_eq!(counter.counted() - before, REGISTRATIONS as u64, "each cleanup runs once");
    took
}

/// A registration as a service writes it: its own label and name, a description, a tag and a fact for the report.
struct Everything {
    manager: ResourceManager,
    next: AtomicU32,
}

impl Everything {
    fn new() -> Everything {
        Everything { manager: fresh_manager(), next: AtomicU32::new(0) }
    }
}

impl Contender for Everything {
    fn name(&self) -> &'static str {
        "castoff resource() with everything said"
    }

    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.manager
            .resource(format!("orders connection {number}"))
            .named(format!("orders-{number}"))
            .category(CATEGORY)
            .priority(PRIORITY)
            .timeout(Duration::from_secs(5))
            .description("serves the orders page")
            .tag("orders")
            .metadata("port", 5432)
            .estimated_bytes(4096)
            .guard(counter.cleanup::<Self, SITE>())
            .expect("unique names and an open manager: nothing to refuse")
    }
}

/// One call for all; making the definitions is the caller's own work and not in the figure.
fn fill_by_batch() -> Duration {
    let manager = fresh_manager();
    let definitions: Vec<_> = (0..REGISTRATIONS)
        .map(|number| {
            ResourceDefinition::new(LABEL, COUNTERS[0].cleanup::<ResourceDefinition, 0>())
                .named(format!("orders-{number}"))
                .category(CATEGORY)
                .priority(PRIORITY)
        })
        .collect();
    let start = Instant::now();
    let guards = manager.register_batch(definitions);
    let took = start.elapsed();
    let guards = guards.expect("unique names and no dependencies: nothing to refuse");
    assert_eq!(guards.len(), REGISTRATIONS, "a batch gives a guard for each definition");
    took
}

criterion_group!(benches, a_thousand_registrations);
criterion_main!(benches);
