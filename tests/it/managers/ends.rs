//! How a manager ends: dropping a handle cleans nothing, a shutdown seals, and a parent does not end with its
//! child.

use castoff::{RegisterError, ResourceGuard};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

#[test]
fn dropping_the_last_handle_cleans_nothing() {
    let log = OrderLog::new();
    let manager = manager();
    let guard = manager.guard("pool", log.cleanup("pool"));
    drop(manager);
    log.assert_is(&[]);
    assert!(ResourceGuard::info(&guard).is_some());
    drop(guard);
    log.assert_is(&["pool"]);
}

#[test]
fn a_child_without_a_handle_stays_visible_while_a_resource_of_it_lives() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let guard = child.guard("pool", log.cleanup("pool"));
        drop(child);
        assert_eq!(parent.resource_count(), 1);
        assert_eq!(&*parent.get(ResourceGuard::id(&guard)).unwrap().manager, "child");
        assert_eq!(parent.cleanup().cleaned(), 1);
        log.assert_is(&["pool"]);
    });
}

#[test]
fn a_parent_without_a_handle_lives_on_below_its_child() {
    let log = OrderLog::new();
    let parent = manager();
    let pool = parent.resource("pool").named("db").guard(log.cleanup("pool")).unwrap();
    let child = parent.child("child");
    drop(parent);
    let server = child.resource("server").depends_on_name("db").guard(log.cleanup("server")).unwrap();
    drop(pool);
    drop(server);
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_manager_that_was_shut_down_is_sealed_and_its_parent_is_not() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _guard = child.guard("pool", log.cleanup("pool"));
        assert_eq!(child.shutdown().cleaned(), 1);
        log.assert_is(&["pool"]);
        let refused = child.resource("late").guard(|| ());
        assert!(matches!(refused, Err(RegisterError::ShutDown { ref manager, .. }) if &**manager == "child"));
        assert!(parent.resource("pool").guard(|| ()).is_ok());
        assert!(parent.child("another").resource("pool").guard(|| ()).is_ok());
    });
}

#[test]
fn a_cleanup_does_not_seal() {
    watchdog(LIMIT, || {
        let manager = manager();
        assert!(manager.cleanup().is_success());
        assert!(manager.resource("pool").guard(|| ()).is_ok());
    });
}

#[test]
fn a_parent_works_on_after_thousands_of_its_children_have_come_and_gone() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        for _ in 0..5_000 {
            drop(parent.child("child").guard("pool", || ()));
        }
        assert_eq!(parent.resource_count(), 0);
        let _last = parent.child("last").guard("pool", log.cleanup("pool"));
        assert_eq!(parent.cleanup().processed(), 1);
        log.assert_is(&["pool"]);
    });
}
