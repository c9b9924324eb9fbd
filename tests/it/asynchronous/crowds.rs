//! Many at once: a thousand handed over, a thousand that hang, a hundred that panic.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use super::*;
use crate::support::{DropCounter, until};

#[test]
fn a_thousand_that_are_handed_over_at_once_all_end_once() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (all_dropped, runs) = (Signal::new(), Runs::default());
            let guards: Vec<_> = (0..1_000)
                .map(|n| {
                    let (all_dropped, runs) = (all_dropped.clone(), runs.clone());
                    manager.guard_async(format!("{n}"), move || async move {
                        all_dropped.given().await;
                        runs.add();
                    })
                })
                .collect();
            drop(guards);
            assert_eq!((manager.resource_count(), runs.count()), (1_000, 0), "{name}: none waited");
            all_dropped.give();
            manager.settle_async().await;
            assert_eq!(runs.count(), 1_000, "{name}");
        });
        assert_only_cleaned(manager, 3_000, "a thousand each");
    });
}

/// A thousand that hang, given up in whatever way.
fn thousand_hangs(manager: &ResourceManager, drops: &DropCounter) -> Vec<ResourceGuard<()>> {
    let hang = |n: usize| {
        let value = drops.value();
        let registration = manager.resource(format!("{n}")).timeout(Duration::from_millis(50));
        let guard = registration.guard_async(move || async move {
            let _held = value;
            std::future::pending::<()>().await;
        });
        guard.expect("a guard")
    };
    (0..1_000).map(hang).collect()
}

#[test]
fn a_thousand_hangs_that_were_handed_over_all_time_out() {
    watched(|manager| {
        let drops = DropCounter::new();
        current_thread().block_on(async {
            drop(thousand_hangs(manager, &drops));
            manager.settle_async().await;
        });
        assert_eq!((manager.stats().timed_out, manager.resource_count()), (1_000, 0));
        until("every future to be dropped", || drops.dropped() == 1_000);
        drops.assert_each_once();
    });
}

#[test]
fn a_thousand_hangs_in_one_teardown_all_time_out() {
    watched(|manager| {
        let drops = DropCounter::new();
        let guards = thousand_hangs(manager, &drops);
        let report = current_thread().block_on(manager.teardown().concurrency(1_000).run_async());
        assert_eq!((report.timed_out(), report.errors().len()), (1_000, 1_000));
        until("every future to be dropped", || drops.dropped() == 1_000);
        drop(guards);
        drops.assert_each_once();
    });
}

#[test]
fn a_hundred_of_a_hundred_that_panic_are_a_hundred_outcomes() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let panicking = |n: usize| {
                manager.guard_async(format!("{n}"), move || async move {
                    if n.is_multiple_of(2) {
                        tokio::task::yield_now().await;
                    }
                    panic_quietly();
                })
            };
            let guards: Vec<_> = (0..100).map(panicking).collect();
            let report = manager.teardown().concurrency(10).run_async().await;
            assert_eq!((report.failed(), report.errors().len()), (100, 100), "{name}");
            drop(guards);
            (0..100).for_each(|n| drop(panicking(n)));
            manager.settle_async().await;
        });
        let stats = manager.stats();
        assert_eq!((stats.failed, stats.live), (600, 0));
        assert!(ResourceGuard::close(manager.guard_async("afterwards", || async {})).is_ok());
    });
}

#[test]
fn a_hundred_threads_that_drop_outside_of_a_runtime_each_find_theirs_ended() {
    watched(|manager| {
        std::thread::scope(|scope| {
            for n in 0..100 {
                scope.spawn(move || {
                    let runs = Runs::default();
                    let counted = runs.clone();
                    drop(manager.guard_async(format!("{n}"), move || async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        counted.add();
                    }));
                    assert_eq!(runs.count(), 1);
                });
            }
        });
        assert_only_cleaned(manager, 100, "a hundred threads");
    });
}
