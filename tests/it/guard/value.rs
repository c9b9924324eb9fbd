//! The guarded value: reached through the guard, alive while the cleanup runs, dropped once and after it.

use std::sync::Arc;

use castoff::{Category, Cleanup, Resource, ResourceGuard};

use crate::support::{DropCounter, LIMIT, OrderLog, manager, watchdog};

#[test]
fn a_value_is_reached_through_its_guard() {
    let guard = manager().guard_value("pool", vec![1, 2], |_: &Vec<i32>| ());
    assert_eq!(guard.len(), 2);
    let shared: &Arc<Vec<i32>> = &guard;
    assert_eq!(**shared, [1, 2]);
}

#[test]
fn a_kept_value_is_written_through_its_guard() {
    let mut guard = manager().resource("queue").keep(vec![1], Cleanup::sync(|| ())).unwrap();
    guard.push(2);
    assert_eq!(*guard, [1, 2]);
}

#[test]
fn a_cleanup_is_handed_the_value() {
    let log = OrderLog::new();
    let told = log.clone();
    drop(manager().guard_value("pool", String::from("orders"), move |name: &String| told.push(name)));
    log.assert_is(&["orders"]);
}

#[test]
fn a_shared_value_is_dropped_after_the_cleanup() {
    let log = OrderLog::new();
    let cleanup = log.cleanup("cleanup");
    drop(manager().guard_value("pool", log.value("pool"), move |_| cleanup()));
    log.assert_is(&["cleanup", "pool dropped"]);
}

#[test]
fn a_kept_value_is_dropped_after_the_cleanup() {
    let manager = manager();
    let log = OrderLog::new();
    drop(manager.resource("pool").keep(log.value("pool"), log.cleanup_value("cleanup")).unwrap());
    log.assert_is(&["cleanup", "pool dropped"]);
    let closed = manager.resource("file").keep(log.value("file"), log.cleanup_value("close")).unwrap();
    ResourceGuard::close(closed).unwrap();
    log.assert_is(&["cleanup", "pool dropped", "close", "file dropped"]);
}

#[test]
fn a_value_is_dropped_once_even_if_its_cleanup_fails_or_panics() {
    let manager = manager();
    let drops = DropCounter::new();
    drop(manager.resource("failing").keep(drops.value(), Cleanup::sync(|| Err("no disk"))).unwrap());
    drop(manager.resource("panicking").keep(drops.value(), Cleanup::sync(|| panic!("boom"))).unwrap());
    drop(manager.guard_value("shared", drops.value(), |_| panic!("boom")));
    assert_eq!(drops.dropped(), 3);
    drops.assert_each_once();
}

#[test]
fn a_value_outlives_the_teardown_that_cleaned_it_while_its_guard_is_held() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let kept = manager.resource("kept").keep(log.value("kept"), log.cleanup_value("clean kept")).unwrap();
        let cleanup = log.cleanup("clean shared");
        let shared = manager.guard_value("shared", log.value("shared"), move |_| cleanup());
        assert!(manager.cleanup().is_success());
        log.assert_is(&["clean shared", "clean kept"]);
        drop(kept);
        drop(shared);
        log.assert_is(&["clean shared", "clean kept", "kept dropped", "shared dropped"]);
    });
}

#[test]
fn an_erased_guard_is_the_same_resource_and_its_value_is_dropped_after_the_cleanup() {
    let manager = manager();
    let log = OrderLog::new();
    let guard = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("cleanup")).unwrap();
    let id = ResourceGuard::id(&guard);
    let erased: ResourceGuard<()> = ResourceGuard::erase(guard);
    log.assert_is(&[]);
    assert_eq!(ResourceGuard::id(&erased), id);
    assert_eq!(manager.resource_count(), 1);
    drop(erased);
    log.assert_is(&["cleanup", "pool dropped"]);
}

#[test]
fn the_value_of_an_erased_guard_goes_with_a_teardown() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let guard = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("cleanup")).unwrap();
        let erased = ResourceGuard::erase(guard);
        assert!(manager.cleanup().is_success());
        drop(erased);
        log.assert_is(&["cleanup", "pool dropped"]);
    });
}

struct Connection {
    log: OrderLog,
    queries: usize,
}

impl Resource for Connection {
    const CATEGORY: Category = Category::Network;
    fn cleanup(&mut self) -> Cleanup {
        self.log.push("cleanup made");
        self.log.cleanup_value("closed")
    }
}

#[test]
fn an_adopted_value_makes_its_cleanup_when_it_is_registered_and_can_be_written_to() {
    let log = OrderLog::new();
    let mut guard = manager().adopt(Connection { log: log.clone(), queries: 0 });
    log.assert_is(&["cleanup made"]);
    guard.queries += 1;
    assert_eq!(guard.queries, 1);
    drop(guard);
    log.assert_is(&["cleanup made", "closed"]);
}
