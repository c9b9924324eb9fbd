//! Timeouts in a teardown: the resource's own, else the manager's, else the category's; and what comes of an
//! abandoned cleanup.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{
    Category, CleanupErrorKind, ManagerConfig, ResourceGuard, ResourceManager, ResourceState, TeardownReport,
};

use crate::support::{Gate, Hang, LIMIT, OrderLog, Recorder, lock, manager, manager_with, watchdog};

const SHORT: Duration = Duration::from_millis(50);

/// Which limit the only error of this report says.
fn limit(report: &TeardownReport) -> Duration {
    let [error] = report.errors() else { panic!("{:?}", report.errors()) };
    let CleanupErrorKind::TimedOut(limit) = error.kind else { panic!("{:?}", error.kind) };
    limit
}

#[test]
fn a_timeout_of_the_resources_own_wins_over_the_managers() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager_with(ManagerConfig::default().default_timeout(LIMIT)), Hang::new());
        let _stuck = manager.resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap();
        assert_eq!(limit(&manager.cleanup()), SHORT);
    });
}

#[test]
fn a_longer_timeout_of_the_resources_own_wins_over_the_managers_too() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().default_timeout(Duration::ZERO));
        let patient = manager.resource("patient").timeout(LIMIT);
        let _patient = patient.guard(|| thread::sleep(Duration::from_millis(20))).unwrap();
        assert!(manager.cleanup().is_success());
    });
}

#[test]
fn the_managers_timeout_wins_over_the_categorys() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager_with(ManagerConfig::default().default_timeout(SHORT)), Hang::new());
        let _stuck = manager.resource("stuck").category(Category::Critical).guard(hang.cleanup()).unwrap();
        assert_eq!(limit(&manager.cleanup()), SHORT);
    });
}

#[test]
fn the_categorys_timeout_holds_where_nobody_said_another() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let _stuck = manager.resource("stuck").category(Category::Timer).guard(hang.cleanup()).unwrap();
        let start = Instant::now();
        assert_eq!(limit(&manager.cleanup()), Category::Timer.default_timeout());
        assert!(start.elapsed() >= Category::Timer.default_timeout());
    });
}

#[test]
fn a_timeout_of_zero_starts_the_cleanup_and_gives_it_up() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let stuck = manager.resource("stuck").timeout(Duration::ZERO).guard(hang.cleanup()).unwrap();
        let report = manager.cleanup();
        assert_eq!((report.timed_out(), report.skipped().len()), (1, 0));
        assert_eq!(limit(&report), Duration::ZERO);
        assert_eq!(ResourceGuard::state(&stuck), ResourceState::TimedOut);
        hang.wait_started();
    });
}

#[test]
fn the_longest_timeout_is_none_and_does_not_overflow() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().default_timeout(Duration::MAX));
        let deadline = Arc::new(Mutex::new(None));
        let told = Arc::clone(&deadline);
        let _default = manager.guard("default", || ());
        let own = manager.resource("own").timeout(Duration::MAX);
        let _own = own.guard_with_context(move |cx| *lock(&told) = Some(cx.deadline())).unwrap();
        assert!(manager.cleanup().is_success());
        assert_eq!(*lock(&deadline), Some(None));
    });
}

#[test]
fn the_longest_deadline_is_none_and_does_not_overflow() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _pool = manager.guard("pool", log.cleanup("pool"));
        assert!(manager.teardown().deadline(Duration::MAX).run().is_success());
        log.assert_is(&["pool"]);
    });
}

#[test]
fn the_late_end_of_an_abandoned_cleanup_is_told_and_changes_nothing_else() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let recorder = Recorder::on(&manager);
        let stuck = manager.resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap();
        assert_eq!(manager.cleanup().timed_out(), 1);
        assert_eq!(recorder.of("stuck"), ["registered", "failed"]);
        hang.release();
        recorder.wait_for("finished late stuck");
        assert_eq!(recorder.of("stuck"), ["registered", "failed", "finished late"]);
        assert_eq!(ResourceGuard::state(&stuck), ResourceState::TimedOut);
        assert_eq!((manager.stats().timed_out, manager.stats().cleaned), (1, 0));
    });
}

#[test]
fn an_abandoned_cleanup_that_fails_late_changes_nothing_either() {
    watchdog(LIMIT, || {
        let (manager, go_on) = (manager(), Gate::new("the cleanup to go on"));
        let (recorder, waits) = (Recorder::on(&manager), go_on.clone());
        let registration = manager.resource("stuck").timeout(SHORT);
        let _stuck = registration.guard(move || {
            waits.wait();
            Err("too late")
        });
        assert_eq!(manager.cleanup().timed_out(), 1);
        go_on.open();
        recorder.wait_for("finished late stuck");
        assert_eq!((manager.stats().timed_out, manager.stats().failed), (1, 0));
    });
}

fn slow_manager() -> ResourceManager {
    manager_with(ManagerConfig::default().slow_after(Duration::from_millis(20)))
}

#[test]
fn a_slow_cleanup_is_told_while_it_runs() {
    watchdog(LIMIT, || {
        let (manager, told) = (slow_manager(), Gate::new("the notice of the slow cleanup"));
        let key = told.clone();
        let _subscription = manager.subscribe(move |event| {
            if let castoff::ResourceEvent::SlowCleanup { label, .. } = event {
                assert_eq!(&**label, "orders-db");
                key.open();
            }
        });
        // It ends only because the notice came while it ran.
        let notice = told.clone();
        let _slow = manager.resource("orders-db").timeout(LIMIT).guard(move || notice.wait()).unwrap();
        assert!(manager.cleanup().is_success());
        assert!(told.is_open());
    });
}

#[test]
fn a_quick_cleanup_is_not_told_as_slow() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().slow_after(LIMIT));
        let recorder = Recorder::on(&manager);
        let _quick = manager.guard("quick", || ());
        assert!(manager.cleanup().is_success());
        assert_eq!(recorder.of("quick"), ["registered", "cleaned"]);
    });
}
