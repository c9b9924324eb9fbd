//! Where cleanups run: nothing blocks what must not be blocked, and what blocks or hangs takes nobody with it.

use std::thread;
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use super::*;
use crate::support::{Hang, Recorder, until};

#[test]
fn a_cleanup_without_await_never_runs_on_a_thread_of_the_callers_runtime() {
    watched(|manager| {
        let callers = Arc::new(std::sync::Mutex::new(Vec::new()));
        for (name, _) in runtimes() {
            let noted = callers.clone();
            let runtime = match name {
                "current_thread" => current_thread(),
                _ => tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .on_thread_start(move || noted.lock().expect("no panic").push(thread::current().id()))
                    .build()
                    .expect("a runtime"),
            };
            callers.lock().expect("no panic").push(thread::current().id());
            runtime.block_on(async {
                let ran_on = Arc::new(std::sync::Mutex::new(Vec::new()));
                let noting = || {
                    let ran_on = ran_on.clone();
                    move || ran_on.lock().expect("no panic").push(thread::current().id())
                };
                let closed = manager.guard("closed", noting());
                assert!(ResourceGuard::close_async(closed).await.is_ok());
                let _guards: Vec<_> = (0..8).map(|n| manager.guard(n.to_string(), noting())).collect();
                assert!(manager.teardown().concurrency(3).run_async().await.is_success());
                let ran_on = ran_on.lock().expect("no panic");
                assert_eq!(ran_on.len(), 9);
                let callers = callers.lock().expect("no panic");
                assert!(ran_on.iter().all(|thread| !callers.contains(thread)), "{name}");
            });
        }
    });
}

#[test]
fn a_teardown_that_is_awaited_leaves_its_thread_to_other_tasks() {
    watched(|manager| {
        current_thread().block_on(async {
            // The cleanup waits for the task, and the task runs on the only thread there is.
            let (hang, progress) = (Hang::new(), Signal::new());
            let _blocking = manager.guard("blocking", hang.cleanup());
            let (begun, waits) = (Signal::new(), progress.clone());
            let cleanup = begun.then(&waits);
            let _awaiting = manager.guard_async("awaiting", cleanup);
            let other = tokio::spawn(async move {
                begun.given().await;
                progress.give();
                while !hang.has_started() {
                    tokio::task::yield_now().await;
                }
                hang.release();
            });
            assert!(manager.teardown().run_async().await.is_success());
            other.await.expect("no panic");
        });
    });
}

/// Parks its thread for ever, until the test lets it go.
fn park(end: &Signal, parked: &Signal) -> impl FnOnce() -> Logging + Send + 'static + use<> {
    let (end, parked) = (end.clone(), parked.clone());
    move || {
        Box::pin(async move {
            parked.give();
            while !end.is_given() {
                thread::park_timeout(Duration::from_millis(5));
            }
        })
    }
}

#[test]
fn a_cleanup_that_blocks_its_thread_for_ever_takes_nobody_with_it() {
    watched(|manager| {
        let (end, parked) = (Signal::new(), Signal::new());
        current_thread().block_on(async {
            let limit = Duration::from_millis(200);
            let stuck = manager.resource("stuck").timeout(limit).guard_async(park(&end, &parked));
            drop(stuck.expect("a guard"));
            parked.given().await;
            // Others run while it is stuck: dropped, closed, torn down, with timers of their own.
            let sleep = || tokio::time::sleep(Duration::from_millis(1));
            (0..10).for_each(|n| drop(manager.guard_async(n.to_string(), sleep)));
            assert!(ResourceGuard::close_async(manager.guard_async("closed", sleep)).await.is_ok());
            let _guards: Vec<_> = (0..10).map(|n| manager.guard_async(n.to_string(), sleep)).collect();
            assert_eq!(manager.teardown().concurrency(10).run_async().await.timed_out(), 1, "the stuck one");
            manager.settle_async().await;
            let stats = manager.stats();
            assert_eq!((stats.cleaned, stats.timed_out, stats.live), (21, 1, 0));
        });
        assert!(!end.is_given());
        drop(manager.guard_async("later, and it is still stuck", || async {}));
        assert_eq!(manager.stats().cleaned, 22);
        end.give();
    });
}

#[test]
fn three_that_block_their_threads_take_nobody_with_them() {
    watched(|manager| {
        let end = Signal::new();
        current_thread().block_on(async {
            let limit = Duration::from_millis(300);
            for n in 0..3 {
                let parked = Signal::new();
                let stuck = manager.resource(n.to_string()).timeout(limit).guard_async(park(&end, &parked));
                drop(stuck.expect("a guard"));
                parked.given().await;
            }
            let guard = manager.guard_async("fourth", || tokio::time::sleep(Duration::from_millis(1)));
            assert!(ResourceGuard::close_async(guard).await.is_ok());
            manager.settle_async().await;
            assert_eq!((manager.stats().cleaned, manager.stats().timed_out), (1, 3));
        });
        end.give();
    });
}

#[test]
fn one_hang_among_a_hundred_at_once_is_the_only_one_that_times_out() {
    watched(|manager: &ResourceManager| {
        on_each_runtime(|name| async move {
            let runs = Runs::default();
            let guards: Vec<_> = (0..100)
                .map(|n| {
                    let runs = runs.clone();
                    let registration = manager.resource(n.to_string());
                    match n {
                        50 => registration
                            .timeout(Duration::from_millis(50))
                            .guard_async(std::future::pending::<()>),
                        _ => registration.guard_async(move || async move { runs.add() }),
                    }
                })
                .collect();
            let report = manager.teardown().concurrency(100).run_async().await;
            assert_eq!((report.cleaned(), report.timed_out()), (99, 1), "{name}: {report}");
            assert_eq!(runs.count(), 99, "{name}");
            drop(guards);
        });
    });
}

#[test]
fn a_cleanup_that_spins_without_ever_being_ready_holds_up_nobody() {
    watched(|manager| {
        current_thread().block_on(async {
            let spinning = || async {
                loop {
                    tokio::task::yield_now().await;
                }
            };
            let limit = Duration::from_millis(100);
            let spins = manager.resource("spins").timeout(limit).guard_async::<_, _>(move || async move {
                let () = spinning().await;
            });
            drop(spins.expect("a guard"));
            let guard = manager.guard_async("beside", || tokio::time::sleep(Duration::from_millis(1)));
            assert!(ResourceGuard::close_async(guard).await.is_ok());
            manager.settle_async().await;
            assert_eq!(manager.stats().timed_out, 1);
        });
    });
}

#[test]
fn the_events_of_a_handed_over_cleanup_are_told_once_and_in_order() {
    watched(|manager| {
        let heard = Recorder::on(manager);
        current_thread().block_on(async {
            drop(manager.guard_async("fine", || async {}));
            drop(manager.guard_async("failing", || async { Err("no") }));
            manager.settle_async().await;
        });
        until("both ends", || heard.words().len() == 4);
        assert_eq!(heard.of("fine"), ["registered", "cleaned"]);
        assert_eq!(heard.of("failing"), ["registered", "failed"]);
    });
}
