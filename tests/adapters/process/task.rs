//! Tasks on a runtime of their own: asked, aborted, awaited.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use castoff::adapters::Task;
use castoff::{CleanupErrorKind, ResourceGuard};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

pub(super) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The task holds the other half of `task`, and ends when it is told to quit.
pub(super) struct Seen {
    pub(super) task: Arc<()>,
    pub(super) quit: Arc<Notify>,
    pub(super) let_go: Option<Sender<()>>,
    pub(super) runtime: Runtime,
}

impl Seen {
    pub(super) fn new() -> Seen {
        Seen { task: Arc::default(), quit: Arc::default(), let_go: None, runtime: runtime() }
    }

    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.task) == 1
    }

    /// What a task does that listens.
    pub(super) fn work(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let (alive, quit) = (Arc::clone(&self.task), Arc::clone(&self.quit));
        async move {
            let _alive = alive;
            tokio::select! {
                () = stop.cancelled() => {}
                () = quit.notified() => {}
            }
        }
    }

    /// What a task does that neither listens nor awaits.
    pub(super) fn hang(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (let_go, held) = mpsc::channel::<()>();
        self.let_go = Some(let_go);
        let alive = Arc::clone(&self.task);
        async move {
            let _alive = alive;
            held.recv().ok();
        }
    }

    pub(super) fn let_go(mut self) {
        assert!(!self.is_over(), "what never awaits can't be aborted");
        drop(self.let_go.take());
        until("the task to end", || self.is_over());
    }
}

struct Heartbeat;

impl Case for Heartbeat {
    type Adopted = Task;
    type Witness = Seen;

    fn make() -> (Task, Seen) {
        let seen = Seen::new();
        let entered = seen.runtime.enter();
        let task = Task::spawn("heartbeat", |stop| seen.work(stop));
        drop(entered);
        (task, seen)
    }

    fn is_over(seen: &Seen) -> bool {
        seen.is_over()
    }

    fn end_first(task: &mut Task, seen: &Seen) {
        seen.quit.notify_one();
        until("the task to end", || task.is_finished());
    }
}

impl Hangs for Heartbeat {
    fn make_hanging() -> (Task, Seen) {
        let mut seen = Seen::new();
        let hang = seen.hang();
        let (tell, told) = mpsc::channel();
        let handle = seen.runtime.spawn(async move {
            tell.send(()).unwrap();
            hang.await;
        });
        told.recv().unwrap();
        (handle.into(), seen)
    }

    fn after(seen: Seen) {
        seen.let_go();
    }
}

contract!(Heartbeat);

/// One that can't be asked.
mod plain {
    use super::*;

    struct Plain;

    impl Case for Plain {
        type Adopted = Task<u32>;
        type Witness = Seen;

        fn make() -> (Task<u32>, Seen) {
            let seen = Seen::new();
            let work = seen.work(CancellationToken::new());
            let handle = seen.runtime.spawn(async {
                work.await;
                7
            });
            (handle.into(), seen)
        }

        fn is_over(seen: &Seen) -> bool {
            seen.is_over()
        }

        fn end_first(task: &mut Task<u32>, seen: &Seen) {
            seen.quit.notify_one();
            until("the task to end", || task.is_finished());
        }
    }

    contract!(Plain, never hangs);
}

#[test]
fn one_that_does_not_listen_is_aborted_and_the_error_says_so() {
    alone(|| {
        let seen = Seen::new();
        let (alive, entered) = (Arc::clone(&seen.task), seen.runtime.enter());
        let deaf = Task::<()>::spawn("heartbeat", |_| async move {
            let _alive = alive;
            std::future::pending().await
        });
        drop(entered);
        let guard = manager().adopt(deaf.grace(Duration::from_millis(50)));
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(
            error.contains("1 of `heartbeat` had not ended 50.0ms after the token was cancelled"),
            "{error}"
        );
        assert!(seen.is_over());
    });
}

#[test]
fn one_that_panicked_is_an_error_with_its_message() {
    alone(|| {
        let runtime = runtime();
        let task: Task = runtime.spawn(async { panic!("no such order") }).into();
        // One that has not begun would be aborted before it can.
        until("the panic", || task.is_finished());
        let error = ResourceGuard::close(manager().adopt(task)).unwrap_err();
        let CleanupErrorKind::Failed(cause) = error.kind else { panic!("it returned it") };
        let source = std::error::Error::source(&*cause).unwrap().to_string();
        assert!(source.contains("no such order"), "{source}");
    });
}

#[test]
fn one_whose_runtime_is_gone_is_gone_with_it() {
    alone(|| {
        let (task, seen) = Heartbeat::make();
        let Seen { task: alive, runtime, .. } = seen;
        drop(runtime);
        ResourceGuard::close(manager().adopt(task)).unwrap();
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn its_cleanup_can_be_awaited_on_the_runtime_that_has_nothing_but_the_task() {
    alone(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let task = Task::spawn("heartbeat", |stop| async move { stop.cancelled().await });
            let manager = manager();
            let guard = manager.adopt(task);
            assert!(manager.shutdown_async().await.is_success());
            assert!(guard.is_finished());
        });
    });
}

#[test]
fn dropped_in_asynchronous_code_it_is_handed_over() {
    alone(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let manager = manager();
            drop(manager.adopt(Task::spawn("heartbeat", |stop| async move { stop.cancelled().await })));
            assert_eq!(manager.resource_count(), 1, "a drop does not wait");
            manager.settle_async().await;
            assert_eq!((manager.resource_count(), manager.stats().cleaned), (0, 1));
        });
    });
}

#[test]
fn one_that_was_started_elsewhere_is_asked_by_the_token_that_it_looks_at() {
    alone(|| {
        let (seen, stop) = (Seen::new(), CancellationToken::new());
        let handle = seen.runtime.spawn(seen.work(stop.clone()));
        let guard = manager().adopt(Task::new("heartbeat", handle, stop.clone()));
        assert_eq!(ResourceGuard::info(&guard).unwrap().label, "heartbeat");
        assert!(!stop.is_cancelled() && !guard.is_finished());
        ResourceGuard::close(guard).unwrap();
        assert!(stop.is_cancelled() && seen.is_over());
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_has_ended() {
    alone(|| {
        let (task, _seen) = Heartbeat::make();
        assert_eq!(
            printed(task),
            [
                "Task { label: Label(\"heartbeat\"), is_finished: false, .. }",
                "Task { label: Label(\"heartbeat\"), is_finished: true, .. }"
            ]
        );
    });
}

#[test]
fn a_released_task_runs_on() {
    alone(|| {
        let (task, seen) = Heartbeat::make();
        let handle = ResourceGuard::release(manager().adopt(task)).into_inner().unwrap();
        assert!(!seen.is_over());
        handle.abort();
        assert!(seen.runtime.block_on(handle).unwrap_err().is_cancelled());
    });
}
