//! Runtimes that end while their tasks hold guards: every cleanup runs once, and what needs the dead runtime is
//! reported as failed, with that reason.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn, spawn_local};

use super::*;
use crate::support::until;

/// What tokio says of a runtime that is gone: its own words, and ours to pass on.
const SHUT_DOWN: &str = "is being shutdown";

/// How a runtime ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Dropped,
    InTheBackground,
}

const ENDS: [End; 2] = [End::Dropped, End::InTheBackground];

fn end(runtime: Runtime, how: End) {
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
                        crate::support::shortly(move || ends.give());
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

/// Closes a guard whose cleanup needs a runtime that has ended, and tells why it failed.
fn reason_of<C, F, T, E>(
    manager: &ResourceManager,
    carry: C,
    cleanup: impl Fn(T) -> F + Copy + Send + 'static,
) -> Vec<String>
where
    C: AsyncFn() -> T,
    T: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut reasons = Vec::new();
    for how in ENDS {
        for (_, runtime) in runtimes() {
            let carried = runtime.block_on(carry());
            end(runtime, how);
            let guard = manager.guard_async("needs a dead runtime", move || cleanup(carried));
            let error = ResourceGuard::close(guard).expect_err("its runtime is gone");
            reasons.push(message_of(&error.kind));
        }
    }
    assert_eq!((manager.stats().failed, manager.resource_count()), (6, 0));
    reasons
}

#[test]
fn a_cleanup_that_uses_a_socket_of_the_dead_runtime_fails_and_says_so() {
    watched(|manager| {
        let connect = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            (TcpStream::connect(address).await.expect("a connection"), listener)
        };
        // Reading waits for the poller that is gone; writing into an empty buffer would not have to.
        let read = |(mut stream, listener): (TcpStream, TcpListener)| async move {
            let _open = listener;
            stream.flush().await?;
            stream.readable().await
        };
        for reason in reason_of(manager, connect, read) {
            assert!(reason.contains(SHUT_DOWN), "{reason}");
        }
    });
}

#[test]
fn a_cleanup_that_uses_a_timer_of_the_dead_runtime_fails_and_says_so() {
    watched(|manager| {
        let start = async || Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
        let sleep = |timer: std::pin::Pin<Box<tokio::time::Sleep>>| async move {
            timer.await;
            castoff::done()
        };
        for reason in reason_of(manager, start, sleep) {
            assert!(reason.contains("shutdown"), "{reason}");
        }
    });
}

#[test]
fn a_cleanup_that_joins_a_task_of_the_dead_runtime_fails_and_says_so() {
    watched(|manager| {
        let start = async || spawn(std::future::pending::<()>());
        let join = |task: tokio::task::JoinHandle<()>| task;
        for reason in reason_of(manager, start, join) {
            assert!(reason.contains("cancelled"), "{reason}");
        }
    });
}

#[test]
fn a_cleanup_that_asks_a_task_of_the_dead_runtime_fails_and_says_so() {
    watched(|manager| {
        let serve = async || {
            let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
            spawn(async move {
                while let Some(answer) = asked.recv().await {
                    answer.send(()).ok();
                }
            });
            ask
        };
        let ask = |server: mpsc::Sender<oneshot::Sender<()>>| async move {
            let (answer, answered) = oneshot::channel();
            server.send(answer).await?;
            answered.await?;
            castoff::done()
        };
        for reason in reason_of(manager, serve, ask) {
            assert!(reason.contains("closed"), "{reason}");
        }
    });
}

#[test]
fn blocking_on_the_handle_of_a_dead_runtime_is_a_panic_that_is_reported() {
    watched(|manager| {
        let handle = async || Handle::current();
        let block = |handle: Handle| async move {
            // A thread of its own: blocking inside of a future is another mistake.
            let hour = async { tokio::time::sleep(Duration::from_secs(3600)).await };
            let blocking = move || handle.block_on(hour);
            tokio::task::spawn_blocking(blocking).await
        };
        for reason in reason_of(manager, handle, block) {
            assert!(reason.contains(SHUT_DOWN), "{reason}");
        }
    });
}

#[test]
fn a_task_spawned_on_the_handle_of_a_dead_runtime_is_a_failure_that_is_reported() {
    watched(|manager| {
        let handle = async || Handle::current();
        let spawn_there = |handle: Handle| handle.spawn(std::future::pending::<()>());
        for reason in reason_of(manager, handle, spawn_there) {
            assert!(reason.contains("cancelled"), "{reason}");
        }
    });
}

#[test]
fn a_teardown_of_what_needs_a_dead_runtime_names_each_and_runs_their_last_resorts() {
    watched(|manager| {
        for how in ENDS {
            let (runtime, forced) = (multi_thread(1), Runs::default());
            let entered = runtime.enter();
            let timer = Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
            drop(entered);
            end(runtime, how);
            let force = forced.clone();
            let _guard = manager
                .resource("orphan")
                .last_resort(move || force.add())
                .guard_async(move || timer)
                .expect("a guard");
            let report = manager.cleanup();
            assert_eq!((report.failed(), forced.count()), (1, 1), "{how:?}");
            assert!(report.to_string().contains("shutdown"), "{report}");
        }
    });
}
