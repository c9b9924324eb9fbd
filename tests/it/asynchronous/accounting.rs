//! What was handed over by a drop is still there: Cleaning, counted, holding back what it needs, and waited for by
//! whoever ends or settles.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager, ResourceState};

use super::*;
use crate::support::{DropCounter, Gate, Recorder};

/// Drops a guard in asynchronous code whose cleanup has begun, and ends when the returned signal is given.
async fn hand_over(manager: &ResourceManager, log: &OrderLog, entry: &str) -> Signal {
    let (begun, end) = (Signal::new(), Signal::new());
    let (cleanup, run) = (begun.then(&end), log.cleanup(entry));
    drop(manager.guard_async(entry.to_owned(), move || async move {
        cleanup().await;
        run();
    }));
    begun.given().await;
    end
}

#[test]
fn a_resource_that_was_handed_over_is_cleaning_and_counts_as_live_until_its_end() {
    watched(|manager| {
        current_thread().block_on(async {
            let end = hand_over(manager, &OrderLog::new(), "session").await;
            let infos = manager.resources();
            assert_eq!((infos.len(), infos[0].state), (1, ResourceState::Cleaning));
            assert_eq!((manager.resource_count(), manager.stats().live, manager.stats().cleaned), (1, 1, 0));
            assert!(manager.detect_leaks().is_empty(), "what is ending is no leak");
            end.give();
            manager.settle_async().await;
            assert_only_cleaned(manager, 1, "settled");
        });
    });
}

#[test]
fn a_resource_that_was_handed_over_holds_its_dependency_back_until_its_cleanup_has_ended() {
    watched(|manager| {
        current_thread().block_on(async {
            let log = OrderLog::new();
            let pool = manager.guard("pool", log.cleanup("pool"));
            let (begun, end) = (Signal::new(), Signal::new());
            let (cleanup, run) = (begun.then(&end), log.cleanup("session"));
            let session = manager.resource("session").depends_on(&pool).guard_async(move || async move {
                cleanup().await;
                run();
            });
            drop(session.expect("a guard"));
            begun.given().await;
            let id = ResourceGuard::id(&pool);
            drop(pool);
            assert_eq!(manager.get(id).map(|info| info.state), Some(ResourceState::Deferred));
            log.assert_is(&[]);
            end.give();
            manager.settle_async().await;
            log.assert_is(&["session", "pool"]);
            assert_only_cleaned(manager, 2, "settled");
        });
    });
}

#[test]
fn settling_waits_for_all_that_was_handed_over_here_and_below() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (log, child) = (OrderLog::new(), manager.child("below"));
            let ends = [
                hand_over(manager, &log, "one").await,
                hand_over(&child, &log, "two").await,
                hand_over(manager, &log, "three").await,
            ];
            let settling = {
                let there = manager.clone();
                tokio::spawn(async move { there.settle_async().await })
            };
            for end in &ends[..2] {
                end.give();
                tokio::task::yield_now().await;
            }
            assert!(!settling.is_finished(), "{name}: one still runs");
            ends[2].give();
            settling.await.expect("no panic");
            assert_eq!(log.entries().len(), 3, "{name}");
            manager.settle_async().await;
        });
        assert_only_cleaned(manager, 9, "settled");
    });
}

#[test]
fn settling_a_child_does_not_wait_for_its_parent() {
    watched(|manager| {
        current_thread().block_on(async {
            let child = manager.child("below");
            let end = hand_over(manager, &OrderLog::new(), "above").await;
            child.settle_async().await;
            assert_eq!(manager.resource_count(), 1);
            end.give();
            manager.settle_async().await;
        });
    });
}

#[test]
fn settling_waits_for_what_the_end_of_a_cleanup_sets_free_however_long_that_chain() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let log = OrderLog::new();
            let mut guards = vec![manager.guard_async("0", logged(&log, "0"))];
            for n in 1..50 {
                let link = manager.resource(n.to_string()).depends_on(&guards[n - 1]);
                let cleanup = logged(&log, &n.to_string());
                guards.push(link.guard_async(cleanup).expect("a guard"));
            }
            // In the order that needs every one but the last to be deferred.
            drop(guards);
            manager.settle_async().await;
            let expected: Vec<String> = (0..50).rev().map(|n| n.to_string()).collect();
            assert_eq!(log.entries(), expected, "{name}");
        });
        assert_only_cleaned(manager, 150, "settled");
    });
}

