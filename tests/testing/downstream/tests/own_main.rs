//! A test binary with a `main` of its own, as far as nextest asks: it lists its tests, and runs those that are named.

use std::process::ExitCode;

use castoff::{ResourceGuard, ResourceManager};

fn leaves_nothing() {
    castoff::testing::scope(|manager| drop(manager.guard("table", || ())));
}

/// For the end of the process.
fn leaves_something_to_the_end() {
    std::mem::forget(ResourceManager::global().guard("of nobody", || eprintln!("of nobody: cleaned")));
}

/// For as long as it likes.
fn leaves_what_is_meant_to_stay() {
    ResourceGuard::leak(ResourceManager::global().guard("meant", || eprintln!("meant: cleaned")));
}

const TESTS: [(&str, fn()); 3] = [
    ("leaves_nothing", leaves_nothing),
    ("leaves_something_to_the_end", leaves_something_to_the_end),
    ("leaves_what_is_meant_to_stay", leaves_what_is_meant_to_stay),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|it| it == argument);
    if has("--list") {
        // None is ignored.
        if !has("--ignored") {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let named: Vec<_> = TESTS.iter().filter(|(name, _)| has(name)).collect();
    let all = arguments.iter().all(|argument| argument.starts_with("--"));
    let chosen = if all { TESTS.iter().collect() } else { named };
    for (name, test) in chosen {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
