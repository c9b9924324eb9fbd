//! Calls from inside a cleanup that awaits, and teardowns that meet: nothing waits for itself.

use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager, ResourceState};

use super::*;
use crate::support::{lock, until};

/// Runs `call` inside an asynchronous cleanup of a teardown, and hands out what it returned.
async fn inside_of_a_teardown<F, R>(
    manager: &ResourceManager,
    call: impl FnOnce(ResourceManager) -> F + Send + 'static,
) -> R
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (there, result) = (manager.clone(), Arc::new(Mutex::new(None)));
    let tell = result.clone();
    let _guard = manager.guard_async("asks", move || async move {
        let told = call(there).await;
        lock(&tell).replace(told);
    });
    let report = manager.teardown().run_async().await;
    assert_eq!((report.timed_out(), report.failed()), (0, 0), "{report}");
    let told = lock(&result).take();
    told.expect("the cleanup has ended, and told")
}

#[test]
fn a_teardown_asked_for_inside_is_handed_over_and_done_before_the_running_one_ends() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let runs = Runs::default();
            let counted = runs.clone();
            let handed_over = inside_of_a_teardown(manager, |there| async move {
                // Registered after the running teardown made its choice: only the inner one can reach it.
                std::mem::forget(there.guard_async("new", move || async move { counted.add() }));
                there.teardown().run_async().await.is_handed_over()
            })
            .await;
            assert!(handed_over, "{name}");
            until("the inner one to be done", || runs.count() == 1);
            assert_eq!(manager.resource_count(), 0, "{name}");
        });
    });
}

#[test]
fn a_teardown_asked_for_inside_and_given_up_before_its_turn_does_nothing_and_holds_up_nobody() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            // It has its turn at once where a helper thread is quicker than the first poll: then it is not given up.
            for _ in 0..1_000 {
                let (late, given_up) = inside_of_a_teardown(manager, |there| async move {
                    // Registered too late for the running teardown: only the one that is given up would clean it.
                    let late = there.guard_async("late", || async {});
                    let mut inner = std::pin::pin!(there.teardown().run_async());
                    let polled = inner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    (late, polled.is_pending())
                })
                .await;
                if given_up {
                    assert_eq!(ResourceGuard::state(&late), ResourceState::Live, "{name}");
                }
                drop(late);
                manager.settle_async().await;
                assert_eq!(manager.resource_count(), 0, "{name}");
                if given_up {
                    return;
                }
            }
            panic!("{name}: the helper thread is always quicker");
        });
    });
}

#[test]
fn a_blocking_teardown_inside_is_handed_over_too() {
    watched(|manager| {
        current_thread().block_on(async {
            let report = inside_of_a_teardown(manager, |there| async move { there.cleanup() }).await;
            assert!(report.is_handed_over());
            assert_eq!(report.processed(), 0);
        });
    });
}

#[test]
fn a_shutdown_inside_is_handed_over_and_seals_when_it_is_done() {
    watched(|manager| {
        current_thread().block_on(async {
            let report =
                inside_of_a_teardown(manager, |there| async move { there.shutdown_async().await }).await;
            assert!(report.is_handed_over());
            until("the shutdown", || manager.resource("late").guard(|| ()).is_err());
        });
    });
}

#[test]
fn other_guards_may_be_closed_awaited_and_dropped_inside() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let log = OrderLog::new();
            let guards = ["closed", "awaited", "dropped"].map(|label| {
                // Not of the manager that is torn down: nobody else wants them.
                manager.child("aside").guard_async(label, logged(&log, label))
            });
            let ids = guards.each_ref().map(ResourceGuard::id);
            let asks = manager.guard_async("asks", move || async move {
                let [closed, awaited, dropped] = guards;
                ResourceGuard::close(closed)?;
                ResourceGuard::close_async(awaited).await?;
                drop(dropped);
                castoff::done()
            });
            let report = manager.teardown().exclude(&ids).run_async().await;
            assert!(report.is_success(), "{name}: {report}");
            manager.settle_async().await;
            log.assert_is(&["closed", "awaited", "dropped"]);
            drop(asks);
        });
    });
}

#[test]
fn a_guard_may_be_registered_and_dropped_inside_and_the_teardown_of_all_ends() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let runs = Runs::default();
            let counted = runs.clone();
            inside_of_a_teardown(manager, |there| async move {
                drop(there.guard_async("brief", move || async move { counted.add() }));
            })
            .await;
            manager.settle_async().await;
            assert_eq!((runs.count(), manager.resource_count()), (1, 0), "{name}");
        });
    });
}

