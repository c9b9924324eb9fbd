//! A teardown asked for from inside a cleanup: it never waits for one that runs, and what it asks for is done
//! all the same.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

/// What a cleanup heard of the teardown that it asked for: handed over, and how much was processed.
type Heard = (bool, usize);

/// A cleanup that writes `label` and then asks `asked` for a teardown.
fn asking(
    asked: &ResourceManager,
    log: &OrderLog,
    label: &str,
) -> (impl FnOnce() + Send + 'static + use<>, mpsc::Receiver<Heard>) {
    let (asked, run, (tell, told)) = (asked.clone(), log.cleanup(label), mpsc::channel());
    let cleanup = move || {
        run();
        let report = asked.cleanup();
        tell.send((report.is_handed_over(), report.processed())).ok();
    };
    (cleanup, told)
}

#[test]
fn a_teardown_inside_a_cleanup_of_the_same_teardown_is_handed_over_and_done_before_its_end() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (cleanup, heard) = asking(&manager, &log, "asking");
        let guard = manager.guard("asking", cleanup);
        let report = manager.cleanup_batch(&[ResourceGuard::id(&guard)]);
        assert!(!report.is_handed_over());
        assert_eq!(heard.recv(), Ok((true, 0)));
        log.assert_is(&["asking", "rest"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_a_cleanup_registers_and_asks_to_be_torn_down_is_done_by_the_running_teardown() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (inside, late) = (manager.clone(), log.cleanup("late"));
        let _guard = manager.guard("asking", move || {
            ResourceGuard::leak(inside.guard("late", late));
            assert!(inside.cleanup().is_handed_over());
        });
        let report = manager.cleanup();
        assert!(report.is_success(), "{report}");
        log.assert_is(&["late"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_teardown_inside_a_cleanup_that_a_drop_runs_is_done_here_without_that_resource() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (cleanup, heard) = asking(&manager, &log, "asking");
        drop(manager.guard("asking", cleanup));
        assert_eq!(heard.recv(), Ok((false, 1)));
        log.assert_is(&["asking", "rest"]);
    });
}

#[test]
fn being_inside_follows_the_helper_thread_of_a_timeout() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (cleanup, heard) = asking(&manager, &log, "asking");
        drop(manager.resource("asking").timeout(LIMIT).guard(cleanup).unwrap());
        assert_eq!(heard.recv(), Ok((false, 1)));
        log.assert_is(&["asking", "rest"]);
        assert_eq!(manager.stats().timed_out, 0);
    });
}

#[test]
fn a_cleanup_inside_a_cleanup_is_inside_of_both() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (cleanup, heard) = asking(&manager, &log, "inner");
        let inner = manager.guard("inner", cleanup);
        let run = log.cleanup("outer");
        drop(manager.guard("outer", move || {
            run();
            drop(inner);
        }));
        assert_eq!(heard.recv(), Ok((false, 1)));
        log.assert_is(&["outer", "inner", "rest"]);
    });
}

#[test]
fn a_teardown_of_another_idle_manager_inside_a_cleanup_is_done_here() {
    watchdog(LIMIT, || {
        let (manager, other, log) = (manager(), manager(), OrderLog::new());
        let _rest = other.guard("rest", log.cleanup("rest"));
        let (cleanup, heard) = asking(&other, &log, "asking");
        let _guard = manager.guard("asking", cleanup);
        assert_eq!(manager.cleanup().cleaned(), 1);
        assert_eq!(heard.recv(), Ok((false, 1)));
        log.assert_is(&["asking", "rest"]);
    });
}

#[test]
fn a_call_upwards_from_a_child_that_is_being_torn_down_is_handed_over_to_that_teardown() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _above = parent.guard("above", log.cleanup("above"));
        let (cleanup, heard) = asking(&parent, &log, "asking");
        let _guard = child.guard("asking", cleanup);
        assert!(child.cleanup().is_success());
        assert_eq!(heard.recv(), Ok((true, 0)));
        log.assert_is(&["asking", "above"]);
        assert_eq!(parent.resource_count(), 0);
    });
}

#[test]
fn a_call_downwards_from_a_teardown_cleans_each_resource_once() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _below = child.guard("below", log.cleanup("below"));
        let (cleanup, heard) = asking(&child, &log, "asking");
        let _guard = parent.guard("asking", cleanup);
        assert!(parent.cleanup().is_success());
        heard.recv().unwrap();
        log.assert_is(&["asking", "below"]);
    });
}

#[test]
fn a_filtered_request_inside_a_cleanup_is_done_as_it_was_asked() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _wanted = manager.resource("wanted").tag("orders").guard(log.cleanup("wanted")).unwrap();
        let _other = manager.guard("other", log.cleanup("other"));
        let (inside, run) = (manager.clone(), log.cleanup("asking"));
        let guard = manager.guard("asking", move || {
            run();
            assert!(inside.teardown().tag("orders").run().is_handed_over());
        });
        let report = manager.cleanup_batch(&[ResourceGuard::id(&guard)]);
        assert!(report.is_success(), "{report}");
        log.assert_is(&["asking", "wanted"]);
        assert_eq!(manager.resource_count(), 1);
    });
}

#[test]
fn a_cleanup_that_asks_for_its_own_resource_runs_once() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (cleanup, heard) = asking(&manager, &log, "asking");
        let guard = manager.guard("asking", cleanup);
        assert!(manager.cleanup().is_success());
        assert_eq!(heard.recv(), Ok((true, 0)));
        drop(guard);
        log.assert_is(&["asking"]);
    });
}

#[test]
fn a_shutdown_inside_a_cleanup_does_not_wait_and_ends_the_manager() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (inside, run) = (manager.clone(), log.cleanup("asking"));
        let guard = manager.guard("asking", move || {
            run();
            assert!(inside.shutdown().is_handed_over());
        });
        let report = manager.cleanup_batch(&[ResourceGuard::id(&guard)]);
        assert!(report.is_success(), "{report}");
        log.assert_is(&["asking", "rest"]);
        assert!(manager.resource("late").guard(|| ()).is_err());
    });
}

#[test]
fn a_thread_that_a_cleanup_starts_and_joins_ends_by_the_timeout() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let inside = manager.clone();
        let registration = manager.resource("joining").timeout(Duration::from_millis(100));
        let _guard = registration.guard(move || {
            // A second caller: it waits for the teardown that waits for this cleanup.
            thread::spawn(move || inside.cleanup().processed())
                .join()
                .map(drop)
                .map_err(|_| "the thread panicked")
        });
        let report = manager.cleanup();
        assert_eq!((report.timed_out(), report.cleaned()), (1, 1));
        log.assert_is(&["rest"]);
    });
}
