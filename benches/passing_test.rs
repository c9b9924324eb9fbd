//! What a test that passes costs besides its body: `#[castoff::test]` and `testing::scope` against the bare call.
//!
//! `cargo bench --bench passing_test`, and with `--profile dev`, as tests are built.

use std::hint::black_box;
use std::process::ExitCode;

use castoff::ResourceManager;
use castoff::testing::{Attribute, scope};
use criterion::{Criterion, criterion_group, criterion_main};

/// As many as a test may hold.
const HELD: [usize; 3] = [0, 1, 20];

/// The body of a test.
fn hold(manager: &ResourceManager, count: usize) {
    let guards: Vec<_> = (0..count).map(|_| manager.guard("table", || ())).collect();
    black_box(guards);
}

fn passing_test(criterion: &mut Criterion) {
    let around = ResourceManager::new("around");
    let mut group = criterion.benchmark_group("a test that passes");
    for count in HELD {
        group.bench_function(format!("its body alone, with {count} guards"), |bench| {
            bench.iter(|| hold(&around, count));
        });
        group.bench_function(format!("#[castoff::test], with {count} guards"), |bench| {
            bench.iter(|| {
                let code = Attribute::new("benches::test").run(move |manager| hold(manager, count));
                assert_eq!(code, ExitCode::SUCCESS);
            });
        });
        group.bench_function(format!("testing::scope, with {count} guards"), |bench| {
            bench.iter(|| scope(|manager| hold(manager, count)));
        });
    }
    group.finish();
}

criterion_group!(benches, passing_test);
criterion_main!(benches);
