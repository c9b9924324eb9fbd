//! Values that know their own cleanup: what `adopt` takes from them, and what happens when asking them
//! panics.

use castoff::{Category, Cleanup, Label, Resource, ResourceGuard};

use crate::support::{Counted, DropCounter, OrderLog, manager, panic_of};

struct OrdersPool(OrderLog);

impl Resource for OrdersPool {
    const CATEGORY: Category = Category::Database;
    fn cleanup(&mut self) -> Cleanup {
        self.0.cleanup_value("pool closed")
    }
}

struct Named(&'static str);

impl Resource for Named {
    const CATEGORY: Category = Category::File;
    fn label(&self) -> Label {
        Label::from(self.0)
    }
    fn cleanup(&mut self) -> Cleanup {
        Cleanup::sync(|| ())
    }
}

#[test]
fn an_adopted_value_brings_its_category_and_is_called_after_its_type() {
    let log = OrderLog::new();
    let guard = manager().adopt(OrdersPool(log.clone()));
    let info = ResourceGuard::info(&guard).unwrap();
    assert_eq!((&*info.label, info.category), ("OrdersPool", Category::Database));
    drop(guard);
    log.assert_is(&["pool closed"]);
}

#[test]
fn an_adopted_value_may_say_its_own_label() {
    let guard = manager().adopt(Named("orders.db"));
    assert_eq!(&*ResourceGuard::info(&guard).unwrap().label, "orders.db");
}

#[test]
fn an_adopted_value_with_an_empty_label_is_called_unnamed() {
    let guard = manager().adopt(Named(""));
    assert_eq!(&*ResourceGuard::info(&guard).unwrap().label, "unnamed");
}

#[test]
fn a_registration_may_adopt_with_every_option() {
    let manager = manager();
    let log = OrderLog::new();
    let registration = manager.resource("orders").named("db").tag("primary");
    let guard = registration.adopt(OrdersPool(log.clone())).unwrap();
    let info = ResourceGuard::info(&guard).unwrap();
    assert_eq!((&*info.label, info.name.as_deref(), info.tags.len()), ("orders", Some("db"), 1));
    ResourceGuard::close(guard).unwrap();
    log.assert_is(&["pool closed"]);
}

struct Panicking {
    in_label: bool,
    _counted: Counted,
}

impl Resource for Panicking {
    const CATEGORY: Category = Category::Event;
    fn label(&self) -> Label {
        assert!(!self.in_label, "no label");
        Label::from("wobbly")
    }
    fn cleanup(&mut self) -> Cleanup {
        panic!("no cleanup")
    }
}

#[test]
fn a_value_that_panics_when_asked_leaves_adopt_and_nothing_is_registered() {
    let (manager, drops) = (manager(), DropCounter::new());
    let without_label = Panicking { in_label: true, _counted: drops.value() };
    assert_eq!(panic_of(|| manager.adopt(without_label)), "no label");
    let without_cleanup = Panicking { in_label: false, _counted: drops.value() };
    assert_eq!(panic_of(|| manager.adopt(without_cleanup)), "no cleanup");
    let registered = Panicking { in_label: false, _counted: drops.value() };
    assert_eq!(panic_of(|| manager.resource("wobbly").named("db").adopt(registered)), "no cleanup");
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(manager.find("db"), None);
    assert_eq!(drops.dropped(), 3);
    drops.assert_each_once();
}