#[test]
fn settling_inside_returns() {
    watched(|manager| {
        current_thread().block_on(async {
            // Inside a teardown, and inside what was handed over itself, which settling waits for.
            inside_of_a_teardown(manager, |there| async move { there.settle_async().await }).await;
            let there = manager.clone();
            drop(manager.guard_async("settles", || async move { there.settle_async().await }));
            manager.settle_async().await;
            assert_only_cleaned(manager, 2, "settling inside");
        });
    });
}

#[test]
fn closing_itself_inside_its_own_cleanup_is_ok_at_once() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for blocking in [false, true] {
                let slot = Arc::new(Mutex::new(None::<ResourceGuard<()>>));
                let own = slot.clone();
                let guard = manager.guard_async("itself", move || async move {
                    let guard = lock(&own).take().expect("its own guard");
                    match blocking {
                        true => ResourceGuard::close(guard)?,
                        false => ResourceGuard::close_async(guard).await?,
                    }
                    castoff::done()
                });
                lock(&slot).replace(guard);
                let report = manager.teardown().run_async().await;
                assert_eq!(report.cleaned(), 1, "{name}: {report}");
            }
        });
    });
}

#[test]
fn a_teardown_asked_for_by_a_cleanup_that_a_drop_handed_over_runs_without_it() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (there, told) = (manager.clone(), Arc::new(Mutex::new(None)));
            let tell = told.clone();
            let other = manager.guard("other", || ());
            drop(manager.guard_async("asks", || async move {
                let report = there.teardown().run_async().await;
                lock(&tell).replace((report.is_handed_over(), report.cleaned()));
            }));
            manager.settle_async().await;
            assert_eq!(*lock(&told), Some((false, 1)), "{name}: the other, and not itself");
            drop(other);
        });
    });
}

#[test]
fn the_inside_follows_polls_and_not_the_poller() {
    watched(|manager| {
        current_thread().block_on(async {
            // While this one is pending, its poller runs the other, which is inside of nothing but itself.
            let (begun, end) = (Signal::new(), Signal::new());
            drop(manager.guard_async("pending", begun.then(&end)));
            begun.given().await;
            let (there, child, ended) = (manager.clone(), manager.child("aside"), end.clone());
            drop(child.guard_async("beside", || async move {
                assert!(!there.teardown().tag("none").run_async().await.is_handed_over());
                ended.give();
            }));
            manager.settle_async().await;
            assert_only_cleaned(manager, 2, "side by side");
        });
    });
}

/// Two teardowns, the second asked for while the first runs, and the first let go after a pause. How many the second
/// reports: none, if it had not made its choice by then.
async fn second_of_two(manager: &ResourceManager, pause: Duration) -> usize {
    let (begun, end, runs) = (Signal::new(), Signal::new(), Runs::default());
    let counted = runs.clone();
    let _older = manager.guard_async("older", move || async move { counted.add() });
    let _newer = manager.guard_async("newer", begun.then(&end));
    let ask = || {
        let there = manager.clone();
        tokio::spawn(async move { there.teardown().run_async().await })
    };
    let first = ask();
    begun.given().await;
    let second = ask();
    tokio::time::sleep(pause).await;
    assert!(!second.is_finished(), "it waits its turn");
    end.give();
    let (first, second) = (first.await.expect("no panic"), second.await.expect("no panic"));
    assert_eq!((first.cleaned(), runs.count()), (2, 1));
    second.cleaned()
}

#[test]
fn of_two_teardowns_at_once_the_second_waits_and_its_report_covers_what_the_first_did() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for pause in [5, 50, 500, 2_000] {
                if second_of_two(manager, Duration::from_millis(pause)).await == 2 {
                    return;
                }
            }
            panic!("{name}: it never covered the first");
        });
    });
}

#[test]
fn a_blocking_and_an_awaited_teardown_at_once_clean_each_once() {
    watched(|manager| {
        let runtime = multi_thread(2);
        for _ in 0..50 {
            let runs = Runs::default();
            let guards: Vec<_> = (0..20)
                .map(|n| {
                    let runs = runs.clone();
                    manager.guard_async(n.to_string(), move || async move {
                        tokio::task::yield_now().await;
                        runs.add();
                    })
                })
                .collect();
            let there = manager.clone();
            let blocking = std::thread::spawn(move || there.teardown().concurrency(4).run());
            let awaited = runtime.block_on(manager.teardown().concurrency(4).run_async());
            let blocking = blocking.join().expect("no panic");
            assert!(awaited.is_success() && blocking.is_success());
            drop(guards);
            assert_eq!((runs.count(), manager.resource_count()), (20, 0));
        }
    });
}
