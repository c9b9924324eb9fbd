//! Known leaks: left out for a reason and for a time, and rules that are of no use are reported.

use std::fs;

use castoff::{AllowListError, LeakAllowList};

use crate::support::manager;

fn list(text: &str) -> LeakAllowList {
    LeakAllowList::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_rule_allows_what_it_names_by_label_and_place() {
    let manager = manager();
    let _one = manager.guard("orders pool", || ());
    let line = line!() - 1;
    let _two = manager.guard("orders cache", || ());
    let left = |rules: &str| -> Vec<String> {
        let report = manager.leak_report().allow(&list(rules));
        report.leaks().iter().map(|leak| leak.label.to_string()).collect()
    };
    assert_eq!(left("orders* until 2999-01-01 because they are made once"), [""; 0]);
    assert_eq!(left("\"orders pool\" until 2999-01-01 because it is made once"), ["orders cache"]);
    assert_eq!(left(&format!("* at allow.rs:{line} until 2999-01-01 because of it")), ["orders cache"]);
    assert_eq!(left("* at leaks/allow.rs until 2999-01-01 because of it"), [""; 0]);
    assert_eq!(left("* at elsewhere.rs until 2999-01-01 because of it").len(), 2);
}

#[test]
fn a_report_says_how_many_were_allowed() {
    let manager = manager();
    let _guard = manager.guard("known", || ());
    let report = manager.leak_report().allow(&list("known until 2999-01-01 because of it"));
    assert!(report.is_empty() && report.stale_rules().is_empty());
    assert!(report.to_string().contains("; 1 more is allowed\n"), "{report}");
}

#[test]
fn rules_that_matched_nothing_or_have_expired_are_reported_and_allow_nothing() {
    let manager = manager();
    let _guard = manager.guard("old friend", || ());
    let rules =
        "# known\n\nold* until 2020-01-01 because it was new then\ngone until 2999-01-01 because of it\n";
    let report = manager.leak_report().allow(&list(rules));
    assert_eq!(report.leaks().len(), 1);
    let stale: Vec<(usize, bool)> =
        report.stale_rules().iter().map(|rule| (rule.line, rule.expired)).collect();
    assert_eq!(stale, [(3, true), (4, false)]);
    let text = report.to_string();
    assert!(text.contains("line 3 of the allow-list has expired"), "{text}");
    assert!(text.contains("line 4 of the allow-list matched nothing"), "{text}");
}

#[test]
fn a_file_is_read_and_a_missing_one_is_named() {
    let directory = tempfile::tempdir().expect("a directory can be had");
    let path = directory.path().join("leaks.allow");
    fs::write(&path, "pool until 2999-01-01 because of it\n").expect("it can be written");
    assert!(LeakAllowList::read(&path).is_ok());
    let missing = directory.path().join("missing");
    let Err(error) = LeakAllowList::read(&missing) else { panic!("there is no such file") };
    assert!(matches!(&error, AllowListError::Read { path, .. } if *path == missing));
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_pattern_names_its_parts_in_their_order() {
    let manager = manager();
    let _guard = manager.guard("orders cache pool", || ());
    let allows = |rule: &str| {
        let rule = format!("\"{rule}\" until 2999-01-01 because of it");
        manager.leak_report().allow(&list(&rule)).is_empty()
    };
    for rule in ["*", "orders*", "*pool", "orders*cache*pool", "*ord*er*ol", "orders cache pool"] {
        assert!(allows(rule), "{rule}");
    }
    for rule in ["orders*cash*pool", "*pool*cache*", "*cache", "orders", "cache*", "orders*pool*pool"] {
        assert!(!allows(rule), "{rule}");
    }
}
