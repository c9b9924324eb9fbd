//! Cleanups that fail and panic, wherever they do, and the last resort after them.

use std::time::Duration;

use castoff::{CleanupErrorKind, ResourceGuard, ResourceOutcome};

use super::*;
use crate::support::DropCounter;

/// A future that panics in the poll with this number, or when it is dropped.
struct Bomb {
    polls_left: usize,
    in_drop: bool,
}

impl Future for Bomb {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.polls_left == 0 {
            if self.in_drop {
                return std::task::Poll::Ready(());
            }
            panic_quietly();
        }
        self.polls_left -= 1;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.in_drop {
            panic_quietly();
        }
    }
}

#[test]
fn a_panic_in_the_closure_or_in_any_poll_is_that_cleanups_outcome_and_no_more() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let bomb = |polls_left| move || Bomb { polls_left, in_drop: false };
            let guards = [
                manager.guard_async("in the closure", || -> std::future::Ready<()> { panic_quietly() }),
                manager.guard_async("in the first poll", bomb(0)),
                manager.guard_async("in the third poll", bomb(2)),
                manager.guard_async("fine", || async {}),
            ];
            let report = manager.teardown().run_async().await;
            assert_eq!((report.failed(), report.cleaned()), (3, 1), "{name}: {report}");
            assert!(report.errors().iter().all(|error| matches!(error.kind, CleanupErrorKind::Panicked(_))));
            drop(guards);
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_a_future_is_contained() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let ended = manager.guard_async("ended", || Bomb { polls_left: 1, in_drop: true });
            let cancelled =
                manager.resource("cancelled").timeout(Duration::from_millis(10)).guard_async(|| async {
                    let _bomb = Bomb { polls_left: 1, in_drop: true };
                    std::future::pending::<()>().await;
                });
            let fine = manager.guard_async("fine", || async {});
            let report = manager.teardown().concurrency(3).run_async().await;
            let outcome =
                |label: &str| report.timeline().iter().find(|it| it.label == label).map(|it| it.outcome);
            assert_eq!(outcome("fine"), Some(ResourceOutcome::Cleaned), "{name}");
            assert_eq!(outcome("cancelled"), Some(ResourceOutcome::TimedOut), "{name}");
            let of_ended = outcome("ended");
            assert!(
                matches!(of_ended, Some(ResourceOutcome::Cleaned | ResourceOutcome::Panicked)),
                "{of_ended:?}"
            );
            drop((ended, cancelled, fine));
        });
        // The pollers live on.
        assert!(ResourceGuard::close(manager.guard_async("afterwards", || async {})).is_ok());
    });
}

#[test]
fn an_error_that_panics_when_it_is_dropped_is_contained_wherever_it_goes() {
    #[derive(Debug)]
    struct Grenade;
    impl std::fmt::Display for Grenade {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a grenade")
        }
    }
    impl std::error::Error for Grenade {}
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic_quietly();
        }
    }
    watched(|manager| {
        current_thread().block_on(async {
            drop(manager.guard_async("handed over", || async { Err(Grenade) }));
            manager.settle_async().await;
            assert_eq!(manager.stats().failed, 1);
        });
        drop(manager.guard_async("outside", || async { Err(Grenade) }));
        assert_eq!(manager.stats().failed, 2);
    });
}

#[test]
fn the_last_resort_runs_once_after_a_failure_a_panic_and_a_timeout_on_every_way() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            for way in ["drop", "close", "run"] {
                let forced = Runs::default();
                let bad = |what: &'static str| {
                    let force = forced.clone();
                    let registration = manager.resource(what).timeout(Duration::from_millis(10));
                    let guard =
                        registration.last_resort(move || force.add()).guard_async(move || async move {
                            match what {
                                "fails" => Err("no"),
                                "panics" => panic_quietly(),
                                _ => std::future::pending().await,
                            }
                        });
                    guard.expect("a guard")
                };
                let guards = ["fails", "panics", "hangs"].map(bad);
                match way {
                    "drop" => drop(guards),
                    "close" => {
                        for guard in guards {
                            assert!(ResourceGuard::close_async(guard).await.is_err());
                        }
                    }
                    _ => {
                        let report = manager.teardown().concurrency(3).run_async().await;
                        assert_eq!((report.failed(), report.timed_out()), (2, 1), "{report}");
                    }
                }
                manager.settle_async().await;
                assert_eq!(forced.count(), 3, "{name}, {way}");
            }
        });
    });
}

#[test]
fn a_last_resort_does_not_run_after_a_good_end() {
    watched(|manager| {
        current_thread().block_on(async {
            let (forced, drops) = (Runs::default(), DropCounter::new());
            let (force, value) = (forced.clone(), drops.value());
            let force = move || {
                force.add();
                drop(value);
            };
            let guard = manager.resource("fine").last_resort(force).guard_async(|| async {});
            assert!(ResourceGuard::close_async(guard.expect("a guard")).await.is_ok());
            assert_eq!(forced.count(), 0);
            drops.assert_each_once();
        });
    });
}
