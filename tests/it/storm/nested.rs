//! Teardowns of a parent and of its children at once, and scopes that come and go while what they are in is torn down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use castoff::{ManagerConfig, RegisterError, ResourceGuard, ResourceManager};

use super::tally::Tally;
use super::watchdog::{Watchdog, Worker};
use super::{Counted, Dice, patience, scaled};

const PER_THREAD: usize = 15_000;
const SCOPES: usize = 1_000;
const PER_SCOPE: usize = 6;

#[test]
fn a_parent_and_its_children_may_be_torn_down_at_once() {
    let watchdog = Watchdog::new("a_parent_and_its_children_may_be_torn_down_at_once", patience());
    let per_thread = scaled(PER_THREAD);
    let root = ResourceManager::isolated("root", ManagerConfig::default());
    let children = [root.child("first"), root.child("second")];
    let grandchild = children[0].child("grandchild");
    let tally = Tally::new(2 * per_thread);
    let done = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        for manager in [&root, &children[0], &children[1], &grandchild] {
            let worker = watchdog.worker(format!("tears down {manager:?}"));
            let done = &done;
            scope.spawn(move || tear_down_until(done, manager, &worker));
        }
        let start = |thread: usize| {
            let (root, home, tally) = (&root, [&children[thread], &grandchild], &tally);
            let worker = watchdog.worker(format!("registers, thread {thread}"));
            let numbers = thread * per_thread..(thread + 1) * per_thread;
            scope.spawn(move || register(root, home, tally, numbers, &worker))
        };
        let registering = [start(0), start(1)];
        let refused = registering.map(|thread| thread.join());
        done.store(true, SeqCst);
        refused.map(|refused| refused.expect("a registering thread panicked")).concat()
    });
    let report = root.cleanup();
    assert!(report.skipped().is_empty(), "{report}");
    assert_eq!(root.resource_count(), 0);
    tally.assert_each_ran_once();
    let late: Vec<usize> =
        (0..tally.len()).filter(|one| tally.is_late(*one) && !refused.contains(one)).collect();
    assert!(late.is_empty(), "cleaned after what they depend on: {late:?}");
}

fn tear_down_until(done: &AtomicBool, manager: &ResourceManager, worker: &Worker) {
    while !done.load(SeqCst) {
        worker.doing("cleanup()");
        let report = manager.cleanup();
        assert_eq!(
            report.processed(),
            report.cleaned() + report.failed() + report.skipped().len(),
            "{report}"
        );
        worker.doing("a pause");
        thread::yield_now();
    }
}

/// Puts a resource in the root now and then, and others on top of it in the children. Returns those refused.
fn register(
    root: &ResourceManager,
    homes: [&ResourceManager; 2],
    tally: &Arc<Tally>,
    numbers: std::ops::Range<usize>,
    worker: &Worker,
) -> Vec<usize> {
    let mut dice = Dice::new(numbers.start);
    let mut base: Option<(usize, ResourceGuard<()>)> = None;
    let mut held = Vec::new();
    let mut refused = Vec::new();
    for one in numbers {
        worker.doing("registering");
        if one % 5 == 0 {
            let guard = root.resource("base").guard(tally.moody_cleanup(one, Vec::new()));
            base = Some((one, guard.expect("it needs nothing")));
            continue;
        }
        let needs = base.iter().map(|(known, _)| *known).collect();
        let on = base.iter().map(|(_, guard)| guard);
        let registration = homes[dice.roll(2)].resource("on top").depends_on_all(on);
        match registration.guard(tally.moody_cleanup(one, needs)) {
            Ok(guard) => held.push(guard),
            Err(RegisterError::DependencyGone { .. }) => refused.push(one),
            Err(other) => panic!("refused: {other}"),
        }
        if held.len() > 8 {
            worker.doing("dropping");
            drop(held.swap_remove(dice.roll(8)));
        }
    }
    refused
}

#[test]
fn scopes_that_come_and_go_under_teardowns_lose_nothing() {
    let watchdog = Watchdog::new("scopes_that_come_and_go_under_teardowns_lose_nothing", patience());
    let scopes = scaled(SCOPES);
    let root = ResourceManager::isolated("root", ManagerConfig::default());
    let tally = Tally::new(2 * scopes * PER_SCOPE);
    let running = AtomicUsize::new(2);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (root, tally, running) = (&root, &tally, &running);
            let worker = watchdog.worker(format!("opens scopes, thread {thread}"));
            scope.spawn(move || {
                let _counted = Counted(running);
                for number in thread * scopes..(thread + 1) * scopes {
                    open_scope(root, tally, number, &worker);
                }
            });
        }
        let worker = watchdog.worker("tears the root down");
        while running.load(SeqCst) > 0 {
            worker.doing("cleanup()");
            let report = root.cleanup();
            assert_eq!(report.timed_out(), 0, "{report}");
            worker.doing("looking");
            assert!(root.resource_count() <= tally.len());
            thread::yield_now();
        }
    });
    assert_eq!(root.resource_count(), 0, "every scope has ended");
    tally.assert_each_ran_once();
}

/// A scope in which some guards are dropped, and some outlive the scope.
fn open_scope(root: &ResourceManager, tally: &Arc<Tally>, number: usize, worker: &Worker) {
    worker.doing("opening a scope");
    let (outliving, report) = root.scope("passing", |manager| {
        let mut outliving = Vec::new();
        for one in number * PER_SCOPE..(number + 1) * PER_SCOPE {
            worker.doing("registering in a scope");
            let guard = manager.guard("in a scope", tally.cleanup(one));
            if one % 2 == 0 {
                outliving.push(guard);
            }
        }
        worker.doing("ending a scope");
        outliving
    });
    assert!(report.is_success(), "{report}");
    for one in number * PER_SCOPE..(number + 1) * PER_SCOPE {
        assert_eq!(tally.runs(one), 1, "the end of its scope cleans {one}, or waits for who does");
    }
    worker.doing("dropping guards of an ended scope");
    drop(outliving);
}
