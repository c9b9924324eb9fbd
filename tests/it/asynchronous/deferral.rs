//! Dependencies between cleanups that await and cleanups that do not: whatever the order of the drops, the order of
//! the cleanups is the declared one.

use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};

use super::*;

const NAMES: [&str; 3] = ["base", "middle", "top"];

/// Three in a chain: top needs middle, middle needs base. Bit n says whether the nth is asynchronous.
fn chain(manager: &ResourceManager, log: &OrderLog, kinds: usize) -> Vec<Option<ResourceGuard<()>>> {
    let mut guards: Vec<Option<ResourceGuard<()>>> = Vec::new();
    for (at, name) in NAMES.into_iter().enumerate() {
        let needs = guards.last().and_then(Option::as_ref).map(ResourceGuard::id);
        let registration = manager.resource(name).depends_on_all(needs);
        let guard = match kinds >> at & 1 {
            0 => registration.guard(log.cleanup(name)),
            _ => registration.guard_async(logged(log, name)),
        };
        guards.push(Some(guard.expect("a guard")));
    }
    guards
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[test]
fn a_mixed_chain_dropped_in_any_order_in_asynchronous_code_is_cleaned_in_the_declared_order() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for kinds in 0..8 {
                for order in ORDERS {
                    let log = OrderLog::new();
                    let mut guards = chain(manager, &log, kinds);
                    order.iter().for_each(|at| drop(guards[*at].take()));
                    manager.settle_async().await;
                    let what = format!("{name}, kinds {kinds:03b}, dropped {order:?}");
                    assert_eq!(log.entries(), ["top", "middle", "base"], "{what}");
                    assert_eq!(manager.resource_count(), 0, "{what}");
                }
            }
        });
    });
}

#[test]
fn a_mixed_chain_dropped_in_any_order_outside_of_a_runtime_has_ended_with_the_last_drop() {
    watched(|manager| {
        for kinds in 0..8 {
            for order in ORDERS {
                let log = OrderLog::new();
                let mut guards = chain(manager, &log, kinds);
                order.iter().for_each(|at| drop(guards[*at].take()));
                assert_eq!(log.entries(), ["top", "middle", "base"], "kinds {kinds:03b}, dropped {order:?}");
            }
        }
        assert_only_cleaned(manager, 8 * 6 * 3, "outside");
    });
}

#[test]
fn a_mixed_chain_closed_in_any_order_is_cleaned_in_the_declared_order() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for kinds in 0..8 {
                for order in ORDERS {
                    let log = OrderLog::new();
                    let mut guards = chain(manager, &log, kinds);
                    let mut gone = Vec::new();
                    for at in order {
                        let guard = guards[at].take().expect("each once");
                        let closed = ResourceGuard::close_async(guard).await;
                        let held = at < 2 && !gone.contains(&(at + 1)) || (at == 0 && !gone.contains(&2));
                        match closed {
                            Ok(()) => assert!(!held, "{name}, {order:?}: it was not deferred"),
                            Err(error) => {
                                let deferred = matches!(error.kind, CleanupErrorKind::Deferred { .. });
                                // What the middle's own end sets free is handed over: it may not have ended yet.
                                assert!(deferred && (held || at == 0), "{name}, {order:?}: {error}");
                            }
                        }
                        gone.push(at);
                    }
                    manager.settle_async().await;
                    assert_eq!(log.entries(), ["top", "middle", "base"], "{name}, {kinds:03b}, {order:?}");
                }
            }
        });
    });
}

#[test]
fn a_mixed_chain_is_torn_down_in_the_declared_order_however_many_run_at_once() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for kinds in 0..8 {
                for at_once in [1, 2, 8] {
                    let log = OrderLog::new();
                    let _guards = chain(manager, &log, kinds);
                    let report = manager.teardown().concurrency(at_once).run_async().await;
                    assert!(report.is_success(), "{report}");
                    assert_eq!(log.entries(), ["top", "middle", "base"], "{name}, {kinds:03b}, {at_once}");
                }
            }
        });
    });
}

#[test]
fn a_dependency_whose_asynchronous_dependent_fails_or_panics_or_hangs_is_cleaned_after_it() {
    watched(|manager| {
        current_thread().block_on(async {
            for what in ["fails", "panics", "hangs"] {
                let log = OrderLog::new();
                let pool = manager.guard_async("pool", logged(&log, "pool"));
                let run = log.cleanup(what);
                let limit = std::time::Duration::from_millis(10);
                let bad =
                    manager.resource(what).depends_on(&pool).timeout(limit).guard_async(move || async move {
                        run();
                        match what {
                            "fails" => Err("no"),
                            "panics" => panic_quietly(),
                            _ => std::future::pending().await,
                        }
                    });
                drop(pool);
                drop(bad.expect("a guard"));
                manager.settle_async().await;
                assert_eq!(log.entries(), [what, "pool"]);
            }
            assert_eq!(manager.resource_count(), 0);
        });
    });
}

#[test]
fn what_a_release_sets_free_in_asynchronous_code_is_handed_over() {
    watched(|manager| {
        current_thread().block_on(async {
            let returned = Signal::new();
            let after = returned.clone();
            let pool = manager.guard_async("pool", || async move { after.given().await });
            let server = manager.resource("server").depends_on(&pool).guard(|| ()).expect("a guard");
            drop(pool);
            ResourceGuard::release(server);
            returned.give();
            manager.settle_async().await;
            assert_eq!((manager.stats().cleaned, manager.stats().released), (1, 1));
        });
    });
}
