//! A storm: threads and tasks that register, drop, close and tear down cleanups of both kinds at once. Each cleanup
//! runs exactly once, and the counts are exact at the end.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use castoff::{Category, CleanupErrorKind, ManagerConfig, ResourceGuard, ResourceManager};

use super::{current_thread, multi_thread};
use crate::storm::tally::Tally;
use crate::storm::watchdog::{Watchdog, Worker};
use crate::storm::{Dice, patience, scaled};

const PER_WORKER: usize = 3_000;
/// How many guards one holds at a time.
const HELD: usize = 12;
const THREADS: usize = 2;
const TASKS: usize = 2;

/// Registers one of either kind, that may need one of those held.
fn register(
    manager: &ResourceManager,
    tally: &std::sync::Arc<Tally>,
    one: usize,
    dice: &mut Dice,
    held: &[ResourceGuard<()>],
) -> ResourceGuard<()> {
    let category = [Category::Network, Category::Event, Category::Database][dice.roll(3)];
    let mut registration = manager.resource(format!("r{one}")).category(category);
    if !held.is_empty() && dice.roll(3) == 0 {
        registration = registration.depends_on(&held[dice.roll(held.len())]);
    }
    let cleanup = tally.cleanup(one);
    let yields = dice.roll(3);
    let registered = match dice.roll(3) {
        0 => registration.guard(cleanup),
        _ => registration.guard_async(move || async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            cleanup();
        }),
    };
    // Refused, because what it needs has just ended: then its cleanup has run, or is handed over.
    registered.unwrap_or_else(|_| manager.guard("in its place", || ()))
}

fn is_fine(result: Result<(), castoff::CleanupError>) -> bool {
    result.is_ok_and(|()| true)
}

fn may_be_deferred(result: Result<(), castoff::CleanupError>) {
    if let Err(error) = result {
        assert!(matches!(error.kind, CleanupErrorKind::Deferred { .. }), "{error}");
    }
}

/// One that lives outside of any runtime.
fn member_on_a_thread(manager: &ResourceManager, tally: &std::sync::Arc<Tally>, at: usize, worker: &Worker) {
    let (mut dice, mut held) = (Dice::new(at), Vec::new());
    for one in at * PER_WORKER..at * PER_WORKER + scaled(PER_WORKER).min(PER_WORKER) {
        worker.doing(&format!("registering {one}"));
        held.push(register(manager, tally, one, &mut dice, &held));
        if held.len() > HELD || dice.roll(2) == 0 {
            let guard = held.swap_remove(dice.roll(held.len()));
            worker.doing(&format!("letting go after {one}"));
            match dice.roll(2) {
                0 => drop(guard),
                _ => may_be_deferred(ResourceGuard::close(guard)),
            }
        }
    }
    worker.doing("dropping what it holds");
}

/// One that lives in a task.
async fn member_in_a_task(manager: ResourceManager, tally: std::sync::Arc<Tally>, at: usize, worker: Worker) {
    let (mut dice, mut held) = (Dice::new(at), Vec::new());
    for one in at * PER_WORKER..at * PER_WORKER + scaled(PER_WORKER).min(PER_WORKER) {
        worker.doing(&format!("registering {one}"));
        held.push(register(&manager, &tally, one, &mut dice, &held));
        if held.len() > HELD || dice.roll(2) == 0 {
            let guard = held.swap_remove(dice.roll(held.len()));
            worker.doing(&format!("letting go after {one}"));
            match dice.roll(4) {
                0 | 1 => drop(guard),
                2 => may_be_deferred(ResourceGuard::close_async(guard).await),
                // Cancelled wherever it is after so many polls.
                _ => {
                    let closing = ResourceGuard::close_async(guard);
                    let polls = dice.roll(3);
                    let enough = async {
                        for _ in 0..polls {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::select! {
                        biased;
                        () = enough => {}
                        result = closing => may_be_deferred(result),
                    }
                }
            }
        }
        if dice.roll(16) == 0 {
            tokio::task::yield_now().await;
        }
    }
    worker.doing("dropping what it holds");
}

/// Teardowns with filters, awaited and now and then cancelled, until the others are done.
async fn tear_down(manager: &ResourceManager, done: &AtomicBool, worker: &Worker) {
    let mut dice = Dice::new(99);
    while !done.load(SeqCst) {
        worker.doing("a teardown");
        let teardown = manager.teardown().concurrency(1 + dice.roll(8));
        let teardown = match dice.roll(3) {
            0 => teardown.category(Category::Network),
            1 => teardown.exclude_category(Category::Event),
            _ => teardown,
        };
        let given_up = std::time::Duration::from_micros(50 * dice.roll(40) as u64 + 1);
        match dice.roll(3) {
            0 => drop(tokio::time::timeout(given_up, teardown.run_async()).await),
            _ => {
                let report = teardown.run_async().await;
                assert_eq!((report.failed(), report.timed_out()), (0, 0), "{report}");
            }
        }
        worker.doing("settling");
        manager.settle_async().await;
    }
}

#[test]
fn threads_and_tasks_lose_nothing_under_teardowns_that_are_cancelled() {
    let test = "threads_and_tasks_lose_nothing_under_teardowns_that_are_cancelled";
    let watchdog = Watchdog::new(test, patience());
    let manager = ResourceManager::isolated("storm", ManagerConfig::default());
    let each = scaled(PER_WORKER).min(PER_WORKER);
    let tally = Tally::new((THREADS + TASKS) * PER_WORKER);
    let done = AtomicBool::new(false);
    let runtime = multi_thread(2);
    thread::scope(|scope| {
        let (manager, tally, done, watchdog) = (&manager, &tally, &done, &watchdog);
        let threads: Vec<_> = (0..THREADS)
            .map(|at| {
                let worker = watchdog.worker(format!("thread {at}"));
                scope.spawn(move || member_on_a_thread(manager, tally, at, &worker))
            })
            .collect();
        let tasks: Vec<_> = (THREADS..THREADS + TASKS)
            .map(|at| {
                let worker = watchdog.worker(format!("task {at}"));
                runtime.spawn(member_in_a_task(manager.clone(), tally.clone(), at, worker))
            })
            .collect();
        let tearing = watchdog.worker("tears down");
        scope.spawn(move || current_thread().block_on(tear_down(manager, done, &tearing)));
        let threads: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let tasks: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task)).collect();
        done.store(true, SeqCst);
        threads.into_iter().for_each(|ended| ended.expect("a thread of the storm panicked"));
        tasks.into_iter().for_each(|ended| ended.expect("a task of the storm panicked"));
    });
    let last = watchdog.worker("ends the storm");
    last.doing("settling and cleaning up");
    runtime.block_on(manager.settle_async());
    assert!(manager.cleanup().is_success());
    tally.assert_runs(|one, runs| runs == u32::from(one % PER_WORKER < each));
    let stats = manager.stats();
    assert_eq!((stats.live, stats.failed, stats.timed_out, stats.released), (0, 0, 0, 0));
    assert_eq!(stats.cleaned, stats.registered);
    assert!(is_fine(ResourceGuard::close(manager.guard_async("afterwards", || async {}))));
}
