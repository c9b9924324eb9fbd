//! The report: grouped by line, shown for people, without what was there before.

use castoff::{ManagerConfig, ResourceManager};

use crate::support::manager;

#[test]
fn leaks_are_grouped_by_the_line_that_made_them() {
    let manager = manager();
    let _many: Vec<_> = (0..5).map(|n| manager.guard(format!("session {n}"), || ())).collect();
    let _one = manager.guard("pool", || ());
    let report = manager.leak_report();
    assert_eq!(report.leaks().len(), 6);
    let mut counts: Vec<usize> = report.groups().iter().map(|group| group.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 5]);
    let first = &report.groups()[0];
    assert!(report.leaks()[..first.count].iter().all(|leak| leak.created_at == first.created_at));
    assert!(first.oldest >= report.leaks()[0].age);
}

#[test]
fn a_report_reads_well() {
    let manager = ResourceManager::isolated("shop", ManagerConfig::default());
    let pool = manager.guard("pool", || ());
    let _sessions: Vec<_> = (0..5)
        .map(|n| {
            manager.resource(format!("session {n}")).depends_on(&pool).guard(|| ()).expect("it has a pool")
        })
        .collect();
    let text = manager.leak_report().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "6 leaks in `shop`, made at 2 lines");
    assert!(lines[1].starts_with(file!()) && lines[1].contains(": 1, the oldest for "), "{text}");
    assert!(lines[2].starts_with("  `pool` (event) by "), "{text}");
    assert!(lines[2].ends_with("still live; 5 depend on it"), "{text}");
    assert!(lines[3].contains(": 5, the oldest for "), "{text}");
    assert_eq!(lines[7], "  and 2 more", "{text}");
    if cfg!(target_os = "linux") {
        assert!(lines[8].starts_with("held by the operating system: descriptors "), "{text}");
        assert_eq!(lines.len(), 9, "{text}");
    }
}

#[test]
fn an_empty_report_says_so() {
    let manager = ResourceManager::isolated("shop", ManagerConfig::default());
    assert_eq!(manager.leak_report().to_string().lines().next(), Some("no leaks in `shop`"));
    assert!(manager.leak_report().is_empty());
}

#[test]
fn a_label_that_would_disturb_a_terminal_does_not() {
    let manager = manager();
    let _guard = manager.guard("red \u{1b}[31m\nline", || ());
    let text = manager.leak_report().to_string();
    let leaks = text.lines().take_while(|line| !line.starts_with("held by"));
    assert!(!text.contains('\u{1b}') && leaks.count() == 3, "{text:?}");
}

#[test]
fn what_was_there_before_is_left_out() {
    let manager = manager();
    let _known: Vec<_> = (0..10).map(|_| manager.guard("known", || ())).collect();
    let baseline = manager.leak_baseline();
    assert!(manager.leak_report().without(&baseline).is_empty());
    let _new = manager.child("below").guard("new", || ());
    let report = manager.leak_report().without(&baseline);
    assert_eq!(report.leaks().iter().map(|leak| &*leak.label).collect::<Vec<_>>(), ["new"]);
    assert_eq!(report.groups().len(), 1);
}

#[cfg(feature = "serde")]
#[test]
fn a_report_is_plain_data() {
    let manager = manager();
    let _guard = manager.guard("held", || ());
    let json = serde_json::to_value(manager.leak_report()).expect("it can be written");
    assert_eq!(json["leaks"][0]["label"], "held");
    assert_eq!(json["groups"][0]["count"], 1);
    assert_eq!(json["leaks"][0]["reasons"][0], "StillLive");
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_has_with_it_what_the_operating_system_held() {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("it can be started");
    let report = manager().leak_report();
    let footprint = report.footprint().expect("this is Linux").to_string();
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    let children = footprint.split("\nchild processes: ").nth(1).unwrap_or_default();
    assert!(children.contains(&format!("\n  child {} `", child.id())), "{footprint}");
    assert!(report.to_string().contains("\nheld by the operating system: descriptors "), "{report}");
}
