//! The ends of the scale: a timeout of zero, and one that never comes.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use super::*;
use crate::support::{DropCounter, until};

const WAYS: [&str; 4] = ["drop", "close", "run", "outside"];

/// One cleanup on each way, on a runtime of each kind.
fn on_every_way<F>(
    manager: &ResourceManager,
    limit: Duration,
    cleanup: impl Fn() -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let guard = || manager.resource("limited").timeout(limit).guard_async(cleanup.clone()).expect("a guard");
    on_each_runtime(|_| async {
        for way in &WAYS[..3] {
            let guard = guard();
            match *way {
                "drop" => drop(guard),
                "close" => drop(ResourceGuard::close_async(guard).await),
                _ => {
                    let deadline = if limit.is_zero() { Duration::from_secs(20) } else { Duration::MAX };
                    drop(manager.teardown().deadline(deadline).run_async().await);
                    drop(guard);
                }
            }
            manager.settle_async().await;
        }
    });
    drop(guard());
    assert!(manager.cleanup().is_success());
}

#[test]
fn a_timeout_of_zero_starts_what_hangs_and_gives_it_up() {
    watched(|manager| {
        let (runs, drops) = (Runs::default(), DropCounter::new());
        let (counted, values) = (runs.clone(), drops.clone());
        on_every_way(manager, Duration::ZERO, move || {
            counted.add();
            let value = values.value();
            async move {
                let _held = value;
                std::future::pending::<()>().await;
            }
        });
        let stats = manager.stats();
        assert_eq!((runs.count(), stats.timed_out, stats.live), (10, 10, 0));
        until("the cancelled futures to be dropped", || drops.dropped() == 10);
        drops.assert_each_once();
    });
}

#[test]
fn a_timeout_of_zero_starts_what_would_end_at_once() {
    watched(|manager| {
        let runs = Runs::default();
        let counted = runs.clone();
        on_every_way(manager, Duration::ZERO, move || {
            counted.add();
            std::future::ready(())
        });
        let stats = manager.stats();
        assert_eq!((runs.count(), stats.cleaned + stats.timed_out, stats.live), (10, 10, 0));
    });
}

#[test]
fn the_longest_timeout_and_deadline_are_none_and_do_not_overflow() {
    watched(|manager| {
        on_every_way(manager, Duration::MAX, || tokio::time::sleep(Duration::from_millis(1)));
        assert_only_cleaned(manager, 10, "without a limit");
    });
}

#[test]
fn the_managers_timeout_holds_in_teardowns_alone() {
    let config = castoff::ManagerConfig::default().default_timeout(Duration::from_millis(10));
    watched_with(config, |manager| {
        current_thread().block_on(async {
            let _hangs = manager.guard_async("hangs", std::future::pending::<()>);
            assert_eq!(manager.teardown().run_async().await.timed_out(), 1);
            // Longer than the manager's limit, shorter than the category's.
            let slow = manager.guard_async("slow", || tokio::time::sleep(Duration::from_millis(100)));
            drop(slow);
            manager.settle_async().await;
            assert_eq!(manager.stats().cleaned, 1);
        });
    });
}
