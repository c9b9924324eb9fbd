//! Teardowns whose future is dropped half-way: what ran goes on and is told once, what had not started is still live, and the
//! manager is free at once.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager, ResourceState};

use super::*;
use crate::support::{DropCounter, Hang, Recorder, until};

/// Polls once: what is asked for has been asked for then.
pub(super) fn poll_once(future: std::pin::Pin<&mut impl Future>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A manager with a newer resource, whose cleanup runs until it is let go, and an older one behind it.
struct Two {
    log: OrderLog,
    begun: Signal,
    end: Signal,
    older: ResourceGuard<()>,
    newer: ResourceGuard<()>,
}

fn two(manager: &ResourceManager) -> Two {
    let (log, begun, end) = (OrderLog::new(), Signal::new(), Signal::new());
    let older = manager.guard_async("older", logged(&log, "older"));
    let (cleanup, run) = (begun.then(&end), log.cleanup("newer"));
    let newer = manager.guard_async("newer", move || async move {
        cleanup().await;
        run();
    });
    Two { log, begun, end, older, newer }
}

/// After the cancellation: the newer one runs on, the older one is live, and the manager is free.
async fn assert_cancelled_cleanly(manager: &ResourceManager, heard: &Recorder, two: Two) {
    assert_eq!(ResourceGuard::state(&two.newer), ResourceState::Cleaning);
    assert_eq!(ResourceGuard::state(&two.older), ResourceState::Live);
    let other = manager.guard("another", || ());
    let report = manager.teardown().ids(&[(&other).into()]).run_async().await;
    assert_eq!(report.cleaned(), 1, "free at once, while the first's cleanup still runs: {report}");
    assert_eq!(ResourceGuard::state(&two.newer), ResourceState::Cleaning);
    two.end.give();
    until("the end of what ran", || ResourceGuard::state(&two.newer) == ResourceState::Cleaned);
    two.log.assert_is(&["newer"]);
    assert_eq!(ResourceGuard::state(&two.older), ResourceState::Live, "nobody asks for it any more");
    let report = manager.teardown().run_async().await;
    assert_eq!(report.cleaned(), 1, "{report}");
    two.log.assert_is(&["newer", "older"]);
    drop((two.older, two.newer));
    heard.wait_for("cleaned newer");
    let told = |label: &str| heard.of(label).into_iter().filter(|word| *word != "registered").count();
    assert_eq!((told("newer"), told("older")), (1, 1), "{:?}", heard.words());
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn what_is_dropped_before_its_first_poll_has_done_nothing() {
    watched(|manager| {
        current_thread().block_on(async {
            let guard = manager.guard_async("session", || async {});
            drop(manager.teardown().run_async());
            drop(manager.shutdown_async());
            drop(manager.settle_async());
            drop(manager.scope_async("job", |_| async { panic!("it is not even made") }));
            assert_eq!(ResourceGuard::state(&guard), ResourceState::Live);
            assert!(manager.resource("not sealed").guard(|| ()).is_ok());
            let returned = Signal::new();
            let after = returned.clone();
            // This one drops the guard, and the drop hands over.
            drop(ResourceGuard::close_async(
                manager.guard_async("closed", || async move { after.given().await }),
            ));
            returned.give();
            manager.settle_async().await;
            assert_eq!(manager.stats().cleaned, 2, "of the builder's guard and of the closed one");
            drop(guard);
            manager.settle_async().await;
        });
    });
}

#[test]
fn a_teardown_dropped_by_select_while_a_cleanup_runs_leaves_the_manager_free() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let heard = Recorder::on(manager);
            let two = two(manager);
            tokio::select! {
                biased;
                () = two.begun.given() => {}
                report = manager.teardown().run_async() => panic!("{name}: it can't have ended: {report}"),
            }
            assert_cancelled_cleanly(manager, &heard, two).await;
        });
    });
}

#[test]
fn a_teardown_whose_task_is_aborted_leaves_the_manager_free() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let heard = Recorder::on(manager);
            let two = two(manager);
            let there = manager.clone();
            let task = tokio::spawn(async move { there.teardown().run_async().await });
            two.begun.given().await;
            task.abort();
            assert!(task.await.expect_err("aborted").is_cancelled(), "{name}");
            assert_cancelled_cleanly(manager, &heard, two).await;
        });
    });
}

