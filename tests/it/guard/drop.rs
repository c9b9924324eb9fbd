//! Dropping a guard: its cleanup runs once, here and now, and the books are in order when `drop` returns.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use castoff::{CleanupReason, ManagerConfig, ResourceGuard, ResourceState};

use crate::support::{LIMIT, OrderLog, Recorder, lock, manager, manager_with, watchdog};

#[test]
fn dropping_a_guard_runs_its_cleanup_once() {
    let manager = manager();
    let log = OrderLog::new();
    let guard = manager.guard("pool", log.cleanup("pool"));
    log.assert_is(&[]);
    drop(guard);
    log.assert_is(&["pool"]);
}

#[test]
fn a_dropped_guard_leaves_nothing_in_the_manager() {
    let manager = manager();
    let guard = manager.guard("pool", || ());
    let id = ResourceGuard::id(&guard);
    assert_eq!(manager.resource_count(), 1);
    drop(guard);
    assert_eq!(manager.resource_count(), 0);
    assert!(manager.get(id).is_none());
    assert!(manager.resources().is_empty());
}

#[test]
fn the_cleanup_runs_on_the_thread_that_drops() {
    let manager = manager();
    let ran_on = Arc::new(Mutex::new(None));
    let told = Arc::clone(&ran_on);
    let guard = manager.guard("pool", move || *lock(&told) = Some(thread::current().id()));
    let dropped_on = watchdog(LIMIT, move || {
        drop(guard);
        thread::current().id()
    });
    assert_eq!(*lock(&ran_on), Some(dropped_on));
}

#[test]
fn guards_dropped_as_locals_end_newest_first() {
    let manager = manager();
    let log = OrderLog::new();
    {
        let _first = manager.guard("first", log.cleanup("first"));
        let _second = manager.guard("second", log.cleanup("second"));
    }
    log.assert_is(&["second", "first"]);
}

#[test]
fn a_guard_whose_cleanup_a_teardown_ran_does_nothing_more_on_drop() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let guard = manager.guard("pool", log.cleanup("pool"));
        assert!(manager.cleanup().is_success());
        drop(guard);
        log.assert_is(&["pool"]);
        assert_eq!(manager.stats().cleaned, 1);
    });
}

#[test]
fn a_failing_cleanup_is_counted_and_told_and_drop_returns() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    drop(manager.guard("journal", || Err("no disk")));
    assert_eq!(recorder.of("journal"), ["registered", "failed"]);
    assert_eq!(manager.stats().failed, 1);
    assert_eq!(manager.stats().cleaned, 0);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_panicking_cleanup_is_caught_counted_and_told() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    drop(manager.guard("wobbly", || panic!("boom")));
    assert_eq!(recorder.of("wobbly"), ["registered", "failed"]);
    assert_eq!(manager.stats().failed, 1);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_cleanup_run_by_drop_is_told_so() {
    let manager = manager();
    let reason = Arc::new(Mutex::new(None));
    let told = Arc::clone(&reason);
    let guard =
        manager.resource("pool").guard_with_context(move |cx| *lock(&told) = Some(cx.reason())).unwrap();
    drop(guard);
    assert_eq!(*lock(&reason), Some(CleanupReason::Dropped));
}

#[test]
fn a_cleanup_sees_its_own_resource_as_being_cleaned_and_still_counted() {
    let manager = manager();
    let seen = Arc::new(Mutex::new(None));
    let (told, inside, id) = (Arc::clone(&seen), manager.clone(), Arc::new(Mutex::new(None)));
    let known = Arc::clone(&id);
    let guard = manager.guard("pool", move || {
        let state = lock(&known).and_then(|id| inside.get(id)).map(|info| info.state);
        *lock(&told) = Some((state, inside.resource_count()));
    });
    *lock(&id) = Some(ResourceGuard::id(&guard));
    drop(guard);
    assert_eq!(*lock(&seen), Some((Some(ResourceState::Cleaning), 1)));
}

#[test]
fn a_guard_may_be_dropped_by_another_thread_than_made_it() {
    let manager = manager();
    let log = OrderLog::new();
    let guard = manager.guard("pool", log.cleanup("pool"));
    thread::spawn(move || drop(guard)).join().unwrap();
    log.assert_is(&["pool"]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_forgotten_guard_stays_registered_and_a_teardown_cleans_it() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        std::mem::forget(manager.guard("pool", log.cleanup("pool")));
        assert_eq!(manager.resource_count(), 1);
        assert!(manager.cleanup().is_success());
        log.assert_is(&["pool"]);
    });
}

#[test]
fn the_managers_default_timeout_does_not_hold_on_drop() {
    let manager = manager_with(ManagerConfig::default().default_timeout(Duration::ZERO));
    let log = OrderLog::new();
    let (here, on) = (thread::current().id(), Arc::new(Mutex::new(None)));
    let (told, run) = (Arc::clone(&on), log.cleanup("slow"));
    drop(manager.guard("slow", move || {
        thread::sleep(Duration::from_millis(20));
        *lock(&told) = Some(thread::current().id());
        run();
    }));
    log.assert_is(&["slow"]);
    assert_eq!(*lock(&on), Some(here));
    assert_eq!(manager.stats().cleaned, 1);
}

thread_local! {
    static HELD: RefCell<Option<ResourceGuard<()>>> = const { RefCell::new(None) };
}

#[test]
fn a_guard_in_a_thread_local_is_cleaned_when_its_thread_ends() {
    // Thread-locals die in the reverse order of their first use: once with those of the library still there,
    // once without.
    for used_before_the_library in [true, false] {
        watchdog(LIMIT, move || {
            let manager = manager();
            let log = OrderLog::new();
            let (made, cleanup) = (manager.clone(), log.cleanup("pool"));
            let holder = thread::spawn(move || {
                if used_before_the_library {
                    HELD.with_borrow(Option::is_none);
                }
                let guard = made.guard("pool", cleanup);
                HELD.set(Some(guard));
            });
            holder.join().unwrap();
            log.assert_is(&["pool"]);
            assert_eq!(manager.resource_count(), 0);
        });
    }
}

#[test]
fn of_very_many_that_come_and_go_one_that_fails_or_panics_is_counted_as_any() {
    const MANY: u64 = 2_000;
    let manager = manager();
    for _ in 0..MANY {
        drop(manager.guard("brief", || ()));
    }
    drop(manager.guard("failing", || Err("no disk")));
    drop(manager.guard("panicking", || panic!("no disk")));
    drop(manager.guard("brief", || ()));
    let stats = manager.stats();
    assert_eq!((stats.registered, stats.cleaned, stats.failed), (MANY + 3, MANY + 1, 2));
    assert_eq!(manager.resource_count(), 0);
}
