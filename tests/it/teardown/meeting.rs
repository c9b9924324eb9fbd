//! Teardowns that meet: each resource is claimed once, one teardown of a manager runs at a time, and who
//! comes late gets the result.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use castoff::{CleanupErrorKind, ResourceGuard, TeardownReport};

use crate::support::{Gate, LIMIT, OrderLog, lock, manager, shortly, watchdog};

/// Runs a teardown of `held` alone and, while its cleanup is running, one of everything from another thread.
/// Returns both reports.
fn overlapping(fails: bool) -> (TeardownReport, TeardownReport, OrderLog) {
    let (manager, log) = (manager(), OrderLog::new());
    let (started, go_on) = (Gate::new("the first cleanup to start"), Gate::new("the first cleanup to go on"));
    let _rest = manager.guard("rest", log.cleanup("rest"));
    let (starts, waits, run) = (started.clone(), go_on.clone(), log.cleanup("held"));
    let held = manager.resource("held").timeout(LIMIT);
    let held = held.guard(move || {
        starts.open();
        waits.wait();
        run();
        if fails { Err("no disk") } else { Ok(()) }
    });
    let id = ResourceGuard::id(held.as_ref().unwrap());
    let first = manager.clone();
    let first = thread::spawn(move || first.cleanup_batch(&[id]));
    started.wait();
    shortly(move || go_on.open());
    let second = manager.cleanup();
    (first.join().unwrap(), second, log)
}

/// As `overlapping`, until the second teardown has really come while the first one ran: alone, it finds one
/// resource only.
fn overlapped(fails: bool) -> (TeardownReport, TeardownReport, OrderLog) {
    (0..20)
        .map(|_| overlapping(fails))
        .find(|(_, second, _)| second.processed() > 1)
        .expect("two teardowns that meet")
}

#[test]
fn a_teardown_that_comes_late_waits_and_reports_all_that_it_asked_for() {
    watchdog(LIMIT, || {
        let (first, second, log) = overlapped(false);
        assert_eq!((first.processed(), first.cleaned()), (1, 1));
        assert_eq!((second.processed(), second.cleaned()), (2, 2));
        assert!(second.is_success());
        log.assert_is(&["held", "rest"]);
    });
}

#[test]
fn a_teardown_that_comes_late_reads_a_failure_too() {
    watchdog(LIMIT, || {
        let (first, second, log) = overlapped(true);
        assert_eq!(first.failed(), 1);
        assert_eq!((second.processed(), second.cleaned(), second.failed()), (2, 1, 1));
        let [error] = second.errors() else { panic!("{:?}", second.errors()) };
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
        log.assert_is(&["held", "rest"]);
    });
}

#[test]
fn teardowns_of_one_manager_run_one_at_a_time() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (started, go_on) =
            (Gate::new("the first cleanup to start"), Gate::new("the first cleanup to go on"));
        let (starts, waits, told) = (started.clone(), go_on.clone(), log.clone());
        let one = manager.guard("one", move || {
            told.push("one starts");
            starts.open();
            waits.wait();
            told.push("one ends");
        });
        let two = manager.guard("two", log.cleanup("two"));
        let (first, id) = (manager.clone(), ResourceGuard::id(&one));
        let first = thread::spawn(move || first.cleanup_batch(&[id]).cleaned());
        started.wait();
        shortly(move || go_on.open());
        assert_eq!(manager.cleanup_batch(&[ResourceGuard::id(&two)]).cleaned(), 1);
        assert_eq!(first.join().unwrap(), 1);
        log.assert_is(&["one starts", "one ends", "two"]);
    });
}

#[test]
fn many_callers_at_once_clean_each_resource_once() {
    const CALLERS: usize = 8;
    const RESOURCES: usize = 200;
    watchdog(LIMIT, || {
        let (manager, runs) = (manager(), Arc::new(Mutex::new(vec![0; RESOURCES])));
        let _guards: Vec<_> = (0..RESOURCES)
            .map(|number| {
                let runs = Arc::clone(&runs);
                manager.guard("one of many", move || lock(&runs)[number] += 1)
            })
            .collect();
        let start = Arc::new(Barrier::new(CALLERS));
        let callers = [(); CALLERS].map(|()| {
            let (manager, start) = (manager.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                let report = manager.cleanup();
                // Whoever has a report in hand has nothing of what it asked for still running.
                (report.is_success(), report.processed() == report.cleaned(), manager.resource_count())
            })
        });
        for caller in callers {
            assert_eq!(caller.join().unwrap(), (true, true, 0));
        }
        assert!(lock(&runs).iter().all(|runs| *runs == 1));
        assert_eq!(manager.stats().cleaned, RESOURCES as u64);
    });
}

#[test]
fn drops_and_a_teardown_at_once_clean_each_resource_once() {
    const RESOURCES: usize = 2_000;
    watchdog(LIMIT, || {
        let (manager, runs) = (manager(), Arc::new(Mutex::new(vec![0; RESOURCES])));
        let guards: Vec<_> = (0..RESOURCES)
            .map(|number| {
                let runs = Arc::clone(&runs);
                manager.guard("one of many", move || lock(&runs)[number] += 1)
            })
            .collect();
        let start = Arc::new(Barrier::new(2));
        let ready = Arc::clone(&start);
        // The teardown goes from the newest to the oldest, the drops the other way: they meet.
        let dropping = thread::spawn(move || {
            ready.wait();
            guards.into_iter().for_each(drop);
        });
        start.wait();
        assert!(manager.cleanup().is_success());
        dropping.join().unwrap();
        assert!(lock(&runs).iter().all(|runs| *runs == 1));
        assert_eq!((manager.stats().cleaned, manager.resource_count()), (RESOURCES as u64, 0));
    });
}

#[test]
fn teardowns_of_different_trees_do_not_wait_for_each_other() {
    watchdog(LIMIT, || {
        let (one, two) = (manager(), manager());
        let (started, other_done) =
            (Gate::new("the first cleanup to start"), Gate::new("the other teardown"));
        let (starts, waits) = (started.clone(), other_done.clone());
        let held = one.resource("held").timeout(LIMIT);
        let _held = held.guard(move || {
            starts.open();
            waits.wait();
        });
        let _free = two.guard("free", || ());
        let first = one.clone();
        let first = thread::spawn(move || first.cleanup().cleaned());
        started.wait();
        assert_eq!(two.cleanup().cleaned(), 1);
        other_done.open();
        assert_eq!(first.join().unwrap(), 1);
    });
}
