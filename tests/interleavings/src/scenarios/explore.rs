//! Runs a scenario in very many interleavings, and says in how many.

/// Explores a scenario of few threads that meet in few places.
pub(super) fn explore(name: &str, run: fn()) {
    how::explore(name, run, 0);
}

/// The same for one with more of them: exhaustive with one preemption less.
pub(super) fn explore_large(name: &str, run: fn()) {
    how::explore(name, run, 1);
}

#[cfg(feature = "loom")]
use exhaustive as how;
#[cfg(not(feature = "loom"))]
use random as how;

fn from_environment<N: std::str::FromStr>(variable: &str) -> Option<N> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

#[cfg(feature = "loom")]
mod exhaustive {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::{Duration, Instant};

    use super::from_environment;
    use crate::stand_in;

    /// How many times threads may switch in one execution: more than any of these has.
    const BRANCHES: usize = 50_000;

    /// Every interleaving up to `LOOM_MAX_PREEMPTIONS`. One that is not finished in time has failed.
    pub(super) fn explore(name: &str, run: fn(), less: usize) {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = BRANCHES;
        let bound = builder.preemption_bound.unwrap_or(2).saturating_sub(less);
        builder.preemption_bound = Some(bound);
        assert!(builder.max_duration.is_none() && builder.max_permutations.is_none(), "all or nothing");
        let limit = Duration::from_secs(from_environment("CASTOFF_EXPLORE_SECONDS").unwrap_or(1_800));
        let start = Instant::now();
        let times = Arc::new(AtomicUsize::new(0));
        let counted = times.clone();
        let called = name.to_owned();
        builder.check(move || {
            let times = counted.fetch_add(1, Relaxed);
            assert!(start.elapsed() < limit, "{called}: not exhaustive, stopped after {times} interleavings");
            stand_in::execution(run);
        });
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}: {} interleavings, all up to {bound} preemptions, in {seconds:.1} s",
            times.load(Relaxed)
        );
    }
}

#[cfg(not(feature = "loom"))]
mod random {
    use std::time::Instant;

    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};

    use super::from_environment;
    use crate::stand_in;

    /// How deep a bug the second half of the schedules looks for: so many orderings have to come together for it.
    const DEPTH: usize = 3;
    const STACK: usize = 512 * 1024;

    /// So many schedules as `CASTOFF_SCHEDULES` says: half of them random at each step, half by random priorities.
    /// A failure prints the schedule; `CASTOFF_REPLAY` repeats it.
    pub(super) fn explore(name: &str, run: fn(), _: usize) {
        let schedules = from_environment("CASTOFF_SCHEDULES").unwrap_or(10_000);
        let start = Instant::now();
        let once = move || stand_in::execution(run);
        if let Some(file) = from_environment::<std::path::PathBuf>("CASTOFF_REPLAY") {
            return shuttle::replay_from_file(once, file);
        }
        let mut config = Config::new();
        config.stack_size = STACK;
        let random = Runner::new(RandomScheduler::new(schedules / 2), config.clone()).run(once);
        let by_priority = Runner::new(PctScheduler::new(DEPTH, schedules / 2), config).run(once);
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {} schedules in {seconds:.1} s", random + by_priority);
    }
}
