//! Runtimes that end while their tasks hold guards: every cleanup runs once.

use std::time::Duration;

use castoff::ResourceManager;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn, spawn_local};

use super::*;
use crate::support::{shortly, until};

/// How a runtime ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Dropped,
    InTheBackground,
}

pub(super) const ENDS: [End; 2] = [End::Dropped, End::InTheBackground];

pub(super) fn end(runtime: Runtime, how: End) {
    match how {
        End::Dropped => drop(runtime),
        End::InTheBackground => runtime.shutdown_background(),
    }
}

/// Ten tasks that hold a guard each, and never end by themselves.
fn hold_in_tasks(manager: &ResourceManager, runtime: &Runtime, runs: &Runs) {
    runtime.block_on(async {
        for task in 0..10 {
            let (there, runs, (held, holds)) = (manager.clone(), runs.clone(), oneshot::channel());
            spawn(async move {
                let _guard = there.guard_async(format!("task {task}"), move || async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    runs.add();
                });
                held.send(()).expect("the test listens");
                std::future::pending::<()>().await;
            });
            holds.await.expect("it holds");
        }
    });
}

fn lose_the_runtime(manager: &ResourceManager, how: End) {
    for (name, runtime) in runtimes() {
        let runs = Runs::default();
        hold_in_tasks(manager, &runtime, &runs);
        end(runtime, how);
        // A runtime that ends in the background drops its tasks when it comes to it.
        until("every guard to have been let go", || manager.cleanup().is_success() && runs.count() == 10);
        assert_eq!(runs.count(), 10, "{name}, {how:?}");
    }
    assert_only_cleaned(manager, 30, "a runtime that ends");
}

#[test]
fn the_tasks_of_a_runtime_that_is_dropped_clean_what_they_hold_once_each() {
    watched(|manager| lose_the_runtime(manager, End::Dropped));
}

#[test]
fn the_tasks_of_a_runtime_shut_down_in_the_background_clean_what_they_hold_once_each() {
    watched(|manager| lose_the_runtime(manager, End::InTheBackground));
}

#[test]
fn a_cleanup_with_a_timer_of_its_own_ends_after_its_runtime_has() {
    // As above, without a teardown that would clean what nobody has dropped.
    watched(|manager| {
        for how in ENDS {
            for (name, runtime) in runtimes() {
                let runs = Runs::default();
                hold_in_tasks(manager, &runtime, &runs);
                end(runtime, how);
                until("the guards of the tasks to go by themselves", || manager.resource_count() == 0);
                assert_eq!(runs.count(), 10, "{name}, {how:?}");
            }
        }
        assert_only_cleaned(manager, 60, "by drops alone");
    });
}

#[test]
fn a_cleanup_that_makes_a_runtime_of_its_own_ends_after_its_runtime_has() {
    watched(|manager| {
        for how in ENDS {
            for (_, runtime) in runtimes() {
                let (there, held) = (manager.clone(), Signal::new());
                let holding = held.clone();
                runtime.spawn(async move {
                    let _guard = there.guard_async("makes a runtime", || async {
                        // On a thread of its own: a runtime may not be dropped in asynchronous code.
                        let own = || {
                            current_thread()
                                .block_on(async { tokio::time::sleep(Duration::from_millis(1)).await })
                        };
                        tokio::task::spawn_blocking(own).await
                    });
                    holding.give();
                    std::future::pending::<()>().await;
                });
                runtime.block_on(held.given());
                end(runtime, how);
                until("the guard of the task to go by itself", || manager.resource_count() == 0);
            }
        }
        assert_only_cleaned(manager, 6, "a runtime of its own");
    });
}

#[test]
fn a_guard_in_a_local_set_that_is_dropped_with_its_runtime_cleans_once() {
    watched(|manager| {
        for (at, (name, runtime)) in runtimes().into_iter().enumerate() {
            let (local, there, held) = (LocalSet::new(), manager.clone(), Signal::new());
            let holding = held.clone();
            local.spawn_local(async move {
                let _guard = there.guard_async("local", || tokio::time::sleep(Duration::from_millis(1)));
                spawn_local(std::future::ready(()));
                holding.give();
                std::future::pending::<()>().await;
            });
            runtime.block_on(local.run_until(held.given()));
            drop(runtime);
            drop(local);
            assert!(manager.cleanup().is_success());
            assert_only_cleaned(manager, at as u64 + 1, name);
        }
    });
}

#[test]
fn a_blocking_task_of_a_runtime_that_ends_cleans_what_it_holds() {
    watched(|manager| {
        for how in ENDS {
            for (_, runtime) in runtimes() {
                let (there, held, ended) = (manager.clone(), Signal::new(), Signal::new());
                let (holding, ending, handle) = (held.clone(), ended.clone(), runtime.handle().clone());
                let sleep = || tokio::time::sleep(Duration::from_millis(1));
                runtime.spawn_blocking(move || {
                    let _here = there.guard_async("in a blocking task", sleep);
                    handle.block_on(async {
                        let _nested = there.guard_async("in a block_on nested there", sleep);
                        holding.give();
                        ending.given().await;
                    });
                });
                runtime.block_on(held.given());
                match how {
                    // That waits for blocking tasks, which end when they are told to.
                    End::Dropped => {
                        let ends = ended.clone();
                        shortly(move || ends.give());
                        drop(runtime);
                    }
                    End::InTheBackground => {
                        runtime.shutdown_background();
                        ended.give();
                    }
                }
                until("the guards to go by themselves", || manager.resource_count() == 0);
            }
        }
        assert_only_cleaned(manager, 12, "in blocking tasks");
    });
}

#[test]
fn what_was_handed_over_survives_the_runtime_that_ends_at_once() {
    watched(|manager| {
        for how in ENDS {
            for (name, runtime) in runtimes() {
                let (runs, ended) = (Runs::default(), Signal::new());
                let (counted, gone) = (runs.clone(), ended.clone());
                runtime.block_on(async {
                    drop(manager.guard_async("handed over", || async move {
                        gone.given().await;
                        counted.add();
                    }));
                });
                end(runtime, how);
                ended.give();
                assert!(manager.cleanup().is_success(), "{name}, {how:?}");
                assert_eq!(runs.count(), 1, "{name}, {how:?}");
            }
        }
    });
}