/// What ends a manager's work waits for what was handed over before.
fn assert_waits<F: Future<Output = ()> + Send + 'static>(
    manager: &ResourceManager,
    wait: impl Fn(ResourceManager) -> F,
) {
    let heard = Recorder::on(manager);
    let runtime = multi_thread(2);
    runtime.block_on(async {
        let log = OrderLog::new();
        let end = hand_over(manager, &log, "handed over").await;
        let waiting = tokio::spawn(wait(manager.clone()));
        // It is told of when the choice is made: from then on it waits for what it chose.
        heard.wait_for("teardown started test");
        assert!(!waiting.is_finished(), "it did not wait");
        assert!(!heard.words().contains(&"teardown finished test".to_owned()));
        end.give();
        waiting.await.expect("no panic");
        log.assert_is(&["handed over"]);
    });
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_teardown_that_is_awaited_waits_for_what_was_handed_over_before_and_reports_it() {
    watched(|manager| {
        assert_waits(manager, |there| async move {
            let report = there.teardown().run_async().await;
            assert_eq!(report.cleaned(), 1, "{report}");
        });
    });
}

#[test]
fn a_blocking_teardown_waits_for_what_was_handed_over_before_and_reports_it() {
    watched(|manager| {
        assert_waits(manager, |there| async move {
            let report = tokio::task::spawn_blocking(move || there.cleanup()).await.expect("no panic");
            assert_eq!(report.cleaned(), 1, "{report}");
        });
    });
}

#[test]
fn a_shutdown_that_is_awaited_waits_for_what_was_handed_over_before_and_seals() {
    watched(|manager| {
        assert_waits(manager, |there| async move {
            assert!(there.shutdown_async().await.is_success());
            assert!(there.resource("late").guard(|| ()).is_err());
        });
    });
}

#[test]
fn the_end_of_an_asynchronous_scope_waits_for_what_was_handed_over_in_it() {
    watched(|manager| {
        current_thread().block_on(async {
            let (runs, returned) = (Runs::default(), Signal::new());
            let (counted, after) = (runs.clone(), returned.clone());
            let (_, report) = manager
                .scope_async("job", |job| async move {
                    drop(job.guard_async("inside", || async move {
                        after.given().await;
                        counted.add();
                    }));
                    returned.give();
                })
                .await;
            assert!(report.is_success());
            assert_eq!(runs.count(), 1);
        });
    });
}

#[test]
fn a_filtered_teardown_does_not_wait_for_what_it_did_not_ask_for() {
    watched(|manager| {
        current_thread().block_on(async {
            let end = hand_over(manager, &OrderLog::new(), "handed over").await;
            let guard = manager.resource("asked for").tag("mine").guard(|| ()).expect("a guard");
            assert_eq!(manager.teardown().tag("mine").run_async().await.cleaned(), 1);
            assert_eq!(manager.resource_count(), 1);
            drop(guard);
            end.give();
            manager.settle_async().await;
        });
    });
}

#[test]
fn the_value_of_a_guard_is_dropped_after_the_cleanup_that_was_handed_over_has_ended() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (log, drops) = (OrderLog::new(), DropCounter::new());
            let end = Signal::new();
            let (ending, run) = (end.clone(), log.cleanup("cleaned"));
            let cleanup = castoff::Cleanup::future(|| async move {
                ending.given().await;
                run();
            });
            let value = (log.value("value"), drops.value());
            drop(manager.resource(name).keep(value, cleanup).expect("a guard"));
            assert_eq!(drops.dropped(), 0, "{name}");
            end.give();
            manager.settle_async().await;
            log.assert_is(&["cleaned", "value dropped"]);
            drops.assert_each_once();
        });
    });
}

#[test]
fn the_value_of_a_cleanup_that_fails_or_panics_or_times_out_is_dropped_once() {
    watched(|manager| {
        current_thread().block_on(async {
            let drops = DropCounter::new();
            let fails = castoff::Cleanup::future(|| async { Err("no") });
            let panics = castoff::Cleanup::future(|| async { panic_quietly() });
            let hangs = castoff::Cleanup::future(std::future::pending::<()>);
            for cleanup in [fails, panics, hangs] {
                let registration = manager.resource("valued").timeout(Duration::from_millis(10));
                drop(registration.keep(drops.value(), cleanup).expect("a guard"));
            }
            manager.settle_async().await;
            drops.assert_each_once();
            let stats = manager.stats();
            assert_eq!((stats.failed, stats.timed_out, stats.live), (2, 1, 0));
        });
    });
}

#[test]
fn a_manager_whose_handles_are_gone_ends_only_with_what_was_handed_over() {
    watched(|parent| {
        current_thread().block_on(async {
            let child = parent.child("short");
            let end = hand_over(&child, &OrderLog::new(), "session").await;
            drop(child);
            assert_eq!(parent.resource_count(), 1);
            end.give();
            parent.settle_async().await;
            assert_only_cleaned(parent, 1, "seen from above");
        });
    });
}

#[test]
fn a_drop_that_hands_over_has_counted_before_it_returns() {
    watched(|manager| {
        let stuck = Gate::new("the test to look");
        let hold = stuck.clone();
        current_thread().block_on(async {
            // The poller that would begin it is held up: what is counted was counted by the drops.
            drop(manager.guard_async("holds the poller", move || async move { hold.wait() }));
            (0..5).for_each(|n| drop(manager.guard_async(n.to_string(), || async {})));
            let cleaning = |info: &castoff::ResourceInfo| info.state == ResourceState::Cleaning;
            let states = manager.resources();
            let held =
                states.iter().filter(|info| cleaning(info) && info.label == "holds the poller").count();
            assert_eq!(held, 1);
            assert_eq!(states.iter().filter(|info| info.state == ResourceState::Live).count(), 0);
            stuck.open();
            manager.settle_async().await;
        });
        assert_only_cleaned(manager, 6, "counted");
    });
}

/// Counts its calls.
struct Called(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn who_settles_may_be_polled_again_and_again_and_is_called_once() {
    watched(|manager| {
        let gate = Gate::new("the cleanup to be let go");
        let slow = gate.clone();
        current_thread()
            .block_on(async { drop(manager.guard_async("slow", move || async move { slow.wait() })) });
        let called = Arc::new(Called(AtomicUsize::new(0)));
        let waker = std::task::Waker::from(called.clone());
        let mut settled = std::pin::pin!(manager.settle_async());
        let mut poll = || settled.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        assert!(poll().is_pending() && poll().is_pending() && poll().is_pending());
        gate.open();
        crate::support::until("a call", || called.0.load(SeqCst) > 0);
        assert!(poll().is_ready());
        assert_eq!(called.0.load(SeqCst), 1);
    });
}
