//! Graceful, then forced: the last resort runs after a graceful step that did not succeed, and the outcome
//! stays that step's.

use std::time::Duration;

use castoff::{Cleanup, CleanupErrorKind, ResourceGuard};

use crate::support::{DropCounter, Hang, LIMIT, OrderLog, manager, watchdog};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn the_last_resort_runs_after_a_failed_cleanup_and_the_failure_stays_the_outcome() {
    let log = OrderLog::new();
    let manager = manager();
    let registration = manager.resource("child").last_resort(log.cleanup("kill"));
    let error = ResourceGuard::close(registration.guard(log.failing("terminate")).unwrap()).unwrap_err();
    assert!(matches!(error.kind, CleanupErrorKind::Failed(_)), "{:?}", error.kind);
    log.assert_is(&["terminate", "kill"]);
}

#[test]
fn the_last_resort_runs_after_a_panicking_cleanup_dropped_with_its_guard() {
    let manager = manager();
    let log = OrderLog::new();
    let cleanup = Cleanup::sync(|| panic!("boom")).last_resort(log.cleanup("kill"));
    drop(manager.resource("child").with_cleanup(cleanup).unwrap());
    log.assert_is(&["kill"]);
    assert_eq!((manager.stats().failed, manager.stats().cleaned), (1, 0));
}

#[test]
fn the_last_resort_runs_after_a_cleanup_that_timed_out() {
    watchdog(LIMIT, || {
        let (log, hang) = (OrderLog::new(), Hang::new());
        let manager = manager();
        let registration = manager.resource("child").timeout(SHORT).last_resort(log.cleanup("kill"));
        let error = ResourceGuard::close(registration.guard(hang.cleanup()).unwrap()).unwrap_err();
        assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)), "{:?}", error.kind);
        log.assert_is(&["kill"]);
    });
}

#[test]
fn the_last_resort_of_a_cleanup_that_succeeds_is_dropped_unrun() {
    let (log, drops) = (OrderLog::new(), DropCounter::new());
    let (captured, kill) = (drops.value(), log.cleanup("kill"));
    let manager = manager();
    let registration = manager.resource("child").last_resort(move || {
        drop(captured);
        kill();
    });
    drop(registration.guard(log.cleanup("terminate")).unwrap());
    log.assert_is(&["terminate"]);
    drops.assert_each_once();
}

#[test]
fn a_panicking_last_resort_is_caught() {
    let manager = manager();
    let registration = manager.resource("child").last_resort(|| panic!("second"));
    drop(registration.guard(|| Err("first")).unwrap());
    assert_eq!(manager.stats().failed, 1);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_teardown_runs_the_last_resorts_of_what_failed_and_what_hung() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _failing =
            manager.resource("failing").last_resort(log.cleanup("kill failing")).guard(|| Err("no")).unwrap();
        let registration = manager.resource("stuck").timeout(SHORT).last_resort(log.cleanup("kill stuck"));
        let _stuck = registration.guard(hang.cleanup()).unwrap();
        let report = manager.cleanup();
        assert_eq!((report.failed(), report.timed_out(), report.cleaned()), (1, 1, 0));
        let mut forced = log.entries();
        forced.sort();
        assert_eq!(forced, ["kill failing", "kill stuck"]);
    });
}

#[test]
fn a_teardown_keeps_a_reserve_of_its_deadline_for_the_last_resort_of_a_hang() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let registration = manager.resource("stuck").timeout(LIMIT).last_resort(log.cleanup("kill"));
        let _stuck = registration.guard(hang.cleanup()).unwrap();
        let report = manager.teardown().deadline(Duration::from_secs(1)).run();
        assert_eq!(report.timed_out(), 1);
        log.assert_is(&["kill"]);
    });
}
