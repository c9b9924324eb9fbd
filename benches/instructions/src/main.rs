//! Runs one of castoff's hot paths so many times, for who counts its instructions: what the same path takes more for more
//! times is what one time takes.
//!
//! `castoff-instructions PATH TIMES`; without arguments it lists the paths.

use std::hint::black_box;
use std::time::Duration;

use castoff::{Category, ManagerConfig, Priority, ResourceGuard, ResourceManager};

const OPEN: u64 = 16;

/// What a path is called, and how it is run so many times.
type Path = (&'static str, fn(&ResourceManager, u64));

const PATHS: [Path; 6] = [
    ("guard", |manager, times| {
        for number in 0..times {
            drop(black_box(manager.guard("connection", move || _ = black_box(number))));
        }
    }),
    ("builder", |manager, times| {
        for number in 0..times {
            let connection =
                manager.resource("connection").category(Category::Network).priority(Priority::High);
            drop(black_box(connection.guard(move || _ = black_box(number))));
        }
    }),
    ("guard-value", |manager, times| {
        for number in 0..times {
            drop(black_box(manager.guard_value("connection", number, |number| _ = black_box(*number))));
        }
    }),
    ("sixteen-open", |manager, times| {
        for _ in 0..times / OPEN {
            let open: [ResourceGuard<()>; OPEN as usize] =
                std::array::from_fn(|_| manager.guard("connection", || ()));
            drop(black_box(open));
        }
    }),
    ("depends-on-one", |manager, times| {
        let pool = manager.guard("pool", || ());
        for number in 0..times {
            let connection = manager.resource("connection").depends_on(&pool);
            drop(black_box(connection.guard(move || _ = black_box(number))));
        }
    }),
    ("look-at-100", |manager, times| {
        let live: Vec<_> = (0..100).map(|_| manager.guard("connection", || ())).collect();
        for _ in 0..times {
            assert!(manager.detect_leaks().is_empty());
        }
        live.into_iter().for_each(std::mem::forget);
    }),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, times] = &arguments[..] else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, run) = PATHS.iter().find(|(name, _)| name == path).expect("a path of those that are listed");
    // Nothing gets old enough to be a leak, and the first thousand cleanups, which are timed, are over.
    let config = ManagerConfig::default().leak_after(Duration::MAX);
    let manager = ResourceManager::isolated("instructions", config);
    (0..2_000).for_each(|_| drop(manager.guard("warm", || ())));
    run(&manager, times.parse().expect("a number"));
    std::process::exit(0);
}