#[test]
fn a_shutdown_dropped_while_a_cleanup_runs_leaves_the_manager_free_and_unsealed() {
    watched(|manager| {
        current_thread().block_on(async {
            let heard = Recorder::on(manager);
            let two = two(manager);
            tokio::select! {
                biased;
                () = two.begun.given() => {}
                _ = manager.shutdown_async() => panic!("it can't have ended"),
            }
            assert!(manager.resource("not sealed").guard(|| ()).is_ok());
            assert_cancelled_cleanly(manager, &heard, two).await;
        });
    });
}

#[test]
fn a_teardown_dropped_while_it_waits_for_anothers_turn_does_nothing() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let heard = Recorder::on(manager);
            let two = two(manager);
            let there = manager.clone();
            let first = tokio::spawn(async move { there.teardown().run_async().await });
            two.begun.given().await;
            let late = manager.guard_async("late", || async {});
            {
                let mut second = pin!(manager.teardown().run_async());
                poll_once(second.as_mut());
            }
            two.end.give();
            assert_eq!(first.await.expect("no panic").cleaned(), 2, "{name}");
            let finished = || heard.words().iter().filter(|word| *word == "teardown finished test").count();
            until("the second to have had its turn", || finished() == 2);
            assert_eq!(ResourceGuard::state(&late), ResourceState::Live, "{name}");
            assert_eq!(manager.teardown().run_async().await.cleaned(), 1, "{name}: and nobody is in the way");
            drop((two, late));
        });
    });
}

#[test]
fn a_cleanup_without_await_goes_on_when_its_teardown_is_dropped() {
    watched(|manager| {
        current_thread().block_on(async {
            let (hang, older) = (Hang::new(), Runs::default());
            let counted = older.clone();
            let _older = manager.guard("older", move || counted.add());
            let newer = manager.guard("newer", hang.cleanup());
            {
                let mut teardown = pin!(manager.teardown().run_async());
                poll_once(teardown.as_mut());
                hang.wait_started();
            }
            let other = manager.guard("another", || ());
            let report = manager.teardown().ids(&[(&other).into()]).run_async().await;
            assert_eq!(report.cleaned(), 1);
            hang.release();
            until("the end of what ran", || ResourceGuard::state(&newer) == ResourceState::Cleaned);
            assert_eq!(older.count(), 0);
        });
    });
}

#[test]
fn what_goes_on_after_a_cancelled_teardown_keeps_its_timeout_and_its_last_resort() {
    watched(|manager| {
        current_thread().block_on(async {
            let (heard, forced, drops) = (Recorder::on(manager), Runs::default(), DropCounter::new());
            let (force, value, begun) = (forced.clone(), drops.value(), Signal::new());
            let beginning = begun.clone();
            let hangs = manager.resource("hangs").timeout(Duration::from_millis(50));
            let guard = hangs.last_resort(move || force.add()).guard_async(move || async move {
                let _held = value;
                beginning.give();
                std::future::pending::<()>().await;
            });
            tokio::select! {
                biased;
                () = begun.given() => {}
                _ = manager.teardown().run_async() => panic!("it can't have ended"),
            }
            heard.wait_for("failed hangs");
            assert_eq!((forced.count(), manager.stats().timed_out), (1, 1));
            until("the future to be dropped", || drops.dropped() == 1);
            drop(guard);
            assert_eq!(heard.of("hangs"), ["registered", "failed"]);
        });
    });
}

#[test]
fn a_concurrent_teardown_that_is_dropped_lets_all_that_ran_end_once() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (end, running, runs) = (Signal::new(), Arc::new(AtomicUsize::new(0)), Runs::default());
            let guards: Vec<_> = (0..50)
                .map(|n| {
                    let (end, running, runs) = (end.clone(), running.clone(), runs.clone());
                    manager.guard_async(n.to_string(), move || async move {
                        running.fetch_add(1, SeqCst);
                        end.given().await;
                        runs.add();
                    })
                })
                .collect();
            {
                let mut teardown = pin!(manager.teardown().concurrency(20).run_async());
                poll_once(teardown.as_mut());
                until("twenty to run", || running.load(SeqCst) == 20);
            }
            // At once: not one more may start in the place of one that ends.
            end.give();
            let live = |guard: &&ResourceGuard<()>| ResourceGuard::state(guard) == ResourceState::Live;
            let cleaning = |info: &castoff::ResourceInfo| info.state == ResourceState::Cleaning;
            until("these to end", || !manager.resources().iter().any(cleaning));
            assert_eq!((runs.count(), manager.resource_count()), (20, 30), "{name}");
            assert_eq!(guards.iter().filter(live).count(), 30, "{name}");
            drop(guards);
            manager.settle_async().await;
            assert_eq!(runs.count(), 50, "{name}");
        });
        assert_only_cleaned(manager, 150, "cancelled, then dropped");
    });
}
