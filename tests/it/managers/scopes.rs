//! Scopes: a child manager that ends with a block, whatever the block does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use castoff::{CleanupReason, ManagerConfig, RegisterError, ResourceGuard, ResourceManager, ResourceState};

use crate::support::{Hang, LIMIT, OrderLog, lock, manager, manager_with, panic_of, watchdog};

#[test]
fn a_scope_returns_what_its_body_does_and_a_report_of_what_it_cleaned() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (value, report) = manager.scope("scope", |scope| {
            ResourceGuard::leak(scope.guard("one", log.cleanup("one")));
            ResourceGuard::leak(scope.guard("two", log.cleanup("two")));
            7
        });
        assert_eq!(value, 7);
        assert_eq!((report.processed(), report.cleaned()), (2, 2));
        assert!(report.is_success());
        log.assert_is(&["two", "one"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_ends_inside_a_scope_is_not_in_its_report() {
    watchdog(LIMIT, || {
        let log = OrderLog::new();
        let ((), report) = manager().scope("scope", |scope| drop(scope.guard("pool", log.cleanup("pool"))));
        assert_eq!(report.processed(), 0);
        assert!(report.is_success());
        log.assert_is(&["pool"]);
    });
}

#[test]
fn a_scope_leaves_what_is_outside_of_it_alone() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _outside = manager.guard("outside", log.cleanup("outside"));
        let (inside, report) = manager.scope("scope", |scope| scope.guard("inside", log.cleanup("inside")));
        assert_eq!(report.processed(), 1);
        log.assert_is(&["inside"]);
        assert_eq!(ResourceGuard::state(&inside), ResourceState::Cleaned);
        assert_eq!(manager.resource_count(), 1);
    });
}

#[test]
fn a_guard_that_leaves_its_scope_is_cleaned_at_its_end_and_not_again() {
    watchdog(LIMIT, || {
        let log = OrderLog::new();
        let (guard, _report) = manager().scope("scope", |scope| scope.guard("pool", log.cleanup("pool")));
        log.assert_is(&["pool"]);
        drop(guard);
        log.assert_is(&["pool"]);
    });
}

#[test]
fn the_resources_of_a_scope_are_visible_from_outside_while_it_runs() {
    watchdog(LIMIT, || {
        let manager = manager();
        let ((), _report) = manager.scope("scope", |scope| {
            let guard = scope.guard("pool", || ());
            let info = manager.get(ResourceGuard::id(&guard)).unwrap();
            assert_eq!(&*info.manager, "scope");
            assert_eq!((manager.resource_count(), scope.resource_count()), (1, 1));
        });
    });
}

#[test]
fn a_scope_whose_body_panics_cleans_and_passes_the_panic_on() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let told = panic_of(|| {
            manager.scope("scope", |scope| {
                ResourceGuard::leak(scope.guard("one", log.cleanup("one")));
                ResourceGuard::leak(scope.guard("wobbly", || panic!("second")));
                ResourceGuard::leak(scope.guard("three", log.cleanup("three")));
                panic!("first");
            })
        });
        assert_eq!(told, "first");
        log.assert_is(&["three", "one"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_failing_cleanup_at_the_end_of_a_scope_is_in_the_report_beside_the_value() {
    watchdog(LIMIT, || {
        let (value, report) = manager().scope("scope", |scope| {
            ResourceGuard::leak(scope.guard("journal", || Err("no disk")));
            7
        });
        assert_eq!(value, 7);
        assert!(!report.is_success());
        assert_eq!(&*report.errors()[0].label, "journal");
    });
}

#[test]
fn a_cleanup_at_the_end_of_a_scope_is_told_so() {
    watchdog(LIMIT, || {
        let reason = Arc::new(Mutex::new(None));
        let told = Arc::clone(&reason);
        let (_guard, report) = manager().scope("scope", |scope| {
            let registration = scope.resource("pool");
            registration.guard_with_context(move |cx| *lock(&told) = Some(cx.reason())).unwrap()
        });
        assert!(report.is_success());
        assert_eq!(*lock(&reason), Some(CleanupReason::ScopeEnded));
    });
}

#[test]
fn the_end_of_a_scope_keeps_the_deadline_of_its_manager() {
    watchdog(LIMIT, || {
        let deadline = Duration::from_millis(600);
        let manager = manager_with(ManagerConfig::default().shutdown_deadline(deadline));
        let hang = Hang::new();
        let start = Instant::now();
        let (_stuck, report) = manager
            .scope("scope", |scope| scope.resource("stuck").timeout(LIMIT).guard(hang.cleanup()).unwrap());
        // Less than the ten seconds that hold where nothing is said.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(report.timed_out(), 1);
    });
}

#[test]
fn a_handle_that_outlives_its_scope_is_sealed() {
    watchdog(LIMIT, || {
        let (handle, _report) = manager().scope("scope", ResourceManager::clone);
        let refused = handle.resource("late").guard(|| ());
        assert!(matches!(refused, Err(RegisterError::ShutDown { ref manager, .. }) if &**manager == "scope"));
    });
}

#[test]
fn scopes_nest() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (inner_cleaned, outer) = manager.scope("outer", |outer| {
            ResourceGuard::leak(outer.guard("outer", log.cleanup("outer")));
            let ((), inner) = outer.scope("inner", |inner| {
                ResourceGuard::leak(inner.guard("inner", log.cleanup("inner")));
            });
            log.push("between");
            inner.cleaned()
        });
        assert_eq!((inner_cleaned, outer.cleaned()), (1, 1));
        log.assert_is(&["inner", "between", "outer"]);
    });
}

#[test]
fn inside_a_scope_it_is_the_current_manager() {
    watchdog(LIMIT, || {
        let log = OrderLog::new();
        let current = |label: &'static str| {
            ResourceGuard::leak(ResourceManager::current().guard(label, log.cleanup(label)))
        };
        let ((), report) = manager().scope("outer", |outer| {
            current("outer's first");
            let ((), inner) = outer.scope("inner", |_| current("inner's"));
            assert_eq!(inner.cleaned(), 1);
            panic_of(|| outer.scope("panicking", |_| panic!("the test's own")));
            current("outer's second");
            assert_eq!(outer.resource_count(), 2);
        });
        assert_eq!(report.cleaned(), 2);
        log.assert_is(&["inner's", "outer's second", "outer's first"]);
    });
}
