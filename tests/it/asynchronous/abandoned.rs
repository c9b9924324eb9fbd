//! Closes and scopes whose future is dropped half-way: they go on to their end, and nothing is lost.

use std::pin::pin;

use castoff::ResourceGuard;

use super::cancelled::poll_once;
use super::*;
use crate::support::{DropCounter, Recorder, until};

#[test]
fn a_close_that_is_dropped_half_way_goes_on_and_drops_the_value_at_its_end() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (heard, drops, begun, end) =
                (Recorder::on(manager), DropCounter::new(), Signal::new(), Signal::new());
            let cleanup = castoff::Cleanup::future(begun.then(&end));
            let guard = manager.resource(name).keep(drops.value(), cleanup).expect("a guard");
            tokio::select! {
                biased;
                () = begun.given() => {}
                _ = ResourceGuard::close_async(guard) => panic!("it can't have ended"),
            }
            assert_eq!((drops.dropped(), manager.resource_count()), (0, 1), "{name}");
            end.give();
            manager.settle_async().await;
            drops.assert_each_once();
            assert_eq!(heard.of(name), ["registered", "cleaned"]);
        });
    });
}

#[test]
fn a_close_of_what_runs_elsewhere_that_is_dropped_keeps_the_value_until_the_end() {
    watched(|manager| {
        current_thread().block_on(async {
            let (drops, begun, end) = (DropCounter::new(), Signal::new(), Signal::new());
            let cleanup = castoff::Cleanup::future(begun.then(&end));
            let guard = manager.resource("busy").keep(drops.value(), cleanup).expect("a guard");
            let there = manager.clone();
            let teardown = tokio::spawn(async move { there.teardown().run_async().await });
            begun.given().await;
            {
                let mut closing = pin!(ResourceGuard::close_async(guard));
                poll_once(closing.as_mut());
            }
            assert_eq!(drops.dropped(), 0, "its cleanup may use it");
            end.give();
            assert_eq!(teardown.await.expect("no panic").cleaned(), 1);
            until("the value to go", || drops.dropped() == 1);
        });
    });
}

#[test]
fn a_scope_dropped_in_its_body_drops_the_body_first_and_then_cleans_all() {
    watched(|manager| {
        on_each_runtime(|name| async move {
            let (log, entered) = (OrderLog::new(), Signal::new());
            {
                let (inside, value, entering) = (log.clone(), log.value("body"), entered.clone());
                let scope = manager.scope_async("job", |job| async move {
                    let _value = value;
                    std::mem::forget(job.guard_async("forgotten", logged(&inside, "forgotten")));
                    entering.give();
                    std::future::pending::<()>().await;
                });
                tokio::select! {
                    biased;
                    () = entered.given() => {}
                    _ = scope => panic!("{name}: it can't have ended"),
                }
            }
            until("the scope's teardown", || manager.resource_count() == 0);
            log.assert_is(&["body dropped", "forgotten"]);
        });
    });
}

#[test]
fn a_scope_dropped_during_its_teardown_cleans_all_the_same() {
    watched(|manager| {
        current_thread().block_on(async {
            let (log, begun, end) = (OrderLog::new(), Signal::new(), Signal::new());
            {
                let (inside, cleanup) = (log.clone(), begun.then(&end));
                let scope = manager.scope_async("job", |job| async move {
                    std::mem::forget(job.guard_async("older", logged(&inside, "older")));
                    std::mem::forget(job.guard_async("newer", cleanup));
                });
                tokio::select! {
                    biased;
                    () = begun.given() => {}
                    _ = scope => panic!("it can't have ended"),
                }
            }
            end.give();
            until("the scope's teardown", || manager.resource_count() == 0);
            log.assert_is(&["older"]);
            assert_only_cleaned(manager, 2, "a scope that nobody awaits");
        });
    });
}
