//! How a test binary ends: what no test owns is told after the summary, and what is live is cleaned.

use crate::run;

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

#[cfg(unix)]
#[test]
fn a_signal_stops_a_test_with_exit_hooks_after_its_teardown() {
    use std::os::unix::process::ExitStatusExt;

    let arguments = ["waits_for_a_signal", "--exact", "--ignored", "--nocapture"];
    let (status, text) = crate::terminated("held", &arguments, &[]);
    assert_eq!(status.signal(), Some(15), "{text}");
    assert!(text.contains("container: stopped"), "{text}");
}
