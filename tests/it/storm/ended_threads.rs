//! Threads that end while what they registered lives on: in a guard elsewhere, forgotten, leaked on purpose, or in a
//! thread-local that is dropped as the thread ends.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};

use super::tally::Tally;
use super::watchdog::Watchdog;
use super::{patience, scaled};

const THREADS: usize = 300;
const PER_THREAD: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<ResourceGuard<()>>> = const { RefCell::new(Vec::new()) };
}

/// Starts one thread after the other, so that each takes over what the one before it left behind, and collects.
fn on_many_threads<R: Send>(watchdog: &Watchdog, run: impl Fn(usize) -> Vec<R> + Sync) -> Vec<R> {
    let worker = watchdog.worker("starts threads");
    let mut all = Vec::new();
    for number in 0..scaled(THREADS) {
        worker.doing("waiting for a thread to end");
        let numbers = number * PER_THREAD..(number + 1) * PER_THREAD;
        let run = &run;
        let ended =
            thread::scope(|scope| scope.spawn(move || numbers.flat_map(run).collect::<Vec<R>>()).join());
        all.extend(ended.expect("a thread panicked"));
    }
    all
}

fn manager_and_tally() -> (ResourceManager, Arc<Tally>) {
    let manager = ResourceManager::isolated("ended threads", ManagerConfig::default());
    (manager, Tally::new(scaled(THREADS) * PER_THREAD))
}

#[test]
fn guards_outlive_the_threads_that_made_them() {
    let watchdog = Watchdog::new("guards_outlive_the_threads_that_made_them", patience());
    let (manager, tally) = manager_and_tally();
    let mut guards = on_many_threads(&watchdog, |one| vec![manager.guard("handed back", tally.cleanup(one))]);
    assert_eq!(manager.resource_count(), tally.len());
    tally.assert_runs(|_, runs| runs == 0);
    let rest = guards.split_off(guards.len() / 2);
    drop(guards);
    tally.assert_runs(|one, runs| runs == u32::from(one < tally.len() - rest.len()));
    assert_eq!(manager.resource_count(), rest.len());
    assert!(manager.cleanup().is_success());
    drop(rest);
    assert_eq!(manager.resource_count(), 0);
    tally.assert_each_ran_once();
}

#[test]
fn what_an_ended_thread_forgot_or_leaked_is_still_torn_down() {
    let watchdog = Watchdog::new("what_an_ended_thread_forgot_or_leaked_is_still_torn_down", patience());
    let (manager, tally) = manager_and_tally();
    let none: Vec<()> = on_many_threads(&watchdog, |one| {
        let guard = manager.guard("left behind", tally.cleanup(one));
        if one % 2 == 0 {
            std::mem::forget(guard)
        } else {
            ResourceGuard::leak(guard)
        }
        Vec::new()
    });
    assert!(none.is_empty());
    assert_eq!(manager.resource_count(), tally.len());
    let report = manager.cleanup();
    assert_eq!((report.cleaned(), report.processed()), (tally.len(), tally.len()));
    assert_eq!(manager.resource_count(), 0);
    tally.assert_each_ran_once();
}

#[test]
fn a_guard_in_a_thread_local_cleans_as_its_thread_ends() {
    let watchdog = Watchdog::new("a_guard_in_a_thread_local_cleans_as_its_thread_ends", patience());
    let (manager, tally) = manager_and_tally();
    let none: Vec<()> = on_many_threads(&watchdog, |one| {
        // Made before the thread's first registration in half of the threads, and after it in the others: a
        // thread's locals are dropped in no order that one could count on.
        let early = (one / PER_THREAD).is_multiple_of(2);
        if early {
            KEPT.with_borrow_mut(|kept| kept.reserve(PER_THREAD));
        }
        let guard = manager.guard("kept in a thread-local", tally.cleanup(one));
        KEPT.with_borrow_mut(|kept| kept.push(guard));
        Vec::new()
    });
    assert!(none.is_empty());
    // Joining a thread waits for its locals too.
    assert_eq!(manager.resource_count(), 0);
    tally.assert_each_ran_once();
}
