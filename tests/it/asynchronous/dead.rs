//! Cleanups that need a runtime that has ended: reported as failed, with that reason, and nothing hangs.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn;

use super::dying::{ENDS, end};
use super::*;

/// What tokio says of a runtime that is gone: its own words, and ours to pass on.
const SHUT_DOWN: &str = "is being shutdown";

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
            // A runtime that ends in the background may answer until its tasks have been dropped.
            server.closed().await;
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
