//! A timeout of the resource's own: it holds on drop and on close too, and the cleanup then runs on a helper
//! thread.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{CleanupErrorKind, ResourceEvent, ResourceGuard};

use crate::support::{Hang, LIMIT, OrderLog, Recorder, lock, manager, watchdog};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_hanging_cleanup_with_a_timeout_of_its_own_does_not_hold_drop_up() {
    watchdog(LIMIT, || {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        let hang = Hang::new();
        drop(manager.resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap());
        assert!(hang.has_started());
        assert_eq!(recorder.of("stuck"), ["registered", "failed"]);
        let Some(ResourceEvent::CleanupFailed { error, .. }) = recorder.events().into_iter().nth(1) else {
            panic!("the failure is told with its error");
        };
        assert!(
            matches!(error.kind, CleanupErrorKind::TimedOut(limit) if limit == SHORT),
            "{:?}",
            error.kind
        );
        assert_eq!(manager.stats().timed_out, 1);
    });
}

#[test]
fn a_hanging_cleanup_with_a_timeout_of_its_own_does_not_hold_close_up() {
    watchdog(LIMIT, || {
        let hang = Hang::new();
        let guard = manager().resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap();
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(
            matches!(error.kind, CleanupErrorKind::TimedOut(limit) if limit == SHORT),
            "{:?}",
            error.kind
        );
        assert!(error.elapsed >= SHORT, "{:?}", error.elapsed);
    });
}

#[test]
fn a_cleanup_with_a_timeout_of_its_own_runs_on_a_helper_thread() {
    watchdog(LIMIT, || {
        let ran_on = Arc::new(Mutex::new(None));
        let told = Arc::clone(&ran_on);
        let cleanup = move || *lock(&told) = Some(thread::current().id());
        drop(manager().resource("pool").timeout(LIMIT).guard(cleanup).unwrap());
        let ran_on = lock(&ran_on).expect("drop waits for a cleanup that is in time");
        assert_ne!(ran_on, thread::current().id());
    });
}

#[test]
fn a_cleanup_is_told_the_end_of_its_timeout() {
    watchdog(LIMIT, || {
        let left = Arc::new(Mutex::new(None));
        let told = Arc::clone(&left);
        let manager = manager();
        let registration = manager.resource("pool").timeout(LIMIT);
        let guard = registration.guard_with_context(move |cx| {
            *lock(&told) = cx.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        });
        drop(guard.unwrap());
        let left = lock(&left).expect("a deadline");
        assert!(left > Duration::ZERO && left <= LIMIT, "{left:?}");
    });
}

#[test]
fn a_cleanup_without_a_timeout_of_its_own_has_no_deadline_on_drop() {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let guard = manager().resource("pool").guard_with_context(move |cx| *lock(&told) = Some(cx.deadline()));
    drop(guard.unwrap());
    assert_eq!(*lock(&seen), Some(None));
}

#[test]
fn the_longest_timeout_is_none_and_does_not_overflow() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        drop(manager.resource("dropped").timeout(Duration::MAX).guard(log.cleanup("dropped")).unwrap());
        let closed = manager.resource("closed").timeout(Duration::MAX).guard(log.cleanup("closed")).unwrap();
        ResourceGuard::close(closed).unwrap();
        log.assert_is(&["dropped", "closed"]);
        assert_eq!(manager.stats().timed_out, 0);
    });
}

#[test]
fn a_cleanup_that_ends_after_it_was_given_up_is_told_as_late() {
    watchdog(LIMIT, || {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        let hang = Hang::new();
        drop(manager.resource("stuck").timeout(SHORT).guard(hang.cleanup()).unwrap());
        hang.release();
        recorder.wait_for("finished late stuck");
        assert_eq!(recorder.of("stuck"), ["registered", "failed", "finished late"]);
        let late = recorder.events().into_iter().find_map(|event| match event {
            ResourceEvent::FinishedLate { after, .. } => Some(after),
            _ => None,
        });
        assert!(late.is_some_and(|after| after >= SHORT), "{late:?}");
        assert_eq!((manager.stats().timed_out, manager.stats().cleaned), (1, 0));
    });
}

#[test]
fn a_timed_out_dependent_lets_its_deferred_dependency_go() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let hang = Hang::new();
        let pool = manager.guard("pool", log.cleanup("pool"));
        let stuck = manager.resource("stuck").depends_on(&pool).timeout(SHORT).guard(hang.cleanup()).unwrap();
        drop(pool);
        drop(stuck);
        log.assert_is(&["pool"]);
        assert_eq!(manager.resource_count(), 0);
    });
}
