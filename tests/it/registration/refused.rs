//! What becomes of a refused registration: as if its guard had been dropped at once.

use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{Category, Cleanup, OnSuccess, OnUnwind, RegisterError, Resource};

use crate::support::{DropCounter, OrderLog, lock, manager, panic_of};

#[test]
fn a_refused_cleanup_runs_once_and_nothing_is_registered() {
    let (manager, log) = (manager(), OrderLog::new());
    let refused = manager.resource("").guard(log.cleanup("refused"));
    log.assert_is(&["refused"]);
    assert!(refused.is_err());
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_refused_cleanup_runs_here() {
    let ran_on = Arc::new(Mutex::new(None));
    let told = Arc::clone(&ran_on);
    manager().resource("").guard(move || *lock(&told) = Some(thread::current().id())).unwrap_err();
    assert_eq!(*lock(&ran_on), Some(thread::current().id()));
}

#[test]
fn a_refused_value_is_dropped_after_its_cleanup() {
    let (manager, log) = (manager(), OrderLog::new());
    assert!(manager.resource("").keep(log.value("kept"), log.cleanup_value("clean kept")).is_err());
    log.assert_is(&["clean kept", "kept dropped"]);
    let cleanup = log.cleanup("clean shared");
    assert!(manager.resource("").guard_value(log.value("shared"), move |_| cleanup()).is_err());
    log.assert_is(&["clean kept", "kept dropped", "clean shared", "shared dropped"]);
}

struct Connection(OrderLog);

impl Resource for Connection {
    const CATEGORY: Category = Category::Network;
    fn cleanup(&mut self) -> Cleanup {
        self.0.cleanup_value("closed")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.push("connection dropped");
    }
}

#[test]
fn a_refused_resource_is_cleaned_and_then_dropped() {
    let log = OrderLog::new();
    let refused = manager().resource("orders").depends_on_name("nothing").adopt(Connection(log.clone()));
    assert!(matches!(refused, Err(RegisterError::UnknownDependency { .. })));
    log.assert_is(&["closed", "connection dropped"]);
}

#[test]
fn a_refused_cleanup_asks_its_strategy() {
    let (manager, log, drops) = (manager(), OrderLog::new(), DropCounter::new());
    let rollback =
        manager.resource("").strategy::<OnUnwind>().keep(drops.value(), log.cleanup_value("rollback"));
    assert!(rollback.is_err());
    log.assert_is(&[]);
    drops.assert_each_once();
    assert!(manager.resource("").strategy::<OnSuccess>().guard(log.cleanup("publish")).is_err());
    log.assert_is(&["publish"]);
}

#[test]
fn a_cleanup_refused_while_a_panic_unwinds_asks_its_strategy_then() {
    struct Registers(OrderLog);
    impl Drop for Registers {
        fn drop(&mut self) {
            let manager = manager();
            let refused = manager.resource("").strategy::<OnUnwind>().guard(self.0.cleanup("rollback"));
            self.0.push(if refused.is_err() { "refused" } else { "registered" });
        }
    }
    let log = OrderLog::new();
    panic_of(|| {
        let _registers = Registers(log.clone());
        panic!("the test's own");
    });
    log.assert_is(&["rollback", "refused"]);
}

#[test]
fn a_panic_in_a_refused_cleanup_does_not_replace_the_error() {
    let manager = manager();
    let refused = manager.resource("").guard(|| panic!("boom"));
    assert!(matches!(refused, Err(RegisterError::EmptyLabel { .. })));
    let refused = manager.resource("server").depends_on_name("db").guard(|| Err("no disk"));
    assert!(matches!(refused, Err(RegisterError::UnknownDependency { .. })));
}

#[test]
fn a_refused_registration_does_not_touch_what_it_named() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.resource("pool").named("db").guard(log.cleanup("pool")).unwrap();
    let refused =
        manager.resource("server").depends_on(&pool).depends_on_name("nothing").guard(log.cleanup("server"));
    assert!(refused.is_err());
    log.assert_is(&["server"]);
    drop(pool);
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_registration_that_is_never_finished_does_nothing() {
    let manager = manager();
    drop(manager.resource("pool").named("db"));
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(manager.find("db"), None);
}
