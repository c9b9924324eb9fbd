//! What libtest makes of tests that pass and fail.

use crate::{judge, lines, run, told};

#[test]
fn each_outcome_is_as_its_name_says_with_one_test_thread_and_with_eight() {
    let lines = lines("tests/testing/downstream/tests/outcomes.rs");
    for threads in ["1", "8"] {
        let output = run("outcomes", &["--test-threads", threads], &[]);
        assert_eq!(output.status.code(), Some(101));
        let told = told(&output);
        assert_eq!(told.results.len(), 24);
        judge(&told, &lines, |name| name.starts_with("fails"));
        assert!(told.results["ignored"].starts_with("ignored"));
        let has = |name: &str, text: &str| {
            assert!(
                told.outputs[name].contains(text),
                "{name} does not say {text:?}\n{}",
                told.outputs[name]
            );
        };
        has("fails_with_a_leak", "the test's body passed, but\n1 leak in `fails_with_a_leak`");
        has("fails_with_a_panic_and_a_leak", "its own panic\n");
        has("fails_with_a_panic_and_a_leak", "castoff: 1 leak in ");
        has("fails_with_an_error_and_a_leak", "Error: \"its own error\"\ncastoff: 1 leak in ");
        has("fails_async_with_a_panic_and_a_leak", "its own panic\n");
        has("fails_by_a_leak_though_it_panics_as_it_should", "test did not panic as expected");
        has("fails_by_a_drop", "1 cleanup failed that a drop had run:");
        has("fails_by_its_teardown", "teardown of `fails_by_its_teardown`: 1 failed");
        has("fails_by_its_deadline", "had not ended after its deadline of 300 ms; 1 resource is live:");
        has("fails_and_keeps", "1 resource is kept");
        assert!(!told.outputs["fails_and_keeps"].contains("this was cleaned"));
    }
}

/// How often: three times unless the variable `CASTOFF_CROWD_RUNS` says otherwise.
fn runs() -> usize {
    let told = std::env::var("CASTOFF_CROWD_RUNS").ok();
    told.map_or(3, |told| told.parse().expect("CASTOFF_CROWD_RUNS is a number"))
}

#[test]
fn of_five_hundred_tests_that_run_together_exactly_those_that_leak_fail_each_with_its_own_line() {
    let lines = lines("tests/testing/downstream/tests/crowd.rs");
    assert_eq!(lines.len(), 50);
    for (run, threads) in ["8", "64", "1"].into_iter().cycle().take(runs()).enumerate() {
        let told = told(&crate::run("crowd", &["--test-threads", threads], &[]));
        assert_eq!(told.results.len(), 500, "run {run}, {threads} threads");
        judge(&told, &lines, |name| lines.contains_key(name));
    }
}

#[test]
fn castoff_may_have_another_name() {
    let told = told(&run("renamed", &[], &[]));
    assert_eq!(told.results.len(), 3);
    judge(&told, &lines("tests/testing/renamed/tests/renamed.rs"), |name| name.starts_with("fails"));
}

#[test]
fn the_environment_says_how_severe_a_leak_is() {
    let leak = ["fails_with_a_leak", "--exact"];
    for severity in ["off", "count", "warn"] {
        let output = run("outcomes", &leak, &[("CASTOFF_LEAKS", severity)]);
        assert_eq!(output.status.code(), Some(0), "{severity}");
    }
    let warned = ["passes_with_a_warning", "--exact", "--nocapture"];
    let output = run("outcomes", &warned, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("castoff: 1 leak in `passes_with_a_warning`"));
    let output = run("outcomes", &warned, &[("CASTOFF_LEAKS", "fail")]);
    assert_eq!(output.status.code(), Some(101), "it goes before the attribute");
}

#[test]
fn the_allow_list_of_the_environment_is_used() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let path = folder.path().join("leaks.allow");
    let rules = "forgotten until 2999-12-31 because it is a test\nother until 2999-12-31 because it is one\n";
    std::fs::write(&path, rules).expect("it can be written");
    let list = path.to_str().expect("it is a text");
    let output = run("outcomes", &["fails_with_a_leak", "--exact"], &[("CASTOFF_LEAKS_ALLOW", list)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
