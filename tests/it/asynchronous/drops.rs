//! Drops in asynchronous code: they return at once, whatever the runtime, and the cleanup runs once.
//!
//! That a drop returned is never told by time: its cleanup waits for something that happens only afterwards.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};
use tokio::runtime::Handle;
use tokio::task::{LocalSet, block_in_place, spawn, spawn_blocking, spawn_local};

use super::*;
use crate::support::{Gate, panic_of};

/// Drops in `block_on` itself, then in a task of this runtime.
fn drop_here_and_in_a_task(manager: &ResourceManager, runtime: &Runtime, what: &str) {
    runtime.block_on(async {
        drop_and_see_it_return(manager);
        manager.settle_async().await;
        assert_only_cleaned(manager, 1, &format!("{what}, in block_on"));
        let there = manager.clone();
        spawn(async move { drop_and_see_it_return(&there) }).await.expect("the drop does not panic");
        manager.settle_async().await;
        assert_only_cleaned(manager, 2, &format!("{what}, in a task"));
    });
}

#[test]
fn a_drop_in_a_current_thread_runtime_returns_at_once_and_cleans() {
    watched(|manager| drop_here_and_in_a_task(manager, &current_thread(), "current_thread"));
}

#[test]
fn a_drop_in_a_multi_thread_runtime_with_one_worker_returns_at_once_and_cleans() {
    watched(|manager| drop_here_and_in_a_task(manager, &multi_thread(1), "one worker"));
}

#[test]
fn a_drop_in_a_multi_thread_runtime_with_two_workers_returns_at_once_and_cleans() {
    watched(|manager| drop_here_and_in_a_task(manager, &multi_thread(2), "two workers"));
}

#[test]
fn a_drop_in_a_local_set_returns_at_once_and_cleans_on_both_flavours() {
    watched(|manager| {
        for (at, (name, runtime)) in runtimes().into_iter().enumerate() {
            let (local, there) = (LocalSet::new(), manager.clone());
            runtime.block_on(local.run_until(async {
                drop_and_see_it_return(manager);
                let task = spawn_local(async move { drop_and_see_it_return(&there) });
                task.await.expect("the drop does not panic");
                manager.settle_async().await;
            }));
            assert_only_cleaned(manager, 2 * (at as u64 + 1), name);
        }
    });
}

#[test]
fn a_drop_in_a_blocking_task_returns_at_once_and_cleans() {
    watched(|manager| {
        for (at, (name, runtime)) in runtimes().into_iter().enumerate() {
            let there = manager.clone();
            runtime.block_on(async {
                let task = spawn_blocking(move || drop_and_see_it_return(&there));
                task.await.expect("the drop does not panic");
                manager.settle_async().await;
            });
            assert_only_cleaned(manager, at as u64 + 1, name);
        }
    });
}

#[test]
fn a_drop_in_a_block_on_nested_in_a_blocking_task_returns_at_once_and_cleans() {
    watched(|manager| {
        for (at, (name, runtime)) in runtimes().into_iter().enumerate() {
            let there = manager.clone();
            runtime.block_on(async {
                let nested = move || Handle::current().block_on(async { drop_and_see_it_return(&there) });
                spawn_blocking(nested).await.expect("the drop does not panic");
                manager.settle_async().await;
            });
            assert_only_cleaned(manager, at as u64 + 1, name);
        }
    });
}

#[test]
fn a_drop_on_a_thread_that_has_merely_entered_a_runtime_returns_at_once() {
    watched(|manager| {
        let runtime = current_thread();
        let entered = runtime.enter();
        drop_and_see_it_return(manager);
        drop(entered);
        runtime.block_on(manager.settle_async());
        assert_only_cleaned(manager, 1, "entered");
    });
}

#[test]
fn a_drop_inside_block_in_place_returns_at_once_and_cleans() {
    watched(|manager| {
        for workers in [1, 2] {
            let (runtime, there) = (multi_thread(workers), manager.clone());
            runtime.block_on(async {
                block_in_place(|| drop_and_see_it_return(manager));
                let task = spawn(async move { block_in_place(|| drop_and_see_it_return(&there)) });
                task.await.expect("the drop does not panic");
                manager.settle_async().await;
            });
            assert_only_cleaned(manager, 2 * workers as u64, &format!("{workers} workers"));
        }
    });
}

