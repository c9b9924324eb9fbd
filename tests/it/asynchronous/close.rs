//! `close_async`: how one cleanup went, whoever ran it; and what the strategies say to cleanups that await.

use std::time::Duration;

use castoff::{
    CleanupErrorKind, OnSuccess, OnUnwind, ResourceGuard, ResourceManager, ResourceState, Strategy,
};

use super::*;
use crate::support::{OrderLog, Recorder, panic_of};

#[test]
fn a_close_returns_the_kind_of_what_went_wrong() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let fine = manager.guard_async("fine", || async {});
            assert!(ResourceGuard::close_async(fine).await.is_ok(), "{name}");
            let fails = manager.guard_async("fails", || async { Err("disk full") });
            let error = ResourceGuard::close_async(fails).await.expect_err("it fails");
            assert!(
                matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "disk full")
            );
            assert_eq!((&*error.label, error.created_at.file()), ("fails", file!()), "{name}");
            let panics = manager.guard_async("panics", || async { panic_quietly() });
            let error = ResourceGuard::close_async(panics).await.expect_err("it panics");
            assert!(matches!(error.kind, CleanupErrorKind::Panicked(_)), "{name}: {error}");
            let limit = Duration::from_millis(10);
            let hangs = manager.resource("hangs").timeout(limit).guard_async(std::future::pending::<()>);
            let error = ResourceGuard::close_async(hangs.expect("a guard")).await.expect_err("it hangs");
            assert!(matches!(error.kind, CleanupErrorKind::TimedOut(within) if within == limit), "{error}");
        });
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_close_of_a_cleanup_without_await_returns_its_kinds_too() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            assert!(ResourceGuard::close_async(manager.guard("fine", || ())).await.is_ok(), "{name}");
            let error = ResourceGuard::close_async(manager.guard("fails", || Err("no"))).await;
            assert!(matches!(error.expect_err("it fails").kind, CleanupErrorKind::Failed(_)), "{name}");
            let panics = manager.guard("panics", || panic_quietly());
            let error = ResourceGuard::close_async(panics).await.expect_err("it panics");
            assert!(matches!(error.kind, CleanupErrorKind::Panicked(_)), "{name}");
        });
    });
}

#[test]
fn a_close_with_dependents_is_deferred_does_not_wait_and_names_them() {
    watched(|manager| {
        current_thread().block_on(async {
            let log = OrderLog::new();
            let pool = manager.guard_async("pool", logged(&log, "pool"));
            let server = manager.resource("server").depends_on(&pool).guard_async(logged(&log, "server"));
            let error = ResourceGuard::close_async(pool).await.expect_err("the server needs it");
            assert!(matches!(&error.kind, CleanupErrorKind::Deferred { behind } if behind == &["server"]));
            log.assert_is(&[]);
            assert!(ResourceGuard::close_async(server.expect("a guard")).await.is_ok());
            manager.settle_async().await;
            log.assert_is(&["server", "pool"]);
        });
    });
}

#[test]
fn a_close_of_what_runs_elsewhere_waits_and_returns_its_outcome() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (begun, end) = (Signal::new(), Signal::new());
            let cleanup = begun.then(&end);
            let guard = manager.guard_async("busy", move || async move {
                cleanup().await;
                Err("disk full")
            });
            let there = manager.clone();
            let teardown = tokio::spawn(async move { there.teardown().run_async().await });
            begun.given().await;
            let closing = tokio::spawn(ResourceGuard::close_async(guard));
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert!(!closing.is_finished(), "{name}: it waits");
            }
            end.give();
            let error = closing.await.expect("no panic").expect_err("it failed");
            assert_eq!(message_of(&error.kind), "disk full", "{name}");
            assert_eq!(teardown.await.expect("no panic").failed(), 1, "{name}");
        });
    });
}

#[test]
fn a_close_after_a_teardown_returns_how_that_went() {
    watched(|manager| {
        current_thread().block_on(async {
            let fine = manager.guard_async("fine", || async {});
            let fails = manager.guard_async("fails", || async { Err("disk full") });
            let hangs = manager.resource("hangs").timeout(Duration::from_millis(10));
            let hangs = hangs.guard_async(std::future::pending::<()>).expect("a guard");
            assert_eq!(manager.teardown().run_async().await.processed(), 3);
            assert_eq!(ResourceGuard::state(&hangs), ResourceState::TimedOut);
            assert!(ResourceGuard::close_async(fine).await.is_ok());
            let error = ResourceGuard::close_async(fails).await.expect_err("it failed");
            assert_eq!(message_of(&error.kind), "disk full");
            let error = ResourceGuard::close_async(hangs).await.expect_err("it hung");
            assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)));
        });
    });
}

#[test]
fn a_close_tells_its_events_once() {
    watched(|manager| {
        current_thread().block_on(async {
            let heard = Recorder::on(manager);
            assert!(ResourceGuard::close_async(manager.guard_async("fine", || async {})).await.is_ok());
            assert!(ResourceGuard::close_async(manager.guard("sync", || Err("no"))).await.is_err());
            assert_eq!(heard.of("fine"), ["registered", "cleaned"]);
            assert_eq!(heard.of("sync"), ["registered", "failed"]);
        });
    });
}

fn with_strategy<S: Strategy>(manager: &ResourceManager, runs: &Runs) -> ResourceGuard<(), S> {
    let counted = runs.clone();
    let registration = manager.resource("strategic").strategy::<S>();
    registration.guard_async(move || async move { counted.add() }).expect("a guard")
}

#[test]
fn a_strategy_that_says_no_lets_the_resource_go_and_never_makes_the_future() {
    watched(|manager| {
        current_thread().block_on(async {
            let runs = Runs::default();
            drop(with_strategy::<OnUnwind>(manager, &runs));
            manager.settle_async().await;
            assert_eq!((runs.count(), manager.stats().released), (0, 1));
            drop(with_strategy::<OnSuccess>(manager, &runs));
            manager.settle_async().await;
            assert_eq!((runs.count(), manager.stats().cleaned), (1, 1));
        });
    });
}

#[test]
fn a_strategy_is_asked_on_the_thread_that_unwinds() {
    watched(|manager| {
        for (name, runtime) in runtimes() {
            let (unwind, success) = (Runs::default(), Runs::default());
            panic_of(|| {
                runtime.block_on(async {
                    let _unwind = with_strategy::<OnUnwind>(manager, &unwind);
                    let _success = with_strategy::<OnSuccess>(manager, &success);
                    panic_quietly();
                })
            });
            runtime.block_on(manager.settle_async());
            assert_eq!((unwind.count(), success.count()), (1, 0), "{name}");
        }
    });
}

#[test]
fn closing_and_teardowns_do_not_ask_the_strategy() {
    watched(|manager| {
        current_thread().block_on(async {
            let runs = Runs::default();
            assert!(ResourceGuard::close_async(with_strategy::<OnUnwind>(manager, &runs)).await.is_ok());
            let _held = with_strategy::<OnUnwind>(manager, &runs);
            assert_eq!(manager.teardown().run_async().await.cleaned(), 1);
            assert_eq!(runs.count(), 2);
        });
    });
}
