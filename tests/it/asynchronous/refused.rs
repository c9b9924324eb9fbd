//! Registrations that are refused run their asynchronous cleanup once, as a guard dropped at once would, and what
//! settles or ends waits for it.

use castoff::{ManagerConfig, OnSuccess, OnUnwind, RegisterError, ResourceManager};

use super::*;

fn register_again(manager: &ResourceManager, runs: &Runs, returned: &Signal) -> Option<RegisterError> {
    let (counted, after) = (runs.clone(), returned.clone());
    let refused = manager.resource("again").named("db").guard_async(|| async move {
        after.given().await;
        counted.add();
    });
    refused.err()
}

#[test]
fn a_duplicate_name_in_asynchronous_code_runs_its_cleanup_once_and_does_not_wait() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (runs, returned) = (Runs::default(), Signal::new());
            let first = manager.resource("first").named("db").guard(|| ()).expect("a guard");
            let refused = register_again(manager, &runs, &returned);
            assert!(matches!(refused, Some(RegisterError::DuplicateName { .. })), "{name}: {refused:?}");
            assert_eq!(runs.count(), 0, "{name}: it waits for the signal");
            returned.give();
            manager.settle_async().await;
            assert_eq!(runs.count(), 1, "{name}");
            drop(first);
        });
    });
}

#[test]
fn a_duplicate_name_outside_of_a_runtime_has_run_its_cleanup_when_it_is_refused() {
    watched(|manager| {
        let (runs, returned) = (Runs::default(), Signal::new());
        returned.give();
        let _first = manager.resource("first").named("db").guard(|| ()).expect("a guard");
        assert!(register_again(manager, &runs, &returned).is_some());
        assert_eq!(runs.count(), 1);
    });
}

#[test]
fn a_refused_cleanup_that_fails_panics_or_hangs_harms_nobody_and_gets_its_last_resort() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let forced = Runs::default();
            let bad = |what: &'static str| {
                let force = forced.clone();
                let limit = std::time::Duration::from_millis(10);
                let registration = manager.resource("").timeout(limit).last_resort(move || force.add());
                let refused = registration.guard_async(move || async move {
                    match what {
                        "fails" => Err("no"),
                        "panics" => panic_quietly(),
                        _ => std::future::pending().await,
                    }
                });
                assert!(matches!(refused, Err(RegisterError::EmptyLabel { .. })), "{name}");
            };
            ["fails", "panics", "hangs"].into_iter().for_each(bad);
            manager.settle_async().await;
            assert_eq!(forced.count(), 3, "{name}");
        });
        assert_eq!(manager.stats().registered, 0);
    });
}

#[test]
fn a_limit_and_a_shut_down_manager_refuse_and_clean_once() {
    watched_with(ManagerConfig::default().max_resources(1), |manager| {
        current_thread().block_on(async {
            let runs = Runs::default();
            let counting = || {
                let runs = runs.clone();
                move || async move { runs.add() }
            };
            let first = manager.resource("first").guard_async(counting()).expect("room for one");
            let full = manager.resource("second").guard_async(counting());
            assert!(matches!(full, Err(RegisterError::LimitReached { .. })));
            manager.settle_async().await;
            assert_eq!(runs.count(), 1);
            drop(first);
            assert!(manager.shutdown_async().await.is_success());
            let late = manager.resource("late").guard_async(counting());
            assert!(matches!(late, Err(RegisterError::ShutDown { .. })));
            manager.settle_async().await;
            assert_eq!(runs.count(), 3);
            // The short form is never refused, and cleans on drop.
            drop(manager.guard_async("late and short", counting()));
            manager.settle_async().await;
            assert_eq!(runs.count(), 4);
        });
    });
}

#[test]
fn a_refused_registration_asks_its_strategy_as_a_drop_would() {
    watched(|manager| {
        current_thread().block_on(async {
            let runs = Runs::default();
            let counting = || {
                let runs = runs.clone();
                move || async move { runs.add() }
            };
            assert!(manager.resource("").strategy::<OnUnwind>().guard_async(counting()).is_err());
            manager.settle_async().await;
            assert_eq!(runs.count(), 0);
            assert!(manager.resource("").strategy::<OnSuccess>().guard_async(counting()).is_err());
            manager.settle_async().await;
            assert_eq!(runs.count(), 1);
        });
    });
}
