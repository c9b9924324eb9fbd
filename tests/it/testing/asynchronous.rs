//! The same for bodies that await.

use std::time::Duration;

use castoff::ResourceManager;
use castoff::testing::async_scope;
use tokio::runtime::{Builder, Runtime};

use super::failure;
use crate::support::{LIMIT, watchdog};

fn each(test: impl Fn(&Runtime) + Send + Copy + 'static) {
    watchdog(LIMIT, move || {
        let mut one = Builder::new_current_thread();
        test(&one.enable_all().build().expect("a runtime"));
        let mut many = Builder::new_multi_thread();
        test(&many.worker_threads(2).enable_all().build().expect("a runtime"));
    });
}

#[test]
fn a_body_that_awaits_passes_when_what_it_handed_over_has_ended() {
    each(|runtime| {
        let stats = runtime
            .block_on(async_scope(|manager| async move {
                let slow = || tokio::time::sleep(Duration::from_millis(30));
                drop(manager.guard_async("handed over", slow));
                tokio::task::yield_now().await;
                assert_eq!(ResourceManager::current().resource_count(), 1);
                manager
            }))
            .stats();
        assert_eq!((stats.cleaned, stats.live), (1, 0));
    });
}

#[test]
fn what_a_task_still_holds_when_the_body_has_ended_is_a_leak() {
    each(|runtime| {
        let test = async_scope(|_| async {
            let (held, holds) = tokio::sync::oneshot::channel();
            castoff::task::spawn(async move {
                let _guard = ResourceManager::current().guard("held by a task", || ());
                held.send(()).ok();
                std::future::pending::<()>().await;
            });
            holds.await.expect("the task holds it");
        });
        let message = failure(|| runtime.block_on(test));
        assert!(message.contains("1 leak in ") && message.contains("`held by a task`"), "{message}");
    });
}

#[test]
fn a_cleanup_that_was_handed_over_and_failed_fails_the_test() {
    each(|runtime| {
        let test = async_scope(|manager| async move {
            drop(manager.guard_async("session", || async { Err("connection lost") }));
        });
        let message = failure(|| runtime.block_on(test));
        assert_eq!(message.matches("connection lost").count(), 1, "told once: {message}");
    });
}

#[test]
fn a_panic_after_an_await_keeps_its_message() {
    each(|runtime| {
        let test = async_scope(|manager| async move {
            std::mem::forget(manager.guard("forgotten", || ()));
            tokio::task::yield_now().await;
            panic!("after the await")
        });
        let message =
            failure(|| runtime.block_on::<std::pin::Pin<Box<dyn Future<Output = ()>>>>(Box::pin(test)));
        assert!(message.starts_with("after the await\nand besides: 1 leak in "), "{message}");
    });
}

#[test]
fn dropped_half_way_it_is_torn_down_elsewhere() {
    each(|runtime| {
        let (tell, told) = std::sync::mpsc::channel();
        runtime.block_on(async {
            let test = async_scope(|manager| async move {
                std::mem::forget(manager.guard("forgotten", move || tell.send("cleaned")));
                std::future::pending::<()>().await;
            });
            tokio::time::timeout(Duration::from_millis(10), test).await.expect_err("it does not end");
        });
        assert_eq!(told.recv_timeout(LIMIT / 2), Ok("cleaned"));
    });
}
