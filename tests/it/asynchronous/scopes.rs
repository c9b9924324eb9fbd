//! Scopes of asynchronous code: they end however the body ends, and code inside finds their manager.

use castoff::{ResourceGuard, ResourceManager};

use super::*;
use crate::support::panic_of;

fn current_name() -> String {
    // A guard says which manager it is registered with; dropped as one that does nothing.
    let guard = ResourceManager::current().guard("probe", || ());
    let name = ResourceGuard::info(&guard).expect("it is live").manager.to_string();
    ResourceGuard::release(guard);
    name
}

#[test]
fn a_scope_cleans_what_was_forgotten_and_hands_the_result_out() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let runs = Runs::default();
            let counted = runs.clone();
            let (sum, report) = manager
                .scope_async("job", |job| async move {
                    std::mem::forget(job.guard_async("forgotten", move || async move { counted.add() }));
                    tokio::task::yield_now().await;
                    1 + 1
                })
                .await;
            assert_eq!((sum, report.cleaned(), runs.count()), (2, 1, 1), "{name}");
            assert!(report.is_success());
        });
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_body_that_returns_an_error_is_torn_down_and_its_error_handed_out() {
    watched(|manager| {
        current_thread().block_on(async {
            let (result, report) = manager
                .scope_async("job", |job| async move {
                    std::mem::forget(job.guard_async("forgotten", || async {}));
                    "seven".parse::<u8>()?;
                    castoff::done()
                })
                .await;
            assert!(result.is_err());
            assert_eq!(report.cleaned(), 1);
        });
    });
}

#[test]
fn a_body_that_panics_is_torn_down_before_its_panic_goes_on() {
    watched(|manager| {
        for (name, runtime) in runtimes() {
            for polls in [0, 1, 3] {
                let runs = Runs::default();
                let counted = runs.clone();
                let told = panic_of(|| {
                    runtime.block_on(manager.scope_async("job", |job| async move {
                        std::mem::forget(job.guard_async("forgotten", move || async move { counted.add() }));
                        for _ in 0..polls {
                            tokio::task::yield_now().await;
                        }
                        panic!("{ON_PURPOSE}the body's own");
                    }))
                });
                assert!(told.ends_with("the body's own"), "{name}: {told}");
                assert_eq!(runs.count(), 1, "{name}: cleaned by the time that the panic is out");
            }
        }
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_closure_that_panics_before_it_makes_a_body_is_torn_down_too() {
    watched(|manager| {
        let told = panic_of(|| {
            current_thread().block_on(manager.scope_async("job", |job| -> std::future::Ready<()> {
                std::mem::forget(job.guard_async("forgotten", || async {}));
                panic!("{ON_PURPOSE}no body");
            }))
        });
        assert!(told.ends_with("no body"), "{told}");
        assert_only_cleaned(manager, 1, "without a body");
    });
}

#[test]
fn the_current_manager_is_the_scopes_at_each_poll_and_nobody_elses_between() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let before = current_name();
            assert_ne!(before, "job", "{name}");
            let (inside, outside) = (Signal::new(), Signal::new());
            let other = async {
                inside.given().await;
                // The body is pending on this very thread.
                assert_eq!(current_name(), before, "{name}");
                outside.give();
            };
            let scope = manager.scope_async("job", |_| async {
                assert_eq!(current_name(), "job", "{name}, in the first poll");
                inside.give();
                outside.given().await;
                assert_eq!(current_name(), "job", "{name}, after an await");
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                assert_eq!(current_name(), "job", "{name}, after a timer");
            });
            assert!(tokio::join!(scope, other).0.1.is_success());
            assert_eq!(current_name(), before, "{name}");
        });
    });
}

#[test]
fn the_current_manager_goes_with_a_body_that_changes_its_thread() {
    watched(|manager| {
        let (runtime, there) = (multi_thread(2), manager.clone());
        runtime.block_on(async move {
            let moving = tokio::spawn(async move {
                there
                    .scope_async("job", |_| async {
                        for _ in 0..200 {
                            tokio::task::yield_now().await;
                            assert_eq!(current_name(), "job");
                        }
                    })
                    .await
            });
            let others: Vec<_> = (0..4)
                .map(|_| {
                    tokio::spawn(async {
                        for _ in 0..200 {
                            tokio::task::yield_now().await;
                            assert_ne!(current_name(), "job");
                        }
                    })
                })
                .collect();
            assert!(moving.await.expect("no panic").1.is_success());
            for other in others {
                other.await.expect("no panic");
            }
        });
    });
}

#[test]
fn nested_scopes_see_the_innermost_and_then_the_outer_again() {
    watched(|manager| {
        current_thread().block_on(async {
            let (_, report) = manager
                .scope_async("outer", |outer| async move {
                    assert_eq!(current_name(), "outer");
                    let (_, inner) = outer
                        .scope_async("inner", |_| async {
                            tokio::task::yield_now().await;
                            assert_eq!(current_name(), "inner");
                        })
                        .await;
                    assert!(inner.is_success());
                    assert_eq!(current_name(), "outer");
                    let blocking = outer.scope("blocking", |_| current_name());
                    assert_eq!(blocking.0, "blocking");
                    tokio::task::yield_now().await;
                    assert_eq!(current_name(), "outer");
                })
                .await;
            assert!(report.is_success());
        });
    });
}

#[test]
fn two_scopes_joined_in_one_task_each_see_their_own() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let turns = |label: &'static str| {
                manager.scope_async(label, move |own| async move {
                    for _ in 0..20 {
                        assert_eq!(current_name(), label, "{name}");
                        tokio::task::yield_now().await;
                    }
                    std::mem::forget(ResourceManager::current().guard_async(label, || async {}));
                    assert_eq!(own.resource_count(), 1, "{name}");
                })
            };
            let ((_, left), (_, right)) = tokio::join!(turns("left"), turns("right"));
            assert_eq!((left.cleaned(), right.cleaned()), (1, 1), "{name}");
        });
    });
}

#[test]
fn the_current_manager_is_unset_after_a_poll_that_panics() {
    watched(|manager| {
        current_thread().block_on(async {
            let before = current_name();
            let there = manager.clone();
            let panics = tokio::spawn(async move {
                there.scope_async("job", |_| async { panic_quietly() }).await;
            });
            assert!(panics.await.expect_err("it panics").is_panic());
            assert_eq!(current_name(), before);
        });
    });
}

#[test]
fn a_task_that_is_spawned_outside_of_any_scope_is_in_none() {
    watched(|_| {
        let spawned = async { castoff::task::spawn(async { current_name() }).await };
        assert_eq!(current_thread().block_on(spawned).expect("it does not panic"), "global");
    });
}
