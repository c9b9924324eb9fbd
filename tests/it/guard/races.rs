//! A guard let go while another thread cleans its resource: `drop` does not wait, `close` does.

use std::sync::mpsc;
use std::thread;

use castoff::{Cleanup, CleanupErrorKind, ResourceGuard};

use crate::support::{DropCounter, Gate, Hang, LIMIT, OrderLog, manager, shortly, until, watchdog};

#[test]
fn a_guard_dropped_while_a_teardown_runs_its_cleanup_does_not_wait_for_it() {
    watchdog(LIMIT, || {
        let (manager, hang, drops) = (manager(), Hang::new(), DropCounter::new());
        let guard = manager.resource("pool").keep(drops.value(), Cleanup::sync(hang.cleanup())).unwrap();
        let torn_down = manager.clone();
        let teardown = thread::spawn(move || torn_down.cleanup());
        hang.wait_started();
        drop(guard);
        assert_eq!(drops.dropped(), 0, "the value stays until the cleanup has ended");
        hang.release();
        assert_eq!(teardown.join().unwrap().cleaned(), 1);
        until("the value to be dropped", || drops.dropped() > 0);
        drops.assert_each_once();
    });
}

#[test]
fn a_worker_that_owns_its_guard_and_is_joined_by_its_own_cleanup_ends() {
    watchdog(LIMIT, || {
        let manager = manager();
        let (stop, stopped) = mpsc::channel::<()>();
        let (hand_over, owned) = mpsc::channel::<ResourceGuard<()>>();
        let worker = thread::spawn(move || {
            let guard = owned.recv().expect("the guard of this worker");
            stopped.recv().expect_err("the sender is dropped to stop the worker");
            drop(guard);
        });
        let guard = manager.guard("worker", move || {
            drop(stop);
            worker.join().map_err(|_| "the worker panicked")
        });
        hand_over.send(guard).unwrap();
        assert!(manager.cleanup().is_success());
    });
}

#[test]
fn a_close_waits_for_a_cleanup_that_runs_elsewhere_and_returns_its_result() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (started, go_on) = (Gate::new("the cleanup to start"), Gate::new("the cleanup to go on"));
        let (starts, waits, told) = (started.clone(), go_on.clone(), log.clone());
        let guard = manager.guard("pool", move || {
            starts.open();
            waits.wait();
            told.push("cleanup ended");
            Err("no disk")
        });
        let torn_down = manager.clone();
        let teardown = thread::spawn(move || torn_down.cleanup());
        started.wait();
        shortly(move || go_on.open());
        let error = ResourceGuard::close(guard).unwrap_err();
        log.push("close returned");
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
        assert_eq!(teardown.join().unwrap().failed(), 1);
        log.assert_is(&["cleanup ended", "close returned"]);
    });
}

#[test]
fn a_teardown_waits_for_a_cleanup_that_a_drop_has_started_elsewhere() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (started, go_on) = (Gate::new("the cleanup to start"), Gate::new("the cleanup to go on"));
        let (starts, waits, told) = (started.clone(), go_on.clone(), log.clone());
        let guard = manager.guard("pool", move || {
            starts.open();
            waits.wait();
            told.push("cleanup ended");
        });
        let dropping = thread::spawn(move || drop(guard));
        started.wait();
        shortly(move || go_on.open());
        let report = manager.cleanup();
        log.push("teardown returned");
        assert!(report.is_success());
        dropping.join().unwrap();
        log.assert_is(&["cleanup ended", "teardown returned"]);
    });
}

#[test]
fn a_release_while_a_teardown_cleans_does_not_wait_and_the_cleanup_runs_once() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let guard = manager.resource("pool").keep(7, Cleanup::sync(hang.cleanup())).unwrap();
        let torn_down = manager.clone();
        let teardown = thread::spawn(move || torn_down.cleanup());
        hang.wait_started();
        assert_eq!(ResourceGuard::release(guard), 7);
        hang.release();
        assert_eq!(teardown.join().unwrap().cleaned(), 1);
        assert_eq!(manager.stats().cleaned, 1);
    });
}
