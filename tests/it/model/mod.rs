//! Random histories against a naive model: whatever is done in whatever order, each cleanup runs exactly once, in the
//! one order that the semantics allow, and each report tells exactly what happened.
//!
//! `CASTOFF_CASES` sets the number of histories, `CASTOFF_SEED` repeats a run that failed.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::storm::quiet;
use crate::storm::watchdog::Watchdog;

mod batches;
mod calls;
mod history;
mod naive;
mod naive_itself;
mod outcome;
mod parallel;
mod playback;
mod probe;
mod replay;

/// One history takes about a millisecond: one that takes this long hangs.
const A_HANG: Duration = Duration::from_secs(60);

#[test]
fn random_histories_go_as_the_naive_model_says() {
    hold("a random history", cases(10_000), &history::histories(), replay::replay);
}

#[test]
fn a_parallel_teardown_of_a_random_graph_keeps_every_declared_order() {
    hold("a parallel teardown", cases(10_000) / 5, &parallel::graphs(), parallel::tear_down);
}

/// How many histories: what the environment says, or the default.
fn cases(default: u32) -> u32 {
    from_environment("CASTOFF_CASES").unwrap_or(default)
}

fn from_environment<N: std::str::FromStr>(variable: &str) -> Option<N> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

/// Checks a property of many random inputs, each within the watchdog's limit, and shows the smallest that breaks it.
fn hold<S>(name: &'static str, cases: u32, inputs: &S, property: impl Fn(&S::Value) -> Result<(), String>)
where
    S: Strategy,
    S::Value: Debug,
{
    quiet::hush();
    let seed = from_environment("CASTOFF_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, random(seed));
    let watchdog = Watchdog::new(name, A_HANG);
    let player = watchdog.worker("playing");
    let outcome = runner.run(inputs, |input| {
        watchdog.feed();
        player.doing(&format!("{input:?}"));
        property(&input).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(difference, input)) => {
            panic!("{difference}\nsmallest input: {input:?}\nagain with CASTOFF_SEED={seed}");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}; again with CASTOFF_SEED={seed}"),
    }
}

/// Not the usual ChaCha: unoptimized, that alone would take a fifth of the time.
fn random(seed: u64) -> TestRng {
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::XorShift, &bytes)
}
