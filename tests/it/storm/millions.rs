//! A million guards: live at once and torn down, and come and gone.

use std::thread;

use castoff::{ManagerConfig, ResourceGuard, ResourceManager, ResourceState};

use super::tally::Tally;
use super::watchdog::Watchdog;
use super::{patience, scaled};

const LIVE_AT_ONCE: usize = 1_000_000;
const COME_AND_GONE: usize = 1_000_000;

#[test]
fn a_million_guards_live_at_once_are_torn_down_once_each() {
    let watchdog = Watchdog::new("a_million_guards_live_at_once_are_torn_down_once_each", patience());
    let worker = watchdog.worker("the test");
    let half = scaled(LIVE_AT_ONCE) / 2;
    let manager = ResourceManager::isolated("a million", ManagerConfig::default());
    let tally = Tally::new(2 * half);
    worker.doing("registering on two threads");
    let guards: Vec<ResourceGuard<()>> =
        on_two_threads(half, |one| manager.guard("one of many", tally.cleanup(one)));
    assert_eq!(manager.resource_count(), 2 * half);
    worker.doing("cleanup()");
    let report = manager.cleanup();
    assert_eq!((report.processed(), report.cleaned()), (2 * half, 2 * half));
    assert!(report.is_success());
    assert_eq!(manager.resource_count(), 0);
    tally.assert_each_ran_once();
    worker.doing("dropping the guards");
    assert!(guards.iter().all(|guard| ResourceGuard::state(guard) == ResourceState::Cleaned));
    drop(guards);
    tally.assert_each_ran_once();
}

#[test]
fn a_million_guards_that_come_and_go_leave_nothing() {
    let watchdog = Watchdog::new("a_million_guards_that_come_and_go_leave_nothing", patience());
    let half = scaled(COME_AND_GONE) / 2;
    let manager = ResourceManager::isolated("a million", ManagerConfig::default());
    let tally = Tally::new(2 * half);
    watchdog.worker("the test").doing("registering and dropping on two threads");
    let passed: Vec<()> = on_two_threads(half, |one| drop(manager.guard("one of many", tally.cleanup(one))));
    assert_eq!(passed.len(), 2 * half);
    assert_eq!(manager.resource_count(), 0);
    assert!(manager.resources().is_empty());
    tally.assert_each_ran_once();
    let stats = manager.stats();
    assert_eq!((stats.registered, stats.cleaned), (2 * half as u64, 2 * half as u64));
}

/// The results of the first half's numbers from one thread, then those of the second half's from another.
fn on_two_threads<R: Send>(half: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let run = &run;
    thread::scope(|scope| {
        let first = scope.spawn(move || (0..half).map(run).collect::<Vec<R>>());
        let second: Vec<R> = (half..2 * half).map(run).collect();
        let mut all = first.join().expect("the other thread panicked");
        all.extend(second);
        all
    })
}
