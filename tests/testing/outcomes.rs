//! What libtest makes of tests that pass and fail.

use crate::{judge, lines, run, told};

#[test]
fn each_outcome_is_as_its_name_says_with_one_test_thread_and_with_eight() {
    let lines = lines("tests/testing/downstream/tests/outcomes.rs");
    for threads in ["1", "8"] {
        let output = run("outcomes", &["--test-threads", threads], &[]);
        assert_eq!(output.status.code(), Some(101));
        let told = told(&output);
        assert_eq!(told.results.len(), 33);
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
        has("fails_by_its_deadline_and_its_teardown", "1 resource is live:");
        has("fails_by_its_deadline_and_its_teardown", "failed: disk full");
        has("fails_by_no_panic_and_has_a_leak", "castoff: the test's body passed, but\n1 leak in ");
        has("fails_by_no_panic_and_has_a_leak", "test did not panic as expected");
        has("fails_and_keeps", "1 resource is kept");
        has("fails_and_has_nothing_to_keep", "nothing is kept, as the test asked");
        has("fails_async_and_keeps_more_than_it_names", "21 resources are kept, as the test asked:\n");
        has("fails_async_and_keeps_more_than_it_names", "\n  and 1 more");
        for keeps in ["fails_and_keeps", "fails_async_and_keeps_more_than_it_names"] {
            assert!(!told.outputs[keeps].contains("this was cleaned"), "{keeps}");
        }
    }
}

/// A test of a process that has a descriptor to spare and no two.
#[cfg(target_os = "linux")]
#[test]
fn a_test_that_the_system_refuses_what_it_needs_says_what_that_is() {
    let refused = |program, name| {
        let output = starved(program, &[name, "--exact", "--include-ignored", "--nocapture"]);
        let text = [&output.stdout[..], &output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = refused("outcomes", "passes_async_on_many_threads");
    assert_eq!(code, Some(101), "{text}");
    assert!(text.contains("the test has no runtime: Too many open files"), "{text}");

    let (code, text) = refused("footprint", "fails_where_it_leaves_no_descriptor_to_look_with");
    assert_eq!(code, Some(101), "{text}");
    assert!(text.contains("the test wants its footprint looked at: "), "{text}");

    // Not named alone, and so in want of a process.
    let output = starved("footprint", &["passes_and_leaves_nothing"]);
    assert_eq!(output.status.code(), Some(101));
    let told = &told(&output).outputs["passes_and_leaves_nothing"];
    assert!(told.contains("a process of its own can't be had for it: Too many open files"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_test_with_exit_hooks_is_a_test_also_where_the_program_handles_signals_itself() {
    let output = run("outcomes", &["_of_its_own", "--ignored", "--nocapture", "--test-threads=1"], &[]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("2 passed"), "{out}{err}");
    let test = "the test `passes_without_hooks_beside_a_handler_of_its_own`";
    assert!(err.contains(&format!("castoff: {test} has no exit hooks: ")), "{out}{err}");
    assert!(err.contains("signal 2 has a handler"), "{err}");
}

/// Runs it in a process that may have four descriptors, of which three are there.
#[cfg(target_os = "linux")]
fn starved(program: &str, arguments: &[&str]) -> std::process::Output {
    let mut shell = std::process::Command::new("sh");
    crate::unset(&mut shell);
    shell.stdin(std::process::Stdio::null());
    shell.args(["-c", "ulimit -n 4 && exec \"$0\" \"$@\""]).arg(crate::binary(program)).args(arguments);
    crate::within(crate::LIMIT, program, shell)
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
