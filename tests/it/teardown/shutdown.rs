//! The last teardown: wave by wave for what registers meanwhile, within a deadline, and sealed at its end.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, RegisterError, ResourceGuard, ResourceManager};

use crate::support::{Hang, LIMIT, OrderLog, lock, manager, manager_with, watchdog};

#[test]
fn a_shutdown_cleans_everything_and_seals() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = ["one", "two"].map(|label| manager.guard(label, log.cleanup(label)));
        let report = manager.shutdown();
        assert!(report.is_success());
        assert_eq!((report.processed(), report.cleaned()), (2, 2));
        log.assert_is(&["two", "one"]);
        assert!(matches!(manager.resource("late").guard(|| ()), Err(RegisterError::ShutDown { .. })));
    });
}

#[test]
fn a_second_shutdown_has_nothing_left_to_do() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guard = manager.guard("pool", log.cleanup("pool"));
        assert_eq!(manager.shutdown().cleaned(), 1);
        let again = manager.shutdown();
        assert!(again.is_success());
        assert_eq!(again.processed(), 0);
        log.assert_is(&["pool"]);
    });
}

#[test]
fn a_shutdown_cleans_what_registers_while_it_runs() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (inside, first, late) = (manager.clone(), log.cleanup("first"), log.cleanup("late"));
        let _first = manager.guard("first", move || {
            ResourceGuard::leak(inside.guard("late", late));
            first();
        });
        let report = manager.shutdown();
        assert!(report.is_success());
        assert_eq!((report.processed(), report.cleaned()), (2, 2));
        log.assert_is(&["first", "late"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

/// Registers a generation whose cleanup registers the next one, and writes down whether the manager took it.
fn generation(manager: &ResourceManager, log: &OrderLog, number: usize) {
    let (inside, told) = (manager.clone(), log.clone());
    let cleanup = move || {
        told.push(&format!("cleaned {number}"));
        // A refused cleanup runs at once and would try the next: it would go on for ever.
        if inside.resource("probe").check().is_ok() {
            generation(&inside, &told, number + 1);
        }
    };
    match manager.resource(format!("generation {number}")).guard(cleanup) {
        Ok(guard) => ResourceGuard::leak(guard),
        Err(error) => log.push(&format!("refused {number}: {error}")),
    }
}

#[test]
fn a_shutdown_of_what_registers_itself_again_seals_after_the_second_wave_and_ends() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        generation(&manager, &log, 1);
        let report = manager.shutdown();
        assert!(report.is_success());
        // The second wave is over when the third generation has been taken; the third wave is closed to a
        // fourth.
        log.assert_is(&["cleaned 1", "cleaned 2", "cleaned 3"]);
        assert_eq!(report.cleaned(), 3);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_shutdown_seals_at_half_of_its_deadline() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().shutdown_deadline(Duration::from_secs(2)));
        let (inside, sealed_at) = (manager.clone(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&sealed_at);
        let slow = manager.resource("slow").timeout(LIMIT);
        let _slow = slow.guard(move || {
            let start = Instant::now();
            while inside.resource("probe").check().is_ok() {
                assert!(start.elapsed() < Duration::from_secs(5), "never sealed");
                thread::sleep(Duration::from_millis(1));
            }
            *lock(&told) = Some(Instant::now());
        });
        let start = Instant::now();
        let report = manager.shutdown();
        assert!(report.is_success(), "{report}");
        let sealed_after = lock(&sealed_at).expect("the cleanup saw the seal") - start;
        assert!(sealed_after >= Duration::from_secs(1), "open in the first half: {sealed_after:?}");
    });
}

#[test]
fn a_shutdown_keeps_the_deadline_of_its_manager() {
    watchdog(LIMIT, || {
        let deadline = Duration::from_millis(600);
        let manager = manager_with(ManagerConfig::default().shutdown_deadline(deadline));
        let (log, hang) = (OrderLog::new(), Hang::new());
        let _one = manager.guard("one", log.cleanup("one"));
        let _stuck = manager.resource("stuck").timeout(LIMIT).guard(hang.cleanup()).unwrap();
        let start = Instant::now();
        let report = manager.shutdown();
        assert!(start.elapsed() < deadline + Duration::from_secs(4), "{:?}", start.elapsed());
        assert_eq!((report.cleaned(), report.timed_out()), (1, 1));
        log.assert_is(&["one"]);
        assert!(manager.resource("late").guard(|| ()).is_err());
    });
}

#[test]
fn a_shutdown_reaches_into_children() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _below = child.guard("below", log.cleanup("below"));
        assert_eq!(parent.shutdown().cleaned(), 1);
        log.assert_is(&["below"]);
    });
}

#[test]
fn two_shutdowns_at_once_clean_everything_once() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards: Vec<_> = (0..100).map(|_| manager.guard("pool", log.cleanup("pool"))).collect();
        let other = manager.clone();
        let other = thread::spawn(move || other.shutdown().is_success());
        assert!(manager.shutdown().is_success());
        assert!(other.join().unwrap());
        assert_eq!(log.entries().len(), 100);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_something_outside_depends_on_outlives_a_shutdown_and_is_cleaned_behind_it() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let pool = child.guard("pool", log.cleanup("pool"));
        let server = parent.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let report = child.shutdown();
        assert_eq!((report.cleaned(), report.skipped().len()), (0, 1), "{report}");
        log.assert_is(&[]);
        assert!(child.resource("late").guard(|| ()).is_err(), "it is sealed all the same");
        drop(pool);
        drop(server);
        log.assert_is(&["server", "pool"]);
    });
}
