//! Teardowns that are awaited: order, concurrency, timeouts, deadline, `stop_on_error` and `force`, with cleanups
//! that await and cleanups that do not.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use castoff::{CleanupErrorKind, ManagerConfig, Priority, ResourceManager, ResourceOutcome, SkipReason};
use tokio::sync::Barrier;

use super::*;
use crate::support::{DropCounter, Gate, Recorder, manager_with, until, watchdog};

#[test]
fn a_sequential_teardown_goes_newest_first_whatever_the_kinds() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let log = OrderLog::new();
            let guard = |n: usize| match n % 2 {
                0 => manager.guard(n.to_string(), log.cleanup(&n.to_string())),
                _ => manager.guard_async(n.to_string(), logged(&log, &n.to_string())),
            };
            let _guards: Vec<_> = (0..20).map(guard).collect();
            assert!(manager.teardown().run_async().await.is_success());
            let expected: Vec<String> = (0..20).rev().map(|n| n.to_string()).collect();
            assert_eq!(log.entries(), expected, "{name}");
        });
    });
}

#[test]
fn a_priority_decides_among_mixed_ones() {
    watched(|manager| {
        current_thread().block_on(async {
            let log = OrderLog::new();
            let low = manager.resource("low").priority(Priority::Low).guard_async(logged(&log, "low"));
            let high = manager.resource("high").priority(Priority::High).guard(log.cleanup("high"));
            let first = manager.resource("first").priority(Priority::Critical);
            let first = first.guard_async(logged(&log, "first"));
            let _usual = manager.guard_async("usual", logged(&log, "usual"));
            assert!(manager.teardown().concurrency(4).run_async().await.is_success());
            log.assert_is(&["first", "high", "usual", "low"]);
            drop((low, high, first));
        });
    });
}

/// How many run now, and the most that ever did.
#[derive(Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtOnce {
    fn enter(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, SeqCst);
    }
}

#[test]
fn a_concurrency_of_n_runs_n_at_once_and_never_more() {
    watched(|manager| {
        for at_once in [1_usize, 2, 7, 50] {
            let (counter, barrier) = (Arc::new(AtOnce::default()), Arc::new(Barrier::new(at_once)));
            let _guards: Vec<_> = (0..at_once * 4)
                .map(|n| {
                    let (counter, barrier) = (counter.clone(), barrier.clone());
                    manager.guard_async(n.to_string(), move || async move {
                        counter.enter();
                        // It opens only when so many are here.
                        barrier.wait().await;
                        counter.leave();
                    })
                })
                .collect();
            let report = current_thread().block_on(manager.teardown().concurrency(at_once).run_async());
            assert!(report.is_success(), "{at_once}: {report}");
            assert_eq!(counter.most.load(SeqCst), at_once);
        }
    });
}

#[test]
fn the_concurrency_counts_both_kinds_together() {
    watched(|manager| {
        // The first four, two of a kind, wait until all four are there.
        let (counter, all) = (Arc::new(AtOnce::default()), 4);
        let guard = |n: usize| {
            let counter = counter.clone();
            let has_seen_all = |counter: &AtOnce| counter.most.load(SeqCst) >= 4;
            match n % 2 {
                0 => manager.guard(n.to_string(), move || {
                    counter.enter();
                    until("four to be there at once", || has_seen_all(&counter));
                    counter.leave();
                }),
                _ => manager.guard_async(n.to_string(), move || async move {
                    counter.enter();
                    while !has_seen_all(&counter) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    counter.leave();
                }),
            }
        };
        let _guards: Vec<_> = (0..8).map(guard).collect();
        let report = current_thread().block_on(manager.teardown().concurrency(all).run_async());
        assert!(report.is_success(), "{report}");
        assert_eq!(counter.most.load(SeqCst), all);
    });
}

#[test]
fn a_cleanup_that_outlives_its_timeout_is_cancelled_and_its_future_dropped_once() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (drops, heard) = (DropCounter::new(), Recorder::on(manager));
            let value = drops.value();
            let limit = Duration::from_millis(10);
            let hangs = manager.resource(name).timeout(limit).guard_async(move || async move {
                let _held = value;
                std::future::pending::<()>().await;
            });
            let report = manager.teardown().run_async().await;
            assert_eq!(report.timed_out(), 1, "{report}");
            assert!(matches!(report.errors()[0].kind, CleanupErrorKind::TimedOut(within) if within == limit));
            until("the future to be dropped", || drops.dropped() == 1);
            assert_eq!(heard.of(name), ["registered", "failed"], "it never finishes late");
            drop(hangs);
            drops.assert_each_once();
        });
    });
}

/// What is cleaned beside something that hangs and what that depends on, within this deadline.
async fn cleaned_beside_a_hang(manager: &ResourceManager, deadline: Duration) -> Vec<String> {
    let log = OrderLog::new();
    let pool = manager.guard_async("pool", logged(&log, "pool"));
    let hang = manager.resource("hang").depends_on(&pool).guard_async(std::future::pending::<()>);
    let free = manager.guard_async("free", logged(&log, "free"));
    let report = manager.teardown().deadline(deadline).run_async().await;
    assert_eq!((report.timed_out(), report.processed()), (1, 3), "{report}");
    let cleaned = log.entries();
    drop((pool, hang, free));
    cleaned
}

