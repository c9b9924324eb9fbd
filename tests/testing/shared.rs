//! What the tests of a suite share: made once and cleaned once in a process, however that ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::nextest::nextest;
use crate::{run, told};

/// The file that the suite appends to.
struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Log {
        Log { folder: tempfile::tempdir().expect("a directory can be had") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        // Whatever the tests leave to the end of the process would be told, and make it fail.
        [
            ("SUITE_LOG", self.path().to_str().expect("it is a text").to_owned()),
            ("CASTOFF_LEAKS", "fail".to_owned()),
        ]
    }

    /// What each process did.
    fn lines(&self) -> BTreeMap<String, Vec<String>> {
        let text = std::fs::read_to_string(self.path()).expect("something was logged");
        let mut processes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (process, what) = line.split_once(' ').expect("a process and what it did");
            processes.entry(process.to_owned()).or_default().push(what.to_owned());
        }
        processes
    }

    /// What the only process did.
    #[track_caller]
    fn only(&self) -> Vec<String> {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.into_values().next().expect("there is one")
    }
}

fn suite(arguments: &[&str], log: &Log) -> std::process::Output {
    let environment = log.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
    run("suite", arguments, &environment)
}

/// The database and the schema: made once, and cleaned once in the other order.
#[track_caller]
fn once_and_in_order(lines: &[String]) {
    let ours: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.starts_with("server")).collect();
    let expected = ["database made", "schema made", "schema cleaned", "lock cleaned", "database cleaned"];
    assert_eq!(ours, expected, "{lines:?}");
}

#[test]
fn it_is_made_once_and_cleaned_once_in_order_however_many_tests_use_it_and_is_nobodys_leak() {
    for threads in ["8", "1", "64"] {
        let log = Log::new();
        let output = suite(&["--test-threads", threads], &log);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("test result: ok. 13 passed") && output.stderr.is_empty(), "{text}");
        let lines = log.only();
        once_and_in_order(&lines);
        for line in ["server made", "server cleaned"] {
            assert_eq!(lines.iter().filter(|it| *it == line).count(), 1, "{lines:?}");
        }
    }
}

#[test]
fn it_is_cleaned_when_tests_fail() {
    let log = Log::new();
    let output = suite(&["fails", "--exact", "--ignored"], &log);
    assert_eq!(output.status.code(), Some(101));
    once_and_in_order(&log.only());
}

#[test]
fn it_is_cleaned_after_what_the_test_holds_when_that_ends_the_process() {
    let log = Log::new();
    let output = suite(&["exits", "--exact", "--ignored"], &log);
    assert_eq!(output.status.code(), Some(3));
    let mut lines = log.only();
    assert_eq!(lines.remove(2), "table cleaned", "{lines:?}");
    once_and_in_order(&lines);
}

#[test]
fn a_main_under_test_that_tears_down_the_global_manager_does_not_reach_it() {
    let log = Log::new();
    let path = log.path();
    let environment = [("SUITE_LOG", path.to_str().expect("it is a text"))];
    let output = run("suite", &["runs_a_main", "--exact", "--ignored"], &environment);
    assert_eq!(output.status.code(), Some(0));
    let mut lines = log.only();
    assert_eq!(lines.remove(2), "main cleaned", "{lines:?}");
    once_and_in_order(&lines);
}

#[test]
fn what_is_asked_for_first_when_the_process_is_ending_is_refused() {
    let log = Log::new();
    let output = suite(&["exits_and_asks_then", "--exact", "--ignored"], &log);
    assert_eq!(output.status.code(), Some(3));
    let lines = log.only();
    assert!(lines.len() == 1 && lines[0].contains("`database`"), "{lines:?}");
    assert!(lines[0].contains("could not be made: the process is ending"), "{lines:?}");
}

#[cfg(unix)]
#[test]
fn it_is_cleaned_after_what_the_test_holds_when_a_signal_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;

    let log = Log::new();
    let path = log.path();
    let environment = [("SUITE_LOG", path.to_str().expect("it is a text"))];
    let arguments = ["waits_for_a_signal", "--exact", "--ignored", "--nocapture"];
    let (status, text) = crate::terminated("suite", &arguments, &environment);
    assert_eq!(status.signal(), Some(15), "{text}");
    let mut lines = log.only();
    assert_eq!(lines.remove(3), "table cleaned", "{lines:?}");
    once_and_in_order(&lines);
    assert!(lines.contains(&String::from("server cleaned")), "{lines:?}");
}

#[test]
fn what_can_not_be_made_fails_each_test_that_asks_with_the_reason() {
    let log = Log::new();
    let output = suite(&["fails_by_what_is_broken", "--ignored"], &log);
    assert_eq!(output.status.code(), Some(101));
    let told = told(&output);
    assert_eq!(told.outputs.len(), 2);
    // Whoever was first is told, too, what could not be undone.
    let undone = told.outputs.values().filter(|output| output.contains("failed: no way back"));
    assert_eq!(undone.count(), 1, "{:?}", told.outputs);
    for (name, output) in &told.outputs {
        let says = |text: &str| assert!(output.contains(text), "{name}: {output}");
        says("the shared `broken` (tests/testing/downstream/tests/suite.rs:");
        says(
            "could not be made: invalid digit found in string; it was tried once in this process, by `fails_by_",
        );
        says("panicked at tests/testing/downstream/tests/suite.rs:");
    }
}

#[test]
fn listing_the_tests_makes_nothing() {
    let log = Log::new();
    let output = suite(&["--list"], &log);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!(!log.path().exists());
}

#[test]
fn under_nextest_it_is_made_and_cleaned_once_in_each_process_that_asks() {
    let log = Log::new();
    let path = log.path();
    let environment = [("SUITE_LOG", path.to_str().expect("it is a text")), ("CASTOFF_LEAKS", "fail")];
    let Some(output) = nextest(&["--test", "suite"], &environment) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let processes = log.lines();
    assert_eq!(processes.len(), 13);
    for lines in processes.values() {
        match lines[0].as_str() {
            "server made" => assert_eq!(lines[1..], ["server cleaned"]),
            _ => once_and_in_order(lines),
        }
    }
}
