//! A report as text: a person sees what failed, made where, what was skipped and why.

use std::time::Duration;

use castoff::ResourceGuard;

use crate::support::{Hang, LIMIT, manager, watchdog};

#[test]
fn a_report_names_what_failed_with_its_line_and_its_reason() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let _pool = manager.guard("fine pool", || ());
        let (_journal, journal) = (manager.guard("journal", || Err("no disk")), line!());
        let (_wobbly, wobbly) = (manager.guard("wobbly", || panic!("boom")), line!());
        let (stuck, line) = (manager.resource("stuck").timeout(Duration::from_millis(50)), line!());
        let _stuck = stuck.guard(hang.cleanup()).unwrap();
        let text = manager.cleanup().to_string();
        for part in ["journal", "no disk", "wobbly", "boom", "stuck"] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        for line in [journal, wobbly, line] {
            assert!(text.contains(&format!("{}:{line}", file!())), "line {line} is not in:\n{text}");
        }
    });
}

#[test]
fn a_report_says_behind_what_something_was_skipped() {
    watchdog(LIMIT, || {
        let manager = manager();
        let pool = manager.guard("orders pool", || ());
        let server = manager.resource("http server").depends_on(&pool).guard(|| ()).unwrap();
        let text = manager.teardown().exclude(&[ResourceGuard::id(&server)]).run().to_string();
        assert!(text.contains("orders pool") && text.contains("http server"), "{text}");
    });
}

#[test]
fn a_report_as_a_string_has_no_colour() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _guards = (manager.guard("pool", || ()), manager.guard("journal", || Err("no disk")));
        let text = manager.cleanup().to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    });
}

#[test]
fn the_report_of_nothing_can_be_shown() {
    watchdog(LIMIT, || assert!(!manager().cleanup().to_string().is_empty()));
}

#[test]
fn a_label_that_is_long_or_foreign_can_be_shown() {
    watchdog(LIMIT, || {
        let manager = manager();
        let long = "x".repeat(500);
        let _guards =
            (manager.guard(long, || Err("no disk")), manager.guard("Aufträge 注文 🦀", || Err("no disk")));
        let text = manager.cleanup().to_string();
        assert!(text.contains("Aufträge 注文 🦀") && text.contains("xxx"), "{text}");
    });
}
