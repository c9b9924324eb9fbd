//! Guards dropped while a panic unwinds: they clean, and the panic that was under way stays the one that is
//! seen.

use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{CleanupReason, ResourceManager};

use crate::support::{LIMIT, OrderLog, lock, manager, panic_of, watchdog};

#[test]
fn a_panic_runs_the_cleanups_of_the_guards_it_passes() {
    let manager = manager();
    let log = OrderLog::new();
    let told = panic_of(|| {
        let _outer = manager.guard("outer", log.cleanup("outer"));
        let _inner = manager.guard("inner", log.cleanup("inner"));
        panic!("the test's own");
    });
    assert_eq!(told, "the test's own");
    log.assert_is(&["inner", "outer"]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn a_panic_in_a_cleanup_during_unwinding_does_not_replace_the_first_one() {
    let manager = manager();
    let log = OrderLog::new();
    let told = panic_of(|| {
        let _outer = manager.guard("outer", log.cleanup("outer"));
        let _wobbly = manager.guard("wobbly", || panic!("second"));
        panic!("first");
    });
    assert_eq!(told, "first");
    log.assert_is(&["outer"]);
    assert_eq!(manager.stats().failed, 1);
}

#[test]
fn a_cleanup_during_unwinding_is_told_so() {
    let manager = manager();
    let reason = Arc::new(Mutex::new(None));
    let told = Arc::clone(&reason);
    panic_of(|| {
        let registration = manager.resource("pool");
        let _guard = registration.guard_with_context(move |cx| *lock(&told) = Some(cx.reason())).unwrap();
        panic!("the test's own");
    });
    assert_eq!(*lock(&reason), Some(CleanupReason::Panicking));
}

#[test]
fn dependents_hold_back_during_unwinding_too() {
    let manager = manager();
    let log = OrderLog::new();
    panic_of(|| {
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        // The fields of a tuple are dropped in their order: the dependency first, which is the wrong one.
        let _guards = (pool, server);
        panic!("the test's own");
    });
    log.assert_is(&["server", "pool"]);
}

// A failed assertion in a `drop` during unwinding would abort every other test: it writes down what it saw.
struct TearsDown(ResourceManager, OrderLog);

impl Drop for TearsDown {
    fn drop(&mut self) {
        self.1.push(if thread::panicking() { "unwinding" } else { "not unwinding" });
        self.1.push(if self.0.cleanup().is_success() { "success" } else { "no success" });
    }
}

#[test]
fn a_teardown_during_unwinding_cleans_and_its_cleanups_do_not_see_the_panic() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let told = log.clone();
        let _guard =
            manager.guard("pool", move || told.push(if thread::panicking() { "panicking" } else { "calm" }));
        let first = panic_of(|| {
            let _tears_down = TearsDown(manager.clone(), log.clone());
            panic!("first");
        });
        assert_eq!(first, "first");
        log.assert_is(&["unwinding", "calm", "success"]);
        assert_eq!(manager.resource_count(), 0);
    });
}
