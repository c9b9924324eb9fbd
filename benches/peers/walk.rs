//! The two ways to run a bench: measuring, or walking through everything once with nothing judged by time.

use std::thread;
use std::time::Duration;

/// Whether this process was started to measure. `cargo bench` says `--bench`; `cargo test --benches` does not, and
/// `cargo bench -- --test` says both. criterion decides by the same flags.
pub(crate) fn measuring() -> bool {
    let given = |flag: &str| std::env::args().skip(1).any(|argument| argument == flag);
    given("--bench") && !given("--test")
}

/// Ends a walk that hangs, loudly: it takes seconds, and whoever waits for it shall not wait for ever. A measurement may
/// take as long as it takes.
pub(crate) fn end_if_stuck() {
    const LIMIT: Duration = Duration::from_secs(300);
    if measuring() {
        return;
    }
    // Detached: it ends with the process.
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("this bench hangs: it has not walked through its parts within {LIMIT:?}");
        std::process::abort();
    });
}
