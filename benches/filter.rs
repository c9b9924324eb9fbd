//! Choosing one category of eight out of 10,000 live resources: castoff's plan and its filtered teardown, against a
//! filter over a plain `Vec` of the same entries and boxed cleanups.
//!
//! The `Vec` is the floor: it is already in order, nobody else may touch it, and it reports nothing. The choice must not
//! cost castoff more than a walk over what is live, so that closing the databases of a big service is cheap.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};

#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;

use peers::COUNTERS;
use peers::crowd::{Crowd, chosen_of, drain_list, filter_list, plain_list};
use peers::walk::end_if_stuck;

const LIVE: usize = 10_000;

fn choose_one_category(criterion: &mut Criterion) {
    end_if_stuck();
    let mut group = criterion.benchmark_group("choose 1 category of 8 out of 10,000");
    group.bench_function("castoff teardown().category().plan()", |bencher| {
        let crowd = Crowd::build(LIVE);
        assert_eq!(crowd.plan_one(), chosen_of(LIVE), "the plan holds the category and nothing else");
        bencher.iter(|| crowd.plan_one());
    });
    group.bench_function("Vec filter", |bencher| {
        let list = plain_list(LIVE);
        assert_eq!(filter_list(&list).len(), chosen_of(LIVE), "the peer finds the same resources");
        bencher.iter(|| filter_list(black_box(&list)));
    });
    group.finish();
}

fn clean_one_category(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clean 1 category of 8 out of 10,000");
    group.bench_function("castoff cleanup_by_category()", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| Crowd::build(LIVE).tear_down_one()).sum());
    });
    group.bench_function("Vec filter and call", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let before = COUNTERS[0].counted();
                    let mut list = plain_list(LIVE);
                    let start = Instant::now();
                    drain_list(&mut list);
                    let took = start.elapsed();
                    assert_eq!(
                        COUNTERS[0].counted() - before,
                        chosen_of(LIVE) as u64,
                        "each cleanup runs once"
                    );
                    took
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, choose_one_category, clean_one_category);
criterion_main!(benches);
