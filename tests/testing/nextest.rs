//! The same tests under nextest, where each is a process.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use crate::{PACKAGES, binary, cargo, within};

/// Building is in it.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs tests under nextest, if that is installed.
pub(crate) fn nextest(arguments: &[&str], environment: &[(&str, &str)]) -> Option<Output> {
    let version = cargo().args(["nextest", "--version"]).output().expect("cargo can be started");
    if !version.status.success() {
        eprintln!(
            "NOT CHECKED: cargo nextest is not installed, so nothing is known of castoff's tests under it"
        );
        return None;
    }
    // Built once, by whoever is first.
    binary("outcomes");
    let mut nextest = cargo();
    nextest.args(["nextest", "run", "--locked", "--no-fail-fast", "--color", "never"]);
    nextest.args(["--status-level", "all"]).args(PACKAGES).args(arguments);
    nextest.envs(environment.iter().copied());
    Some(within(LIMIT, "nextest", nextest))
}

/// Of each test its status, its binary and its name: "PASS [   0.006s] (1/2) castoff-downstream::crowd t00".
pub(crate) fn statuses(output: &Output) -> BTreeSet<(String, String, String)> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // Failures are told once more at the end.
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim_start) {
        let Some((status, rest)) = line.split_once(" [") else { continue };
        let mut words = rest.rsplit(' ');
        let (Some(name), Some(binary)) = (words.next(), words.next()) else { continue };
        if matches!(status, "PASS" | "FAIL" | "LEAK" | "TIMEOUT") && binary.starts_with("castoff-") {
            found.insert((status.to_owned(), binary.to_owned(), name.to_owned()));
        }
    }
    found
}

#[test]
fn nextest_sees_the_same() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let log = folder.path().join("log");
    let log = log.to_str().expect("it is a text");
    // Not the crowd: 500 processes show no more than these.
    let tests = ["--test", "outcomes", "--test", "held", "--test", "suite", "--test", "renamed"];
    let Some(output) = nextest(&tests, &[("SUITE_LOG", log)]) else { return };
    assert_eq!(output.status.code(), Some(100), "{}", String::from_utf8_lossy(&output.stderr));
    let statuses = statuses(&output);
    for (status, binary, name) in &statuses {
        let fails = name.starts_with("fails");
        assert_eq!(status, if fails { "FAIL" } else { "PASS" }, "{binary} {name}");
    }
    assert_eq!(statuses.len(), 47);
}
