//! Strategies: who asks them, when, and what a guard whose strategy says no leaves behind.

use castoff::{OnSuccess, OnUnwind, ResourceGuard, ResourceManager, ResourceState};

use crate::support::{DropCounter, LIMIT, OrderLog, manager, panic_of, watchdog};

fn on_unwind(manager: &ResourceManager, log: &OrderLog, label: &'static str) -> ResourceGuard<(), OnUnwind> {
    manager.resource(label).strategy::<OnUnwind>().guard(log.cleanup(label)).unwrap()
}

#[test]
fn on_unwind_deregisters_without_a_cleanup_when_nothing_panics() {
    let manager = manager();
    let log = OrderLog::new();
    drop(on_unwind(&manager, &log, "rollback"));
    log.assert_is(&[]);
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(manager.stats().cleaned, 0);
}

#[test]
fn on_unwind_cleans_when_a_panic_drops_the_guard() {
    let manager = manager();
    let log = OrderLog::new();
    panic_of(|| {
        let _guard = on_unwind(&manager, &log, "rollback");
        panic!("the test's own");
    });
    log.assert_is(&["rollback"]);
}

#[test]
fn on_success_cleans_when_nothing_panics() {
    let manager = manager();
    let log = OrderLog::new();
    drop(manager.resource("publish").strategy::<OnSuccess>().guard(log.cleanup("publish")).unwrap());
    log.assert_is(&["publish"]);
}

#[test]
fn on_success_deregisters_without_a_cleanup_when_a_panic_drops_the_guard() {
    let manager = manager();
    let log = OrderLog::new();
    panic_of(|| {
        let _guard =
            manager.resource("publish").strategy::<OnSuccess>().guard(log.cleanup("publish")).unwrap();
        panic!("the test's own");
    });
    log.assert_is(&[]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_strategy_that_says_no_drops_what_the_cleanup_captured_and_the_value() {
    let manager = manager();
    let drops = DropCounter::new();
    let captured = drops.value();
    let cleanup = castoff::Cleanup::sync(move || drop(captured));
    drop(manager.resource("rollback").strategy::<OnUnwind>().keep(drops.value(), cleanup).unwrap());
    assert_eq!(drops.dropped(), 2);
    drops.assert_each_once();
}

#[test]
fn a_close_does_not_ask_the_strategy() {
    let manager = manager();
    let log = OrderLog::new();
    ResourceGuard::close(on_unwind(&manager, &log, "rollback")).unwrap();
    log.assert_is(&["rollback"]);
}

#[test]
fn a_teardown_does_not_ask_the_strategy() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let guard = on_unwind(&manager, &log, "rollback");
        assert_eq!(manager.cleanup().cleaned(), 1);
        log.assert_is(&["rollback"]);
        assert_eq!(ResourceGuard::state(&guard), ResourceState::Cleaned);
    });
}

#[test]
fn the_end_of_a_scope_does_not_ask_the_strategy() {
    watchdog(LIMIT, || {
        let log = OrderLog::new();
        let (_held, report) = manager().scope("scope", |scope| on_unwind(scope, &log, "rollback"));
        assert_eq!(report.cleaned(), 1);
        log.assert_is(&["rollback"]);
    });
}

#[test]
fn a_dependent_whose_strategy_says_no_lets_its_deferred_dependency_go() {
    let manager = manager();
    let log = OrderLog::new();
    let pool = manager.guard("pool", log.cleanup("pool"));
    let registration = manager.resource("transaction").depends_on(&pool).strategy::<OnUnwind>();
    let transaction = registration.guard(log.cleanup("transaction")).unwrap();
    drop(pool);
    log.assert_is(&[]);
    drop(transaction);
    log.assert_is(&["pool"]);
}

#[test]
fn a_strategy_that_says_no_is_not_deferred_behind_its_dependents() {
    let manager = manager();
    let log = OrderLog::new();
    let pool = on_unwind(&manager, &log, "pool");
    let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
    drop(pool);
    assert_eq!(manager.resource_count(), 1);
    drop(server);
    log.assert_is(&["server"]);
}

#[test]
fn an_erased_guard_keeps_its_strategy() {
    let manager = manager();
    let log = OrderLog::new();
    let guard: ResourceGuard<(), OnUnwind> = ResourceGuard::erase(
        manager
            .resource("rollback")
            .strategy::<OnUnwind>()
            .guard_value(7, {
                let run = log.cleanup("rollback");
                move |_: &i32| run()
            })
            .unwrap(),
    );
    drop(guard);
    log.assert_is(&[]);
    assert_eq!(manager.resource_count(), 0);
}
