//! What a cleanup in a teardown is told: why it runs and how long it has.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{Cleanup, CleanupContext, CleanupReason, ManagerConfig, ResourceManager};

use crate::support::{LIMIT, lock, manager, manager_with, watchdog};

type Seen = Arc<Mutex<Option<(CleanupReason, Option<Duration>)>>>;

/// A cleanup that writes down its reason and the time it has left.
fn noting(seen: &Seen) -> Cleanup {
    let told = Arc::clone(seen);
    Cleanup::with_context(move |cx| {
        let left = cx.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        *lock(&told) = Some((cx.reason(), left));
    })
}

fn left_of(seen: &Seen) -> Duration {
    lock(seen).expect("the cleanup ran").1.expect("a deadline")
}

#[track_caller]
fn is_about(left: Duration, limit: Duration) {
    assert!(left <= limit && left > Duration::ZERO, "{left:?} left of {limit:?}");
}

fn reason_of(run: impl FnOnce(&ResourceManager)) -> CleanupReason {
    let (manager, seen) = (manager(), Seen::default());
    let _guard = manager.resource("pool").with_cleanup(noting(&seen)).unwrap();
    run(&manager);
    let seen = lock(&seen);
    seen.expect("the cleanup ran").0
}

#[test]
fn a_teardown_is_the_reason_of_its_cleanups() {
    watchdog(LIMIT, || {
        assert_eq!(reason_of(|manager| drop(manager.cleanup())), CleanupReason::Teardown);
        assert_eq!(
            reason_of(|manager| drop(manager.teardown().concurrency(2).run())),
            CleanupReason::Teardown
        );
    });
}

#[test]
fn the_timeout_of_the_resource_is_its_deadline() {
    watchdog(LIMIT, || {
        let (manager, seen) = (manager(), Seen::default());
        let registration = manager.resource("pool").timeout(Duration::from_secs(7));
        let _guard = registration.with_cleanup(noting(&seen)).unwrap();
        assert!(manager.cleanup().is_success());
        is_about(left_of(&seen), Duration::from_secs(7));
    });
}

#[test]
fn the_timeout_of_the_manager_is_the_deadline_of_what_has_none_of_its_own() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().default_timeout(Duration::from_secs(3)));
        let seen = Seen::default();
        let _guard = manager.resource("pool").with_cleanup(noting(&seen)).unwrap();
        assert!(manager.cleanup().is_success());
        is_about(left_of(&seen), Duration::from_secs(3));
    });
}

#[test]
fn no_cleanup_is_told_more_time_than_the_teardown_has() {
    watchdog(LIMIT, || {
        let (manager, seen) = (manager(), Seen::default());
        let registration = manager.resource("pool").timeout(LIMIT);
        let _guard = registration.with_cleanup(noting(&seen)).unwrap();
        assert!(manager.teardown().deadline(Duration::from_secs(9)).run().is_success());
        is_about(left_of(&seen), Duration::from_secs(9));
    });
}

#[test]
fn each_of_many_has_its_limit_from_its_own_beginning_on() {
    watchdog(LIMIT, || {
        let (manager, deadlines) = (manager(), Arc::new(Mutex::new(Vec::new())));
        let guards: Vec<_> = (0..30)
            .map(|_| {
                let deadlines = Arc::clone(&deadlines);
                let cleanup = move |context: &CleanupContext| {
                    lock(&deadlines).push((context.deadline(), Instant::now()));
                    thread::sleep(Duration::from_millis(1));
                };
                manager.resource("one").timeout(LIMIT).guard_with_context(cleanup).unwrap()
            })
            .collect();
        let before = Instant::now();
        assert!(manager.cleanup().is_success());
        let mut begun = before;
        for (deadline, now) in &*lock(&deadlines) {
            let deadline = deadline.expect("each has a limit");
            assert!(deadline >= begun + LIMIT && deadline <= *now + LIMIT);
            begun = *now;
        }
        drop(guards);
    });
}
