//! One outcome each: what fails, panics or hangs stops nothing else, is named, and is never started again.

use std::time::Duration;

use castoff::{CleanupErrorKind, ResourceGuard, ResourceOutcome, ResourceState, SkipReason, TeardownReport};

use crate::support::{Hang, LIMIT, OrderLog, manager, watchdog};

const SHORT: Duration = Duration::from_millis(50);

fn outcome(report: &TeardownReport, label: &str) -> Option<ResourceOutcome> {
    report.timeline().iter().find(|entry| &*entry.label == label).map(|entry| entry.outcome)
}

#[test]
fn an_empty_teardown_is_a_success() {
    watchdog(LIMIT, || {
        let report = manager().cleanup();
        assert!(report.is_success());
        assert!(!report.is_handed_over());
        assert_eq!((report.processed(), report.cleaned(), report.failed(), report.timed_out()), (0, 0, 0, 0));
        assert!(report.skipped().is_empty() && report.errors().is_empty() && report.timeline().is_empty());
        assert!(report.critical_path().is_empty());
    });
}

#[test]
fn a_failing_cleanup_does_not_stop_the_rest() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _one = manager.guard("one", log.cleanup("one"));
        let _journal = manager.guard("journal", log.failing("journal"));
        let _three = manager.guard("three", log.cleanup("three"));
        let report = manager.cleanup();
        assert!(!report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.failed()), (3, 2, 1));
        let [error] = report.errors() else { panic!("{:?}", report.errors()) };
        assert_eq!(&*error.label, "journal");
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
        assert_eq!(outcome(&report, "journal"), Some(ResourceOutcome::Failed));
        log.assert_is(&["three", "journal", "one"]);
    });
}

#[test]
fn a_panicking_cleanup_does_not_stop_the_rest() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _one = manager.guard("one", log.cleanup("one"));
        let _wobbly = manager.guard("wobbly", || panic!("boom"));
        let _three = manager.guard("three", log.cleanup("three"));
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.cleaned(), report.failed()), (3, 2, 1));
        let [error] = report.errors() else { panic!("{:?}", report.errors()) };
        assert!(matches!(&error.kind, CleanupErrorKind::Panicked(message) if message == "boom"));
        assert_eq!(outcome(&report, "wobbly"), Some(ResourceOutcome::Panicked));
        log.assert_is(&["three", "one"]);
    });
}

#[test]
fn a_hanging_cleanup_does_not_stop_the_rest() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _one = manager.guard("one", log.cleanup("one"));
        let _stuck = manager.resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap();
        let _three = manager.guard("three", log.cleanup("three"));
        let report = manager.cleanup();
        assert!(!report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.failed(), report.timed_out()), (3, 2, 0, 1));
        let [error] = report.errors() else { panic!("{:?}", report.errors()) };
        assert!(
            matches!(error.kind, CleanupErrorKind::TimedOut(limit) if limit == SHORT),
            "{:?}",
            error.kind
        );
        assert_eq!(outcome(&report, "stuck"), Some(ResourceOutcome::TimedOut));
        log.assert_is(&["three", "one"]);
    });
}

#[test]
fn a_hundred_failing_cleanups_are_a_hundred_errors() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let labels: Vec<String> = (0..100).map(|number| format!("journal {number}")).collect();
        let _guards: Vec<_> =
            labels.iter().map(|label| manager.guard(label.clone(), log.failing(label))).collect();
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.cleaned(), report.failed()), (100, 0, 100));
        assert!(log.entries().iter().eq(labels.iter().rev()));
        let mut named: Vec<&str> = report.errors().iter().map(|error| &*error.label).collect();
        named.sort_unstable();
        let mut expected: Vec<&str> = labels.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(named, expected);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_a_failed_cleanup_depended_on_is_cleaned_and_the_report_says_after_what() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let _failing = manager.resource("failing").depends_on(&pool).guard(log.failing("failing")).unwrap();
        let _panicking = manager.resource("panicking").depends_on(&pool).guard(|| panic!("boom")).unwrap();
        let stuck = manager.resource("stuck").depends_on(&pool).timeout(SHORT);
        let _stuck = stuck.guard(hang.cleanup()).unwrap();
        let report = manager.cleanup();
        assert_eq!((report.cleaned(), report.failed(), report.timed_out()), (1, 2, 1));
        log.assert_is(&["failing", "pool"]);
        assert!(report.to_string().contains("after a failed dependent"), "{report}");
    });
}

