//! Blocking calls in asynchronous code: they must not hang. What can run without the blocked runtime does, and what
//! needs it is given up, with that reason.

use std::time::Duration;

use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager, ResourceOutcome, TeardownReport};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{block_in_place, spawn};

use super::*;

const LIMIT_OF_ONE: Duration = Duration::from_millis(50);

/// Fails unless the one that needs the runtime timed out with that reason, and its neighbour did not.
#[track_caller]
fn assert_only_the_needy_timed_out(report: &TeardownReport, name: &str) {
    let outcome =
        |label: &str| report.timeline().iter().find(|entry| entry.label == label).map(|entry| entry.outcome);
    assert_eq!(outcome("needy"), Some(ResourceOutcome::TimedOut), "{name}: {report}");
    assert_eq!(outcome("neighbour"), Some(ResourceOutcome::Cleaned), "{name}: {report}");
    let text = report.to_string();
    assert!(
        text.contains("blocked a thread of an asynchronous runtime") && text.contains("`run_async`"),
        "{text}"
    );
}

/// Runs the body on the one thread that a runtime has for everything: its own, or its only worker.
fn on_the_only_thread<F>(manager: &ResourceManager, body: impl Fn(ResourceManager) -> F)
where
    F: Future<Output = TeardownReport> + Send + 'static,
{
    let report = current_thread().block_on(body(manager.clone()));
    assert_only_the_needy_timed_out(&report, "current_thread");
    let runtime = multi_thread(1);
    let report = runtime.block_on(async { spawn(body(manager.clone())).await }).expect("no panic");
    assert_only_the_needy_timed_out(&report, "one worker");
}

/// Tears down, with a call that blocks, this one and another that needs nothing.
fn tear_down<F>(manager: &ResourceManager, needy: impl FnOnce() -> F + Send + 'static) -> TeardownReport
where
    F: Future<Output = ()> + Send + 'static,
{
    let _needy = manager.resource("needy").timeout(LIMIT_OF_ONE).guard_async(needy);
    let _neighbour = manager.guard_async("neighbour", || tokio::time::sleep(Duration::from_millis(1)));
    manager.cleanup()
}

#[test]
fn a_blocking_teardown_ends_though_a_cleanup_needs_a_task_of_the_blocked_runtime() {
    watched(|manager| {
        on_the_only_thread(manager, |there| async move {
            // It has not run yet, and will not before this thread is free.
            let task = spawn(async {});
            tear_down(&there, move || async move { drop(task.await) })
        });
    });
}

#[test]
fn a_blocking_teardown_ends_though_a_cleanup_needs_a_timer_of_the_blocked_runtime() {
    watched(|manager| {
        on_the_only_thread(manager, |there| async move {
            let timer = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
            tear_down(&there, move || timer)
        });
    });
}

#[test]
fn a_blocking_teardown_ends_though_a_cleanup_needs_a_socket_of_the_blocked_runtime() {
    watched(|manager| {
        on_the_only_thread(manager, |there| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let (accepted, _) = listener.accept().await.expect("the connection");
            let needy = move || async move {
                // There is something to read by then, but who would tell is blocked.
                drop(accepted);
                drop(stream.read(&mut [0]).await);
            };
            tear_down(&there, needy)
        });
    });
}

#[test]
fn the_same_teardown_awaited_lets_the_runtime_do_its_part() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let timer = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
            let _timer = manager.guard_async("timer", move || timer);
            let task = spawn(async {});
            let _task = manager.guard_async("task", move || task);
            let report = manager.teardown().run_async().await;
            assert!(report.is_success(), "{name}: {report}");
        });
    });
}

#[test]
fn a_blocking_teardown_inside_block_in_place_needs_no_other_runtime_thread() {
    watched(|manager| {
        let runtime = multi_thread(1);
        let there = manager.clone();
        runtime.block_on(async move {
            let blocking = spawn(async move {
                let task = spawn(async { tokio::time::sleep(Duration::from_millis(1)).await });
                let _guard = there.guard_async("joins a task", move || task);
                block_in_place(|| there.cleanup())
            });
            let report = blocking.await.expect("no panic");
            assert!(report.is_success(), "the worker was replaced: {report}");
        });
    });
}

#[test]
fn a_blocking_close_in_asynchronous_code_ends_within_the_limit() {
    watched(|manager| {
        for (name, runtime) in runtimes() {
            runtime.block_on(async {
                let fine = manager.guard_async("fine", || tokio::time::sleep(Duration::from_millis(1)));
                assert!(ResourceGuard::close(fine).is_ok(), "{name}");
                let task = spawn(std::future::pending::<()>());
                let needy = move || async move { drop(task.await) };
                let needy = manager.resource("needy").timeout(LIMIT_OF_ONE).guard_async(needy);
                let error = ResourceGuard::close(needy.expect("a guard")).expect_err("it needs the blocked");
                assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)), "{name}: {error}");
            });
        }
    });
}

#[test]
fn a_blocking_scope_in_asynchronous_code_waits_for_what_was_dropped_in_it() {
    watched(|manager| {
        for (name, runtime) in runtimes() {
            runtime.block_on(async {
                let (runs, (_, report)) = {
                    let runs = Runs::default();
                    let counted = runs.clone();
                    let body = move |job: &ResourceManager| {
                        drop(job.guard_async("dropped inside", || async move {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            counted.add();
                        }));
                    };
                    (runs, manager.scope("job", body))
                };
                assert!(report.is_success(), "{name}: {report}");
                assert_eq!(runs.count(), 1, "{name}: it had ended when the scope had");
            });
        }
    });
}

#[test]
fn what_is_given_up_by_a_teardown_that_is_awaited_is_not_put_down_to_one_that_blocks() {
    watched(|manager| {
        current_thread().block_on(async {
            for is_last in [false, true] {
                let stuck = manager.resource("stuck").timeout(LIMIT_OF_ONE);
                let _stuck = stuck.guard_async(std::future::pending::<()>).expect("nothing refuses it");
                let report = if is_last {
                    manager.shutdown_async().await
                } else {
                    manager.teardown().run_async().await
                };
                assert_eq!(report.timed_out(), 1);
                assert!(!report.to_string().contains("blocked a thread"), "{report}");
            }
        });
    });
}
