//! What a teardown does about code that does not come back to it: a cleanup that somebody else runs, a listener, a last
//! resort.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use castoff::{CleanupErrorKind, ManagerConfig, ResourceEvent, ResourceGuard, ResourceManager, Subscription};

use crate::support::{
    DropCounter, Gate, Hang, LIMIT, OrderLog, Recorder, manager, manager_with, shortly, until, watchdog,
};

const BRIEF: Duration = Duration::from_millis(50);

#[test]
fn a_cleanup_that_another_thread_runs_is_waited_for_no_longer_than_its_limit() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().default_timeout(BRIEF));
        let (hang, log) = (Hang::new(), OrderLog::new());
        let pool = manager.resource("pool").timeout(LIMIT).guard(log.cleanup("pool")).unwrap();
        let server = manager.resource("server").depends_on(&pool).guard(hang.cleanup()).unwrap();
        let dropper = thread::spawn(move || drop(server));
        hang.wait_started();
        let report = manager.cleanup();
        assert_eq!((report.timed_out(), report.cleaned(), report.processed()), (1, 1, 2), "{report}");
        assert!(matches!(report.errors()[0].kind, CleanupErrorKind::TimedOut(limit) if limit == BRIEF));
        log.assert_is(&["pool"]);
        assert_eq!(manager.resource_count(), 1, "it still runs");
        hang.release();
        dropper.join().unwrap();
        assert_eq!((manager.stats().cleaned, manager.resource_count()), (2, 0), "and ends as the drop's");
    });
}

#[test]
fn after_one_that_another_thread_runs_too_long_nothing_starts_where_that_was_asked_for() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().default_timeout(BRIEF));
        let (hang, log) = (Hang::new(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = manager.resource("server").depends_on(&pool).guard(hang.cleanup()).unwrap();
        let dropper = thread::spawn(move || drop(server));
        hang.wait_started();
        let report = manager.teardown().stop_on_error().run();
        assert_eq!((report.timed_out(), report.skipped().len()), (1, 1), "{report}");
        log.assert_is(&[]);
        hang.release();
        dropper.join().unwrap();
    });
}

/// A listener that does not return from an event of this label's end while the gate is shut.
fn stuck_listener(
    manager: &ResourceManager,
    label: &'static str,
    gate: &Gate,
) -> (Subscription, Arc<AtomicBool>) {
    let (gate, is_stuck) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let stuck = is_stuck.clone();
    let subscription = manager.subscribe(move |event| {
        let is_end = matches!(event, ResourceEvent::Cleaned { .. } | ResourceEvent::CleanupFailed { .. });
        if is_end && event.label().is_some_and(|it| **it == *label) {
            stuck.store(true, SeqCst);
            gate.wait();
        }
    });
    (subscription, is_stuck)
}

#[test]
fn a_listener_that_does_not_return_holds_a_teardown_up_for_a_moment_and_no_outcome_is_lost() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let gate = Gate::new("the listener to be let go");
        let _pool = manager.resource("pool").named("pool").guard(log.cleanup("pool")).unwrap();
        let _server =
            manager.resource("server").depends_on_name("pool").guard(log.failing("server")).unwrap();
        let (_subscription, is_stuck) = stuck_listener(&manager, "server", &gate);
        let report = manager.cleanup();
        assert!(is_stuck.load(SeqCst) && !gate.is_open());
        log.assert_is(&["server", "pool"]);
        assert_eq!((report.failed(), report.cleaned(), report.processed()), (1, 1, 2), "{report}");
        assert_eq!(report.errors()[0].to_string().split("failed: ").last(), Some("no disk"));
        gate.open();
    });
}

#[test]
fn what_its_end_sets_free_outside_of_the_teardown_is_cleaned_when_the_listener_returns() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let gate = Gate::new("the listener to be let go");
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        drop(pool);
        let (_subscription, _) = stuck_listener(&manager, "server", &gate);
        let report = manager.teardown().ids(&[ResourceGuard::id(&server)]).run();
        assert_eq!((report.cleaned(), report.processed()), (1, 1), "{report}");
        log.assert_is(&["server"]);
        gate.open();
        until("the pool to be cleaned", || log.entries() == ["server", "pool"]);
    });
}

#[test]
fn a_last_resort_that_hangs_ends_with_the_deadline() {
    watchdog(LIMIT, || {
        let (manager, graceful, force) = (manager(), Hang::new(), Hang::new());
        let stuck = manager.resource("stuck").timeout(LIMIT).last_resort(force.cleanup());
        let _stuck = stuck.guard(graceful.cleanup()).unwrap();
        let report = manager.teardown().deadline(Duration::from_secs(2)).run();
        assert!(graceful.has_started());
        assert_eq!((report.timed_out(), report.processed()), (1, 1), "{report}");
    });
}

#[test]
fn a_last_resort_that_fails_is_noted_beside_the_failure_that_it_followed() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let stuck = manager.resource("pool").last_resort(log.failing("force"));
        let _pool = stuck.guard(|| Err("in use")).unwrap();
        let report = manager.cleanup();
        log.assert_is(&["force"]);
        assert_eq!(report.timeline()[0].note.as_deref(), Some("the last resort failed: no disk"));
        assert!(report.errors()[0].to_string().ends_with("failed: in use"), "{report}");
    });
}

#[test]
fn with_no_limit_and_nothing_to_say_a_teardown_waits_for_as_long_as_it_takes() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().slow_after(Duration::MAX));
        let (hang, log) = (Arc::new(Hang::new()), OrderLog::new());
        let recorder = Recorder::on(&manager);
        let slow = manager.resource("slow").timeout(Duration::MAX).guard(hang.cleanup()).unwrap();
        let (release, told) = (hang.clone(), log.clone());
        shortly(move || {
            told.push("released");
            release.release();
        });
        let report = manager.cleanup();
        log.assert_is(&["released"]);
        assert!(report.is_success(), "{report}");
        assert_eq!(recorder.of("slow"), ["registered", "cleaned"]);
        drop(slow);
    });
}

#[test]
fn a_last_resort_that_is_not_needed_is_dropped_and_has_not_run() {
    watchdog(LIMIT, || {
        let (manager, drops) = (manager(), DropCounter::new());
        let held = drops.value();
        let resource = manager.resource("pool").last_resort(move || {
            let _held = &held;
            panic!("nothing failed");
        });
        let _pool = resource.guard(|| ()).unwrap();
        let report = manager.cleanup();
        assert!(report.is_success() && report.timeline()[0].note.is_none(), "{report}");
        drops.assert_each_once();
    });
}
