//! What a look at what the operating system holds costs, with 100 and with 500 open descriptors, and what a comparison
//! of two looks costs. There is no peer: what it is made of is system calls, about two a descriptor, and one or two for
//! each process of the machine.

use std::fs::File;

use castoff::Footprint;
use criterion::{Criterion, criterion_group, criterion_main};

fn look(criterion: &mut Criterion) {
    for count in [100, 500] {
        let held: Vec<File> =
            (0..count).map(|_| File::open("/dev/null").expect("it can be opened")).collect();
        let mut group = criterion.benchmark_group(format!("footprint with {count} descriptors"));
        group.sample_size(20);
        group.bench_function("capture", |bencher| bencher.iter(Footprint::capture));
        if let (Ok(before), Ok(after)) = (Footprint::capture(), Footprint::capture()) {
            group.bench_function("since", |bencher| bencher.iter(|| after.since(&before)));
        }
        group.finish();
        drop(held);
    }
}

criterion_group!(benches, look);
criterion_main!(benches);