#[test]
fn a_deadline_gives_up_what_runs_and_goes_on_with_what_stands_behind_it() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            // On a slow machine, or behind a neighbour's cleanup that blocks its thread, a second may be too little.
            let mut cleaned = cleaned_beside_a_hang(manager, Duration::from_secs(1)).await;
            if cleaned.len() < 2 {
                cleaned = cleaned_beside_a_hang(manager, Duration::from_secs(8)).await;
            }
            assert_eq!(cleaned, ["free", "pool"], "{name}");
        });
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_deadline_of_zero_skips_all_and_leaves_it_live() {
    watched(|manager| {
        current_thread().block_on(async {
            let runs = Runs::default();
            let counted = runs.clone();
            let _guard = manager.guard_async("session", move || async move { counted.add() });
            let report = manager.teardown().deadline(Duration::ZERO).run_async().await;
            assert_eq!(report.skipped()[0].reason, SkipReason::DeadlinePassed);
            assert_eq!((runs.count(), manager.resource_count()), (0, 1));
        });
    });
}

#[test]
fn stopping_on_an_error_starts_nothing_after_an_asynchronous_failure() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let log = OrderLog::new();
            let guards = [
                manager.guard_async("oldest", logged(&log, "oldest")),
                manager.guard("older", log.cleanup("older")),
                manager.guard_async("failing", || async { Err("no") }),
                manager.guard_async("newest", logged(&log, "newest")),
            ];
            let report = manager.teardown().stop_on_error().run_async().await;
            log.assert_is(&["newest"]);
            let skipped: Vec<&str> = report.skipped().iter().map(|it| &*it.label).collect();
            assert_eq!(skipped, ["older", "oldest"], "{name}");
            assert_eq!(manager.resource_count(), 2, "{name}: what was skipped is live");
            drop(guards);
            manager.settle_async().await;
        });
    });
}

#[test]
fn what_awaits_ends_a_teardown_also_where_nothing_else_ever_wakes_anybody() {
    let never = ManagerConfig::default().default_timeout(Duration::MAX).slow_after(Duration::MAX);
    watchdog(LIMIT, move || {
        let (manager, polled) = (manager_with(never), Gate::new("the cleanup to be polled"));
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let polls = polled.clone();
        let _awaiting = manager.guard_async("awaiting", move || async move {
            polls.open();
            told.await.map_err(|_| "nobody told")
        });
        let other = thread::spawn(move || {
            polled.wait();
            // By then whoever has begun it waits for something else to do.
            thread::sleep(Duration::from_millis(50));
            tell.send(())
        });
        assert!(manager.cleanup().is_success());
        assert_eq!(other.join().expect("it only tells"), Ok(()));
    });
}

#[test]
fn a_forced_teardown_cleans_what_something_outside_depends_on() {
    watched(|manager| {
        current_thread().block_on(async {
            let log = OrderLog::new();
            let pool = manager.resource("pool").tag("mine").guard_async(logged(&log, "pool"));
            let pool = pool.expect("a guard");
            let _server = manager.resource("server").depends_on(&pool).guard_async(logged(&log, "server"));
            let report = manager.teardown().tag("mine").run_async().await;
            assert!(matches!(report.skipped()[0].reason, SkipReason::DependentOutside { .. }));
            let report = manager.teardown().tag("mine").force().run_async().await;
            assert_eq!(report.cleaned(), 1);
            log.assert_is(&["pool"]);
        });
    });
}

#[test]
fn a_report_of_mixed_cleanups_has_one_outcome_for_each() {
    watched(|manager: &ResourceManager| {
        on_each_runtime(|name| async move {
            let limit = Duration::from_millis(10);
            let guards = [
                manager.resource("cleaned").guard_async(|| async {}),
                manager.resource("failed").guard_async(|| async { Err("no") }),
                manager.resource("panicked").guard_async(|| async { panic_quietly() }),
                manager.resource("timed out").timeout(limit).guard_async(std::future::pending::<()>),
                manager.resource("sync").guard(|| ()),
            ];
            let report = manager.teardown().concurrency(5).run_async().await;
            let outcome =
                |label: &str| report.timeline().iter().find(|it| it.label == label).map(|it| it.outcome);
            assert_eq!(outcome("cleaned"), Some(ResourceOutcome::Cleaned), "{name}");
            assert_eq!(outcome("failed"), Some(ResourceOutcome::Failed), "{name}");
            assert_eq!(outcome("panicked"), Some(ResourceOutcome::Panicked), "{name}");
            assert_eq!(outcome("timed out"), Some(ResourceOutcome::TimedOut), "{name}");
            assert_eq!(outcome("sync"), Some(ResourceOutcome::Cleaned), "{name}");
            assert_eq!((report.processed(), report.errors().len(), report.failed()), (5, 3, 2), "{name}");
            drop(guards);
        });
    });
}
