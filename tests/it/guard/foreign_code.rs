//! Foreign code that runs when something is dropped: captures, errors, panic payloads, values. A panic in it
//! harms nobody, and it may call back into the manager.

use std::error::Error;
use std::fmt;

use castoff::{Cleanup, OnUnwind, ResourceGuard, ResourceManager};

use crate::support::{Counted, DropCounter, LIMIT, OrderLog, manager, panic_of, watchdog};

/// Panics when it is dropped; what it holds is dropped all the same, and counted.
struct PanicsOnDrop {
    _counted: Counted,
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

impl fmt::Debug for PanicsOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanicsOnDrop")
    }
}

impl fmt::Display for PanicsOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error that panics when it is dropped")
    }
}

impl Error for PanicsOnDrop {}

#[test]
fn a_capture_that_panics_when_an_unrun_cleanup_is_dropped_is_contained() {
    let (manager, drops) = (manager(), DropCounter::new());
    let captured = PanicsOnDrop { _counted: drops.value() };
    drop(manager.resource("rollback").strategy::<OnUnwind>().guard(move || drop(captured)).unwrap());
    drops.assert_each_once();
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_capture_that_panics_at_the_end_of_its_cleanup_is_a_panic_of_the_cleanup() {
    let (manager, drops) = (manager(), DropCounter::new());
    let captured = PanicsOnDrop { _counted: drops.value() };
    drop(manager.guard("pool", move || drop(captured)));
    drops.assert_each_once();
    assert_eq!(manager.stats().failed, 1);
}

#[test]
fn an_error_that_panics_when_it_is_dropped_is_contained() {
    let (manager, drops) = (manager(), DropCounter::new());
    let error = PanicsOnDrop { _counted: drops.value() };
    drop(manager.guard("pool", move || Err(error)));
    drops.assert_each_once();
    assert_eq!(manager.stats().failed, 1);
}

#[test]
fn a_panic_payload_that_panics_when_it_is_dropped_is_contained() {
    let (manager, drops) = (manager(), DropCounter::new());
    let payload = PanicsOnDrop { _counted: drops.value() };
    drop(manager.guard("pool", move || std::panic::panic_any(payload)));
    drops.assert_each_once();
    assert_eq!(manager.stats().failed, 1);
}

#[test]
fn a_deferred_value_that_panics_when_it_is_dropped_is_contained() {
    let (manager, drops, log) = (manager(), DropCounter::new(), OrderLog::new());
    let base = manager.guard("base", log.cleanup("base"));
    let registration = manager.resource("pool").depends_on(&base);
    let pool =
        registration.keep(PanicsOnDrop { _counted: drops.value() }, log.cleanup_value("pool")).unwrap();
    let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
    drop(base);
    drop(pool);
    drop(server);
    log.assert_is(&["server", "pool", "base"]);
    drops.assert_each_once();
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_panic_in_the_values_own_drop_is_the_values_own_and_the_cleanup_has_run() {
    let (manager, drops, log) = (manager(), DropCounter::new(), OrderLog::new());
    let guard = manager
        .resource("pool")
        .keep(PanicsOnDrop { _counted: drops.value() }, log.cleanup_value("pool"))
        .unwrap();
    assert_eq!(panic_of(|| drop(guard)), "dropped");
    log.assert_is(&["pool"]);
    drops.assert_each_once();
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_teardown_contains_the_panics_of_what_it_drops() {
    watchdog(LIMIT, || {
        let (manager, drops, log) = (manager(), DropCounter::new(), OrderLog::new());
        let value = manager
            .resource("value")
            .keep(PanicsOnDrop { _counted: drops.value() }, log.cleanup_value("value"))
            .unwrap();
        ResourceGuard::leak(value);
        let payload = PanicsOnDrop { _counted: drops.value() };
        let _payload = manager.guard("payload", move || std::panic::panic_any(payload));
        let _last = manager.guard("last", log.cleanup("last"));
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.failed(), report.cleaned()), (3, 1, 2));
        log.assert_is(&["last", "value"]);
        drops.assert_each_once();
    });
}

/// Uses the manager when it is dropped: a lock held at that moment would never be got.
struct CallsBack(ResourceManager, OrderLog);

impl Drop for CallsBack {
    fn drop(&mut self) {
        drop(self.0.guard("from a drop", self.1.cleanup("from a drop")));
        self.0.resources();
        self.1.push("looked");
    }
}

#[test]
fn the_drop_of_a_capture_may_use_the_manager() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let captured = CallsBack(manager.clone(), log.clone());
        ResourceGuard::release(manager.guard("pool", move || drop(captured)));
        log.assert_is(&["from a drop", "looked"]);
    });
}

#[test]
fn the_drop_of_a_value_may_use_the_manager() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let value = CallsBack(manager.clone(), log.clone());
        let pool = manager.resource("pool").keep(value, Cleanup::sync(|| ())).unwrap();
        let server = manager.resource("server").depends_on(&pool).guard(|| ()).unwrap();
        drop(pool);
        drop(server);
        log.assert_is(&["from a drop", "looked"]);
    });
}