#[test]
fn a_cleanup_that_sleeps_ends_though_its_drop_was_on_a_runtime_that_turns_no_more() {
    watched(|manager| {
        for (at, (name, runtime)) in runtimes().into_iter().enumerate() {
            runtime.block_on(async {
                drop(manager.guard_async("sleeper", || tokio::time::sleep(Duration::from_millis(1))));
            });
            // Nobody turns the ambient runtime: a timer of it would never fire.
            assert!(manager.cleanup().is_success(), "{name}");
            assert_only_cleaned(manager, at as u64 + 1, name);
            drop(runtime);
        }
    });
}

#[test]
fn a_cleanup_may_make_and_drop_a_runtime_of_its_own_on_a_thread_of_its_own() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let made = || async {
                let own = spawn_blocking(|| current_thread().block_on(async { 7 }));
                assert_eq!(own.await?, 7);
                castoff::done()
            };
            assert!(ResourceGuard::close_async(manager.guard_async(name, made)).await.is_ok(), "{name}");
        });
        assert_only_cleaned(manager, 3, "a runtime of its own");
    });
}

#[test]
fn a_guard_dropped_by_a_panic_in_asynchronous_code_cleans_once_and_the_panic_goes_on() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (ran, there) = (Runs::default(), manager.clone());
            let counted = ran.clone();
            let task = spawn(async move {
                let _guard = there.guard_async("session", || async move { counted.add() });
                tokio::task::yield_now().await;
                panic_quietly();
            });
            assert!(task.await.expect_err("it panics").is_panic(), "{name}");
            manager.settle_async().await;
            assert_eq!(ran.count(), 1, "{name}");
        });
        assert_only_cleaned(manager, 3, "by a panic");
    });
}

#[test]
fn a_panic_in_block_on_itself_is_not_replaced_by_what_its_guards_do() {
    watched(|manager| {
        for (name, runtime) in runtimes() {
            let told = panic_of(|| {
                runtime.block_on(async {
                    let _guard = manager.guard_async("session", || async { panic_quietly() });
                    panic!("{ON_PURPOSE}the body's own");
                })
            });
            assert!(told.ends_with("the body's own"), "{name}: {told}");
        }
        assert_eq!(manager.cleanup().skipped().len(), 0, "it waits for those that have not ended");
        assert_eq!((manager.stats().failed, manager.resource_count()), (3, 0));
    });
}

#[test]
fn a_task_that_is_aborted_cleans_what_it_held() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (there, held) = (manager.clone(), Signal::new());
            let holding = held.clone();
            let task = spawn(async move {
                let _guard = there.guard_async("session", || async {});
                holding.give();
                std::future::pending::<()>().await;
            });
            held.given().await;
            task.abort();
            assert!(task.await.expect_err("it was aborted").is_cancelled(), "{name}");
            manager.settle_async().await;
        });
        assert_only_cleaned(manager, 3, "aborted");
    });
}

#[test]
fn the_future_is_made_on_a_thread_of_castoffs_own() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let here = std::thread::current().id();
            let there = move || async move {
                assert_ne!(std::thread::current().id(), here);
                castoff::done()
            };
            let factory_too = move || {
                assert_ne!(std::thread::current().id(), here);
                there()
            };
            assert!(ResourceGuard::close_async(manager.guard_async(name, factory_too)).await.is_ok());
        });
    });
}

#[test]
fn a_guard_that_is_dropped_by_a_plain_thread_of_the_program_waits_though_a_runtime_runs_elsewhere() {
    watched(|manager| {
        let (there, gate) = (manager.clone(), Gate::new("the drop to return"));
        let returned = gate.clone();
        multi_thread(1).block_on(async move {
            std::thread::spawn(move || {
                drop(there.guard_async("session", tokio::task::yield_now));
                let ended = there.stats().cleaned;
                returned.open();
                assert_eq!(ended, 1, "it had ended when the drop returned");
            })
            .join()
            .expect("no panic");
        });
        gate.wait();
    });
}
