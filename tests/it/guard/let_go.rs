//! Letting go without a cleanup: `release`, `unregister`, `leak`; and what a guard says of itself: `touch`,
//! `state`, `info`.

use std::sync::Arc;
use std::time::Duration;

use castoff::{Cleanup, ResourceGuard, ResourceState, UnregisterError};

use crate::support::{DropCounter, Hang, LIMIT, OrderLog, Recorder, manager, watchdog};

#[test]
fn a_released_guard_gives_its_value_back_and_forgets_the_cleanup() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let log = OrderLog::new();
    let guard = manager.resource("file").keep(String::from("path"), log.cleanup_value("file")).unwrap();
    let id = ResourceGuard::id(&guard);
    assert_eq!(ResourceGuard::release(guard), "path");
    log.assert_is(&[]);
    assert!(manager.get(id).is_none());
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(recorder.of("file"), ["registered", "released"]);
    assert_eq!((manager.stats().released, manager.stats().cleaned), (1, 0));
}

#[test]
fn a_released_shared_value_is_owned_by_the_caller_alone() {
    let drops = DropCounter::new();
    let guard = manager().guard_value("pool", drops.value(), |_| ());
    let value = ResourceGuard::release(guard);
    assert_eq!(drops.dropped(), 0);
    assert_eq!(Arc::strong_count(&value), 1);
    drop(value);
    drops.assert_each_once();
}

#[test]
fn a_release_drops_what_the_forgotten_cleanup_captured() {
    let drops = DropCounter::new();
    let captured = drops.value();
    ResourceGuard::release(manager().guard("pool", move || drop(captured)));
    assert_eq!(drops.dropped(), 1);
}

#[test]
fn an_unregistered_resource_is_never_cleaned_and_its_value_stays_with_the_guard() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let (log, drops) = (OrderLog::new(), DropCounter::new());
    let guard = manager.resource("file").keep(drops.value(), log.cleanup_value("file")).unwrap();
    assert!(matches!(manager.unregister(ResourceGuard::id(&guard)), Ok(true)));
    assert_eq!(ResourceGuard::state(&guard), ResourceState::Released);
    assert!(ResourceGuard::info(&guard).is_none());
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(drops.dropped(), 0);
    drop(guard);
    drops.assert_each_once();
    log.assert_is(&[]);
    assert_eq!(recorder.of("file"), ["registered", "released"]);
}

#[test]
fn unregistering_what_is_gone_says_no() {
    let manager = manager();
    let guard = manager.guard("pool", || ());
    let id = ResourceGuard::id(&guard);
    drop(guard);
    assert!(matches!(manager.unregister(id), Ok(false)));
}

#[test]
fn unregistering_with_live_dependents_is_refused_and_changes_nothing() {
    let manager = manager();
    let log = OrderLog::new();
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
    let refused = manager.unregister(ResourceGuard::id(&pool)).unwrap_err();
    let UnregisterError::DependentsLive { dependents, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(dependents.iter().map(|label| &**label).collect::<Vec<_>>(), ["server"]);
    assert!(refused.to_string().contains("server"), "{refused}");
    assert_eq!(ResourceGuard::state(&pool), ResourceState::Live);
    drop(pool);
    drop(server);
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_leaked_guard_keeps_its_value_and_its_cleanup_until_a_teardown() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let guard = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("cleanup")).unwrap();
        let id = ResourceGuard::id(&guard);
        ResourceGuard::leak(guard);
        log.assert_is(&[]);
        assert_eq!(manager.get(id).unwrap().state, ResourceState::Live);
        assert_eq!(manager.cleanup().cleaned(), 1);
        log.assert_is(&["cleanup", "pool dropped"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_leaked_dependent_still_holds_its_dependency_back() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let pool = manager.guard("pool", log.cleanup("pool"));
        ResourceGuard::leak(
            manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap(),
        );
        drop(pool);
        log.assert_is(&[]);
        assert!(manager.cleanup().is_success());
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn touching_a_guard_leaves_it_as_it_was() {
    let manager = manager();
    let log = OrderLog::new();
    let guard = manager.guard("pool", log.cleanup("pool"));
    ResourceGuard::touch(&guard);
    ResourceGuard::touch(&guard);
    assert_eq!(ResourceGuard::state(&guard), ResourceState::Live);
    assert_eq!(manager.resource_count(), 1);
    drop(guard);
    log.assert_is(&["pool"]);
}

#[test]
fn touching_what_a_teardown_has_cleaned_does_nothing() {
    watchdog(LIMIT, || {
        let manager = manager();
        let guard = manager.guard("pool", || ());
        assert!(manager.cleanup().is_success());
        ResourceGuard::touch(&guard);
        assert_eq!(ResourceGuard::state(&guard), ResourceState::Cleaned);
    });
}

#[test]
fn the_state_of_a_held_guard_follows_what_a_teardown_did_to_it() {
    watchdog(LIMIT, || {
        let manager = manager();
        let hang = Hang::new();
        let good = manager.guard("good", || ());
        let failing = manager.guard("failing", || Err("no disk"));
        let panicking = manager.guard("panicking", || panic!("boom"));
        let stuck =
            manager.resource("stuck").timeout(Duration::from_millis(50)).guard(hang.cleanup()).unwrap();
        let excluded = manager.guard("excluded", || ());
        assert_eq!(manager.teardown().exclude(&[ResourceGuard::id(&excluded)]).run().processed(), 4);
        assert_eq!(ResourceGuard::state(&good), ResourceState::Cleaned);
        assert_eq!(ResourceGuard::state(&failing), ResourceState::Failed);
        assert_eq!(ResourceGuard::state(&panicking), ResourceState::Failed);
        assert_eq!(ResourceGuard::state(&stuck), ResourceState::TimedOut);
        assert_eq!(ResourceGuard::state(&excluded), ResourceState::Live);
        assert!(ResourceGuard::info(&good).is_none());
        assert!(ResourceGuard::info(&failing).is_none());
        assert!(ResourceGuard::info(&stuck).is_none());
        assert!(ResourceGuard::info(&excluded).is_some());
    });
}

#[test]
fn a_kept_value_comes_back_from_a_release_after_a_teardown_cleaned_it() {
    watchdog(LIMIT, || {
        let manager = manager();
        let guard = manager.resource("file").keep(String::from("path"), Cleanup::sync(|| ())).unwrap();
        assert!(manager.cleanup().is_success());
        assert_eq!(ResourceGuard::release(guard), "path");
        assert_eq!(manager.stats().cleaned, 1);
    });
}

#[test]
fn what_a_teardown_has_cleaned_drops_its_value_when_its_guard_loses_its_type() {
    let (manager, drops) = (manager(), DropCounter::new());
    let guard = manager.guard_value("pool", drops.value(), |_| ());
    assert!(manager.cleanup().is_success());
    assert_eq!(drops.dropped(), 0, "it is the guard's");
    let erased = ResourceGuard::erase(guard);
    drops.assert_each_once();
    assert_eq!(ResourceGuard::state(&erased), ResourceState::Cleaned);
    drop(erased);
    drops.assert_each_once();
}
