//! A cleanup registry that knows nothing of castoff, as one resource: in order, within its timeout, in the report, and
//! never clean unless it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use castoff::testing::scope;
use castoff::{
    CleanupErrorKind, CleanupReason, ForeignRegistry, ForeignRegistryError, ResourceGuard, ResourceOutcome,
};

use crate::support::{Hang, LIMIT, OrderLog, manager, panic_of, watchdog};

/// So many things, all of which are cleaned at once.
#[derive(Clone, Default)]
struct Legacy(Arc<AtomicUsize>);

impl Legacy {
    fn holding(count: usize) -> Legacy {
        Legacy(Arc::new(AtomicUsize::new(count)))
    }

    fn live(&self) -> impl Fn() -> usize + Send + Sync + 'static + use<> {
        let held = self.0.clone();
        move || held.load(SeqCst)
    }

    fn clean(&self) -> impl FnOnce() + Send + 'static + use<> {
        let held = self.0.clone();
        move || held.store(0, SeqCst)
    }

    fn registry(&self) -> ForeignRegistry {
        ForeignRegistry::new("legacy", self.live(), self.clean())
    }
}

#[track_caller]
fn cause(guard: ResourceGuard<ForeignRegistry>) -> String {
    let error = ResourceGuard::close(guard).expect_err("it is not clean");
    let CleanupErrorKind::Failed(cause) = &error.kind else { panic!("{error}") };
    cause.downcast_ref::<ForeignRegistryError>().expect("it says which").to_string()
}

#[test]
fn it_is_cleaned_after_what_depends_on_it_and_before_what_it_depends_on() {
    let (manager, log, legacy) = (manager(), OrderLog::new(), Legacy::holding(3));
    let pool = manager.guard("pool", log.cleanup("pool"));
    let sweep = {
        let (clean, log) = (legacy.clean(), log.cleanup("legacy"));
        move || {
            clean();
            log()
        }
    };
    let registry = ForeignRegistry::new("legacy", legacy.live(), sweep);
    let registry =
        manager.resource("legacy").depends_on(&pool).adopt(registry).expect("nothing is in the way");
    let server = manager.resource("server").depends_on(&registry).guard(log.cleanup("server"));
    let server = server.expect("nothing is in the way");
    assert_eq!(registry.live(), 3);
    // The worst order.
    drop((pool, registry));
    assert_eq!(legacy.live()(), 3, "the server may still need them");
    drop(server);
    assert_eq!(log.entries(), ["server", "legacy", "pool"]);
    assert_eq!(legacy.live()(), 0);
}

#[test]
fn what_is_left_after_its_cleanup_is_told_with_its_number() {
    let (manager, legacy) = (manager(), Legacy::holding(5));
    let held = legacy.0.clone();
    let loses_some = ForeignRegistry::new("legacy", legacy.live(), move || held.store(2, SeqCst));
    let guard = manager.adopt(loses_some);
    let report = manager.cleanup();
    assert_eq!(report.timeline()[0].outcome, ResourceOutcome::Failed);
    assert!(report.to_string().contains("2 of 5 are still live"), "{report}");
    assert!(cause(guard).contains("though that was cleaned without an error"));
}

#[test]
fn an_error_of_its_cleanup_is_told_with_what_is_left() {
    let fails = ForeignRegistry::new("legacy", || 4, || Err("the door is locked"));
    let cause = cause(manager().adopt(fails));
    assert!(
        cause.contains("4 of 4 are still live, as the cleanup of that failed: the door is locked"),
        "{cause}"
    );
}

#[test]
fn one_that_hangs_is_given_up_by_its_timeout() {
    let hang = Hang::new();
    let clean = hang.cleanup();
    let report = watchdog(LIMIT, move || {
        let manager = manager();
        let registry = ForeignRegistry::new("legacy", || 1, clean);
        let limited = manager.resource("legacy").timeout(Duration::from_millis(20)).adopt(registry);
        let _guard = limited.expect("nothing is in the way");
        manager.cleanup()
    });
    assert_eq!(report.timed_out(), 1, "{report}");
    drop(hang);
}

#[test]
fn its_cleanup_can_ask_why_it_runs() {
    let manager = manager();
    let registry = ForeignRegistry::with_context(
        "legacy",
        || 0,
        |context| match context.reason() {
            CleanupReason::Teardown => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    let _guard = manager.adopt(registry);
    assert!(manager.cleanup().is_success());
}

#[test]
fn a_test_that_expects_nothing_to_be_left_fails_by_what_is() {
    let legacy = Legacy::holding(0);
    scope(|manager| {
        let _legacy = manager.adopt(legacy.registry().expect_none());
        legacy.0.store(3, SeqCst);
        // It cleans up after itself.
        legacy.0.store(0, SeqCst);
    });
    let message = panic_of(|| {
        scope(|manager| {
            let _legacy = manager.adopt(legacy.registry().expect_none());
            legacy.0.store(3, SeqCst);
        });
    });
    assert!(message.contains("its own registry still held 3 where none was expected"), "{message}");
    assert_eq!(legacy.live()(), 0, "they are cleaned all the same");
}
