//! tokio gives each task a budget of some hundred steps a turn, and what asks for more is told that nothing is ready. Cleanups
//! are polled outside of it: one that takes very many steps ends in one poll, and of a crowd each in as many as it needs. Polls
//! are counted here, and time is not.

use std::pin::pin;
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use super::*;

/// Many times what tokio allows a task in one turn.
const MANY: usize = 10_000;

/// Counts the polls of a future.
async fn polled<F: Future>(future: F, polls: Runs) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        polls.add();
        future.as_mut().poll(cx)
    })
    .await
}

/// Steps of which each is taken off a budget, where there is one.
async fn steps() {
    for _ in 0..MANY {
        tokio::task::consume_budget().await;
    }
}

/// A cleanup that is over in one poll, unless somebody counts its steps.
fn stepping(manager: &ResourceManager, polls: &Runs) -> ResourceGuard<()> {
    let polls = polls.clone();
    manager.guard_async("steps", move || polled(steps(), polls))
}

#[test]
fn within_a_task_the_steps_of_these_tests_run_out_of_budget() {
    on_each_runtime(|name| async move {
        let polls = Runs::default();
        polled(steps(), polls.clone()).await;
        assert!(polls.count() > 10, "{name}: {} polls: there is no budget to be outside of", polls.count());
    });
}

#[test]
fn a_cleanup_takes_as_many_steps_as_it_likes_in_one_poll() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let polls = Runs::default();
            let guard = stepping(manager, &polls);
            assert!(manager.teardown().run_async().await.is_success(), "{name}");
            drop(guard);
            assert_eq!(polls.count(), 1, "{name}: in a teardown");
            drop(stepping(manager, &polls));
            manager.settle_async().await;
            assert_eq!(polls.count(), 2, "{name}: handed over by a drop");
            assert!(ResourceGuard::close_async(stepping(manager, &polls)).await.is_ok(), "{name}");
            assert_eq!(polls.count(), 3, "{name}: closed");
        });
        let polls = Runs::default();
        drop(stepping(manager, &polls));
        assert_eq!(polls.count(), 1, "dropped outside of a runtime");
    });
}

#[test]
fn of_many_cleanups_that_sleep_at_once_none_is_polled_more_than_twice() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let polls = Runs::default();
            let sleeping = |_| {
                let polls = polls.clone();
                manager.guard_async("sleeps", move || {
                    polled(tokio::time::sleep(Duration::from_millis(1)), polls)
                })
            };
            let guards: Vec<_> = (0..MANY).map(sleeping).collect();
            let report = manager.teardown().concurrency(MANY).run_async().await;
            assert_eq!(report.cleaned(), MANY, "{name}");
            drop(guards);
            assert!(polls.count() <= 2 * MANY, "{name}: {} polls: begun, and woken", polls.count());
        });
    });
}