#[test]
fn what_no_failed_dependent_stands_before_is_not_said_to_come_after_one() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _pool = manager.guard("pool", || ());
        let _failing = manager.guard("failing", || Err("no disk"));
        assert!(!manager.cleanup().to_string().contains("after a failed dependent"));
    });
}

#[test]
fn stop_on_error_skips_the_rest_and_leaves_it_live() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let one = manager.guard("one", log.cleanup("one"));
        let _two = manager.guard("two", log.cleanup("two"));
        let _journal = manager.guard("journal", log.failing("journal"));
        let _four = manager.guard("four", log.cleanup("four"));
        let report = manager.teardown().stop_on_error().run();
        assert!(!report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.failed()), (4, 1, 1));
        let skipped: Vec<_> =
            report.skipped().iter().map(|skipped| (&*skipped.label, &skipped.reason)).collect();
        assert_eq!(skipped.len(), 2);
        assert!(skipped.contains(&("one", &SkipReason::StoppedOnError)));
        assert!(skipped.contains(&("two", &SkipReason::StoppedOnError)));
        log.assert_is(&["four", "journal"]);
        assert_eq!(ResourceGuard::state(&one), ResourceState::Live);
        let rest = manager.cleanup();
        assert_eq!((rest.processed(), rest.cleaned()), (2, 2));
        log.assert_is(&["four", "journal", "two", "one"]);
    });
}

#[test]
fn stop_on_error_stops_on_a_panic_too() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _one = manager.guard("one", log.cleanup("one"));
        let _wobbly = manager.guard("wobbly", || panic!("boom"));
        let report = manager.teardown().stop_on_error().run();
        assert_eq!((report.processed(), report.failed(), report.skipped().len()), (2, 1, 1));
        log.assert_is(&[]);
    });
}

#[test]
fn stop_on_error_without_an_error_cleans_everything() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = ["one", "two"].map(|label| manager.guard(label, log.cleanup(label)));
        assert!(manager.teardown().stop_on_error().run().is_success());
        log.assert_is(&["two", "one"]);
    });
}

#[test]
fn cleaning_what_is_cleaned_does_nothing() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let guard = manager.guard("pool", log.cleanup("pool"));
        assert_eq!(manager.cleanup().processed(), 1);
        assert_eq!(manager.cleanup().processed(), 0);
        assert_eq!(manager.cleanup_batch(&[ResourceGuard::id(&guard)]).processed(), 0);
        log.assert_is(&["pool"]);
    });
}

#[test]
fn what_failed_or_timed_out_is_never_started_again() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let failing = manager.guard("failing", log.failing("failing"));
        let (run, hangs) = (log.cleanup("stuck"), hang.cleanup());
        let stuck = manager.resource("stuck").timeout(SHORT);
        let stuck = stuck.guard(move || {
            run();
            hangs();
        });
        let stuck = stuck.unwrap();
        assert_eq!(manager.cleanup().processed(), 2);
        assert_eq!(manager.resource_count(), 0);
        assert_eq!(manager.cleanup().processed(), 0);
        drop(failing);
        drop(stuck);
        assert!(manager.shutdown().is_success());
        log.assert_is(&["stuck", "failing"]);
    });
}

#[test]
fn a_cleanup_that_is_asked_for_many_times_runs_once() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let guard = manager.guard("pool", log.cleanup("pool"));
        let id = ResourceGuard::id(&guard);
        let processed: usize =
            (0..100).map(|_| manager.cleanup_batch(&[id]).processed() + manager.cleanup().processed()).sum();
        assert_eq!(processed, 1);
        ResourceGuard::close(guard).unwrap();
        log.assert_is(&["pool"]);
        assert_eq!(manager.stats().cleaned, 1);
    });
}
