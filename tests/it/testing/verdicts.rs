//! What fails a test besides its body, and what its panic says then.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::mpsc;
use std::time::Duration;

use castoff::testing::scope;
use castoff::{ManagerConfig, ResourceGuard, ResourceManager};

use super::{failure, message};
use crate::support::{LIMIT, watchdog};

#[test]
fn a_panicking_body_keeps_its_message_and_the_leaks_come_after_it() {
    let test = |manager: &ResourceManager| {
        std::mem::forget(manager.guard("forgotten", || ()));
        panic!("the body's own: {}", 1 + 1)
    };
    let message = failure(|| scope::<()>(test));
    assert!(message.starts_with("the body's own: 2\nand besides: 1 leak in "), "{message}");
}

#[test]
fn a_panicking_body_that_leaves_nothing_panics_as_ever() {
    let message = failure(|| {
        scope::<()>(|manager| {
            let _guard = manager.guard("dropped", || ());
            panic!("only this")
        })
    });
    assert_eq!(message, "only this");
}

#[test]
fn a_payload_that_is_no_text_is_handed_on_as_it_is() {
    let test = |manager: &ResourceManager| {
        std::mem::forget(manager.guard("forgotten", || ()));
        panic_any(42_u8)
    };
    let payload = catch_unwind(AssertUnwindSafe(|| scope::<()>(test))).expect_err("it panics");
    assert_eq!(payload.downcast_ref(), Some(&42_u8));
}

#[test]
fn a_cleanup_that_fails_in_a_drop_fails_the_test() {
    let message = failure(|| scope(|manager| drop(manager.guard("journal", || Err("disk full")))));
    assert!(message.contains("1 cleanup failed that a drop had run:"), "{message}");
    assert!(
        message.contains("cleanup of `journal` (made at ") && message.contains("failed: disk full"),
        "{message}"
    );
}

#[test]
fn so_does_one_with_dependencies_and_one_that_panics_and_one_that_was_deferred() {
    let message = failure(|| {
        scope(|manager| {
            let pool = manager.guard("pool", || panic!("no pool"));
            let server =
                manager.resource("server").depends_on(&pool).guard(|| Err("no server")).expect("not refused");
            drop(pool);
            drop(server);
        })
    });
    assert!(message.contains("2 cleanups failed"), "{message}");
    assert!(message.contains("failed: no server") && message.contains("panicked: no pool"), "{message}");
}

#[test]
fn a_failure_that_the_body_was_told_of_is_its_own_affair() {
    scope(|manager| {
        let journal = manager.guard("journal", || Err("disk full"));
        assert!(ResourceGuard::close(journal).is_err());
        let _index = manager.guard("index", || Err("disk full"));
        assert!(!manager.cleanup().is_success());
    });
}

#[test]
fn failures_are_listed_up_to_a_number_and_then_counted() {
    let message = failure(|| {
        scope(|manager| {
            for _ in 0..25 {
                drop(manager.guard("one of many", || Err("no")));
            }
        })
    });
    assert!(message.contains("25 cleanups failed") && message.contains("and 5 more"), "{message}");
    assert_eq!(message.matches("failed: no").count(), 20);
}

#[test]
fn a_teardown_that_fails_fails_the_test_with_its_report() {
    let message = failure(|| {
        scope(|manager| {
            ResourceGuard::leak(manager.guard("left to the teardown", || Err("disk full")));
        })
    });
    assert!(message.contains("teardown of ") && message.contains("failed: disk full"), "{message}");
    assert!(!message.contains("a drop had run"), "told once: {message}");
}

/// An error that has no text.
#[derive(Debug)]
struct Unshowable;

impl std::fmt::Display for Unshowable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("nothing to show")
    }
}

impl std::error::Error for Unshowable {}

#[test]
fn a_teardown_whose_error_panics_when_it_is_shown_fails_the_test_all_the_same() {
    let message = failure(|| {
        scope(|manager| {
            ResourceGuard::leak(manager.guard("left to the teardown", || Err(Unshowable)));
        })
    });
    assert!(message.contains("failed with an error that panics when displayed"), "{message}");
}

#[test]
fn a_teardown_that_hangs_ends_by_the_managers_deadline_and_fails_the_test() {
    watchdog(LIMIT, || {
        let config = ManagerConfig::default().shutdown_deadline(Duration::from_millis(300));
        let around = ResourceManager::isolated("around", config);
        let (end, ended) = mpsc::channel::<()>();
        let test = || {
            around.scope("tests", |_| {
                scope(|manager| {
                    ResourceGuard::leak(manager.guard("stuck", move || ended.recv().unwrap_or_default()));
                })
            })
        };
        let message = failure(test);
        assert!(message.contains("`stuck`") || message.contains("stuck"), "{message}");
        assert!(message.contains("timed out"), "{message}");
        drop(end);
    });
}

#[test]
fn a_scope_in_a_drop_during_a_panic_does_not_abort() {
    struct Leaks;
    impl Drop for Leaks {
        fn drop(&mut self) {
            scope(|manager| std::mem::forget(manager.guard("forgotten", || ())));
        }
    }
    let test = || {
        let _leaks = Leaks;
        panic!("first")
    };
    let payload = catch_unwind::<_, ()>(test).expect_err("it panics");
    assert_eq!(message(&*payload), "first");
}

#[test]
fn what_the_body_returned_may_panic_when_it_is_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb")
        }
    }
    let message = failure(|| {
        scope(|manager| {
            std::mem::forget(manager.guard("forgotten", || ()));
            Bomb
        })
    });
    assert!(message.contains("`forgotten`"), "{message}");
}
