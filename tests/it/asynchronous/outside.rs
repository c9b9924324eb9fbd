//! Drops where there is no runtime: they wait, within the timeout; also at the very end of a thread, and for guards
//! that nobody drops.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager, ResourceState};
use tokio::task::spawn_blocking;

use super::*;
use crate::support::{DropCounter, Recorder, until};

#[test]
fn a_drop_outside_of_any_runtime_waits_for_the_end_of_its_cleanup() {
    watched(|manager| {
        let (ran, drops) = (Runs::default(), DropCounter::new());
        let (counted, value) = (ran.clone(), drops.value());
        drop(manager.guard_async("session", || async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(value);
            counted.add();
        }));
        assert_eq!(ran.count(), 1, "it had ended when the drop returned");
        drops.assert_each_once();
        assert_only_cleaned(manager, 1, "outside");
    });
}

#[test]
fn a_failure_outside_of_any_runtime_is_counted_and_told_when_the_drop_returns() {
    watched(|manager| {
        let heard = Recorder::on(manager);
        drop(manager.guard_async("failing", || async { Err("the peer is gone") }));
        drop(manager.guard_async("panicking", || async { panic_quietly() }));
        assert_eq!((manager.stats().failed, manager.resource_count()), (2, 0));
        assert_eq!(heard.of("failing"), ["registered", "failed"]);
        assert_eq!(heard.of("panicking"), ["registered", "failed"]);
    });
}

#[test]
fn a_drop_outside_whose_timeout_passes_goes_on_and_its_last_resort_has_run() {
    watched(|manager| {
        let (forced, drops) = (Runs::default(), DropCounter::new());
        let (force, value) = (forced.clone(), drops.value());
        let heard = Recorder::on(manager);
        let guard = manager
            .resource("hanging")
            .timeout(Duration::from_millis(20))
            .last_resort(move || force.add())
            .guard_async(|| async move {
                let _held = value;
                std::future::pending::<()>().await;
            })
            .expect("a guard");
        // Waiting for ever would be the watchdog's: the cleanup never ends.
        drop(guard);
        assert_eq!((manager.stats().timed_out, forced.count()), (1, 1));
        assert_eq!(heard.of("hanging"), ["registered", "failed"]);
        until("the cancelled future to be dropped", || drops.dropped() == 1);
        drops.assert_each_once();
        assert_eq!(heard.of("hanging"), ["registered", "failed"], "a cancelled one never finishes late");
    });
}

#[test]
fn a_close_outside_returns_the_limit_that_passed() {
    watched(|manager| {
        let limit = Duration::from_millis(10);
        let guard = manager
            .resource("hanging")
            .timeout(limit)
            .guard_async(std::future::pending::<()>)
            .expect("a guard");
        let error = ResourceGuard::close(guard).expect_err("it hangs");
        assert!(matches!(error.kind, CleanupErrorKind::TimedOut(within) if within == limit), "{error}");
    });
}

#[test]
fn a_cleanup_outside_may_make_a_runtime_of_its_own() {
    watched(|manager| {
        let made = || async {
            spawn_blocking(|| current_thread().block_on(tokio::task::yield_now())).await?;
            castoff::done()
        };
        assert!(ResourceGuard::close(manager.guard_async("own runtime", made)).is_ok());
    });
}

thread_local! {
    static HELD: RefCell<Option<ResourceGuard<()>>> = const { RefCell::new(None) };
    /// Initialised before tokio's own thread-locals are, so dropped after them.
    static HELD_LONGEST: RefCell<Option<ResourceGuard<()>>> = const { RefCell::new(None) };
}

#[test]
fn a_guard_in_a_thread_local_of_a_plain_thread_cleans_in_its_destructor() {
    watched(|manager| {
        let there = manager.clone();
        thread::spawn(move || {
            HELD.set(Some(there.guard_async("session", tokio::task::yield_now)));
        })
        .join()
        .expect("the destructor does not panic");
        assert_only_cleaned(manager, 1, "a thread-local");
    });
}

