//! How a test binary ends: what no test owns is told after the summary, and what is live is cleaned.

use std::process::Output;
use std::time::Duration;

use crate::nextest::{nextest, statuses};
use crate::{cargo, run, within};

const FAIL: [(&str, &str); 1] = [("CASTOFF_LEAKS", "fail")];

#[test]
fn what_no_test_owns_is_reported_after_the_summary_and_never_on_stdout() {
    let output = run("held", &[], &[("CASTOFF_LEAKS", "fail")]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(99), "{out}{err}");
    assert!(out.contains("test result: ok. 1 passed") && !out.contains("castoff"), "{out}");
    assert!(err.contains("castoff: process exit: 1 leak in `global`") && err.contains("held.rs:"), "{err}");
    assert!(err.contains("shared: cleaned"), "{err}");

    let output = run("held", &[], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("leak"));

    let output = run("held", &["--list"], &[("CASTOFF_LEAKS", "fail")]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("passes_with_a_static: test\n"));
}

#[test]
fn a_binary_with_a_main_of_its_own_ends_in_the_same_way() {
    let output = run("own_main", &["leaves_nothing", "leaves_what_is_meant_to_stay"], &FAIL);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*err), (Some(0), "meant: cleaned\n"));

    let output = run("own_main", &[], &FAIL);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(99), "{out}{err}");
    assert!(out.contains("test leaves_what_is_meant_to_stay ... ok") && !out.contains("castoff"), "{out}");
    assert!(
        err.contains("castoff: process exit: 1 leak in `global`") && err.contains("own_main.rs:"),
        "{err}"
    );
    assert!(err.contains("of nobody: cleaned"), "{err}");

    let output = run("own_main", &["--list"], &FAIL);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
}

#[test]
fn under_nextest_it_is_the_one_test_that_fails() {
    let Some(output) = nextest(&["--test", "own_main", "--test", "held"], &FAIL) else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(100), "{text}");
    let statuses = statuses(&output);
    assert_eq!(statuses.len(), 4, "{text}");
    for (status, _, name) in &statuses {
        let leaves = name == "leaves_something_to_the_end" || name == "passes_with_a_static";
        assert_eq!(status, if leaves { "FAIL" } else { "PASS" }, "{name}\n{text}");
    }
    assert!(text.contains("castoff: process exit: 1 leak in `global`"), "{text}");
}

/// cargo and rustdoc build and run them.
fn doc_tests(environment: &[(&str, &str)]) -> (Output, String) {
    let mut cargo = cargo();
    cargo.args(["test", "--doc", "--locked", "--package", "castoff-downstream"]);
    cargo.envs(environment.iter().copied());
    let output = within(Duration::from_secs(300), "the doc-tests", cargo);
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_doc_test_that_leaves_something_to_the_end_of_its_process_fails_if_that_is_asked_for() {
    // What cargo builds first is built once.
    let (output, text) = doc_tests(&[]);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("test result: ok. 3 passed"), "{text}");

    let (output, text) = doc_tests(&FAIL);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("test result: FAILED. 2 passed; 1 failed"), "{text}");
    assert!(text.contains("castoff: process exit: 1 leak in `global`"), "{text}");
    assert!(text.contains("of nobody: cleaned"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_signal_stops_a_test_with_exit_hooks_after_its_teardown() {
    use std::os::unix::process::ExitStatusExt;

    let arguments = ["waits_for_a_signal", "--exact", "--ignored", "--nocapture"];
    let (status, text) = crate::terminated("held", &arguments, &[]);
    assert_eq!(status.signal(), Some(15), "{text}");
    assert!(text.contains("container: stopped"), "{text}");
}

/// By nextest's own clock and signal: SIGTERM after a second, SIGKILL ten later.
#[cfg(unix)]
#[test]
fn a_test_that_nextest_stops_for_its_time_is_torn_down() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let config = folder.path().join("nextest.toml");
    let slow = "slow-timeout = { period = \"1s\", terminate-after = 1, grace-period = \"10s\" }";
    std::fs::write(&config, format!("[profile.default]\n{slow}\n")).expect("it can be written");
    let config = config.to_str().expect("it is a text");
    let arguments = ["--test", "held", "--run-ignored", "only", "--config-file", config];
    let Some(output) = nextest(&arguments, &[]) else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(100), "{text}");
    let statuses = statuses(&output);
    assert!(
        statuses.iter().all(|(status, _, name)| status == "TIMEOUT" && name == "waits_for_a_signal"),
        "{text}"
    );
    assert!(!statuses.is_empty() && text.contains("it waits\n"), "{text}");
    assert!(text.contains("container: stopped"), "{text}");
}
