//! Sets of tasks on a runtime of their own.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use castoff::ResourceGuard;
use castoff::adapters::Tasks;
use tokio::task::JoinSet;

use super::task::{Seen, runtime};
use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

struct Packers;

impl Case for Packers {
    type Adopted = Tasks;
    type Witness = Seen;

    fn make() -> (Tasks, Seen) {
        let (tasks, seen) = (Tasks::new("packers"), Seen::new());
        let entered = seen.runtime.enter();
        for _ in 0..3 {
            assert!(tasks.spawn(|stop| seen.work(stop)));
        }
        drop(entered);
        (tasks, seen)
    }

    fn is_over(seen: &Seen) -> bool {
        seen.is_over()
    }

    fn end_first(tasks: &mut Tasks, seen: &Seen) {
        for _ in 0..3 {
            seen.quit.notify_one();
            assert!(seen.runtime.block_on(tasks.join_next()).unwrap().is_ok());
        }
        assert!(tasks.is_empty());
    }
}

impl Hangs for Packers {
    fn make_hanging() -> (Tasks, Seen) {
        let (tasks, mut seen) = (Tasks::new("packers"), Seen::new());
        let hang = seen.hang();
        let (tell, told) = mpsc::channel();
        let entered = seen.runtime.enter();
        tasks.spawn(|_| async move {
            tell.send(()).unwrap();
            hang.await;
        });
        drop(entered);
        told.recv().unwrap();
        (tasks, seen)
    }

    fn after(seen: Seen) {
        seen.let_go();
    }
}

contract!(Packers);

#[test]
fn those_that_do_not_listen_are_counted_and_aborted() {
    alone(|| {
        let (tasks, seen) = Packers::make();
        let entered = seen.runtime.enter();
        for _ in 0..2 {
            let alive = Arc::clone(&seen.task);
            tasks.spawn(|_| async move {
                let _alive = alive;
                std::future::pending().await
            });
        }
        drop(entered);
        // Long enough for those that listen to have heard, on a busy machine too.
        let guard = manager().adopt(tasks.grace(Duration::from_secs(2)));
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(error.contains("2 of `packers` had not ended 2.0s after"), "{error}");
        assert!(seen.is_over());
    });
}

#[test]
fn a_released_set_is_tokios_again_and_its_tasks_run_on() {
    alone(|| {
        let (tasks, seen) = Packers::make();
        let mut set = ResourceGuard::release(manager().adopt(tasks)).into_inner().unwrap();
        assert!(set.len() == 3 && !seen.is_over());
        seen.runtime.block_on(set.shutdown());
        assert!(seen.is_over());
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_still_has_its_tasks() {
    alone(|| {
        let (tasks, _seen) = Packers::make();
        assert_eq!(
            printed(tasks),
            [
                "Tasks { label: Label(\"packers\"), set: held, .. }",
                "Tasks { label: Label(\"packers\"), set: gone, .. }"
            ]
        );
    });
}

#[test]
fn a_set_of_tokios_is_aborted() {
    alone(|| {
        let (seen, mut set) = (Seen::new(), JoinSet::<()>::new());
        let alive = Arc::clone(&seen.task);
        set.spawn_on(
            async move {
                let _alive = alive;
                std::future::pending().await
            },
            seen.runtime.handle(),
        );
        ResourceGuard::close(manager().adopt(Tasks::from(set))).unwrap();
        assert!(seen.is_over());
    });
}

#[test]
fn one_that_panicked_is_an_error_and_the_others_are_awaited() {
    alone(|| {
        let (tasks, seen) = Packers::make();
        let entered = seen.runtime.enter();
        tasks.spawn(|_| async { panic!("no such order") });
        drop(entered);
        let error = ResourceGuard::close(manager().adopt(tasks)).unwrap_err().to_string();
        assert!(error.contains("a task of `packers` panicked"), "{error}");
        assert!(seen.is_over());
    });
}

#[test]
fn who_waits_for_a_result_is_told_when_the_cleanup_begins() {
    alone(|| {
        let (tasks, seen) = Packers::make();
        let manager = manager();
        let guard = manager.adopt(tasks);
        let cleaner = manager.clone();
        seen.runtime.block_on(async {
            let cleaning = seen.runtime.spawn(async move { cleaner.shutdown_async().await.is_success() });
            assert!(guard.join_next().await.is_none());
            assert!(cleaning.await.unwrap());
        });
        assert!(!guard.spawn(|_| async {}), "nothing is spawned after the cleanup");
        drop(runtime());
        until("the tasks to end", || seen.is_over());
    });
}