#[test]
fn a_guard_in_a_thread_local_that_goes_after_tokios_own_cleans_in_its_destructor() {
    watched(|manager| {
        let there = manager.clone();
        thread::spawn(move || {
            // Touched first: destructors run in the reverse order.
            HELD_LONGEST.with_borrow(|held| assert!(held.is_none()));
            current_thread().block_on(async {
                let guard = there.guard_async("session", || tokio::time::sleep(Duration::from_millis(1)));
                HELD_LONGEST.set(Some(guard));
            });
        })
        .join()
        .expect("the destructor does not panic");
        assert_only_cleaned(manager, 1, "a thread-local that outlives tokio's");
    });
}

#[test]
fn guards_in_thread_locals_of_worker_threads_clean_when_the_runtime_ends() {
    watched(|manager| {
        let runtime = multi_thread(2);
        let there = manager.clone();
        runtime.block_on(async move {
            let on_worker = there.clone();
            let hold = move || HELD.set(Some(on_worker.guard_async("worker's", tokio::task::yield_now)));
            tokio::spawn(async move { hold() }).await.expect("no panic");
            let blocking = move || HELD.set(Some(there.guard_async("pool's", tokio::task::yield_now)));
            spawn_blocking(blocking).await.expect("no panic");
        });
        drop(runtime);
        until("the destructors to have run", || manager.resource_count() == 0);
        assert_only_cleaned(manager, 2, "thread-locals of a worker and of a blocking thread");
    });
}

#[test]
fn a_guard_in_a_static_is_cleaned_by_a_teardown() {
    static HELD: OnceLock<Mutex<Option<ResourceGuard<()>>>> = OnceLock::new();
    watched(|manager| {
        let guard = manager.guard_async("for ever", tokio::task::yield_now);
        HELD.get_or_init(Mutex::default).lock().expect("one test").replace(guard);
        assert!(manager.cleanup().is_success());
        assert_only_cleaned(manager, 1, "a static");
        let late = HELD.get_or_init(Mutex::default).lock().expect("one test").take();
        assert_eq!(late.as_ref().map(ResourceGuard::state), Some(ResourceState::Cleaned));
        drop(late);
        assert_only_cleaned(manager, 1, "a static, its guard dropped afterwards");
    });
}

#[test]
fn guards_that_were_leaked_or_forgotten_or_tied_in_a_knot_are_cleaned_by_a_teardown() {
    struct Knot {
        _guard: ResourceGuard<()>,
        _itself: Mutex<Option<Arc<Knot>>>,
    }
    watched(|manager| {
        let runs = Runs::default();
        let counting = || {
            let runs = runs.clone();
            move || async move { runs.add() }
        };
        ResourceGuard::leak(manager.guard_async("leaked", counting()));
        std::mem::forget(manager.guard_async("forgotten", counting()));
        let guard = manager.guard_async("in a knot", counting());
        let knot = Arc::new(Knot { _guard: guard, _itself: Mutex::default() });
        knot._itself.lock().expect("nobody else").replace(knot.clone());
        assert_eq!(manager.cleanup().cleaned(), 3);
        assert_eq!(runs.count(), 3);
        let again = knot._itself.lock().expect("nobody else").take();
        drop((again, knot));
        assert_eq!(runs.count(), 3, "untied: the guard has nothing left to do");
    });
}

#[test]
fn a_guard_with_a_value_keeps_it_until_the_cleanup_has_ended() {
    watched(|manager| {
        let log = OrderLog::new();
        let write = logged(&log, "cleaned");
        let guard = manager
            .resource("valued")
            .guard_value_async(log.value("value"), |value| async move {
                write().await;
                drop(value);
            })
            .expect("a guard");
        drop(guard);
        log.assert_is(&["cleaned", "value dropped"]);
    });
}

#[test]
fn a_manager_can_be_used_without_any_runtime_of_the_program() {
    watched(|manager: &ResourceManager| {
        let log = OrderLog::new();
        let pool = manager.guard_async("pool", logged(&log, "pool"));
        let _server = manager
            .resource("server")
            .depends_on(&pool)
            .guard_async(logged(&log, "server"))
            .expect("a guard");
        assert!(manager.shutdown().is_success());
        log.assert_is(&["server", "pool"]);
    });
}
