//! `shutdown` in a storm of registrations: it ends, it seals the manager, and whatever was registered or refused at
//! whichever moment is cleaned exactly once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use castoff::{ManagerConfig, RegisterError, ResourceGuard, ResourceManager};

use super::tally::Tally;
use super::watchdog::{Watchdog, Worker};
use super::{patience, scaled};

/// How many registrations a thread tries before it waits for the end of the shutdown.
const PER_THREAD: usize = 200_000;
/// How many guards each thread holds at a time.
const HELD: usize = 200;
/// How many registrations a thread goes on to try after the first refusal.
const AFTERWARDS: usize = 50;

struct Storm {
    manager: ResourceManager,
    tally: Arc<Tally>,
    shut_down: AtomicBool,
}

#[test]
fn a_shutdown_during_a_registration_storm_loses_nothing() {
    let watchdog = Watchdog::new("a_shutdown_during_a_registration_storm_loses_nothing", patience());
    let per_thread = scaled(PER_THREAD) + AFTERWARDS;
    let config = ManagerConfig::default().shutdown_deadline(Duration::from_secs(20));
    let storm = Storm {
        manager: ResourceManager::isolated("storm", config),
        tally: Tally::new(2 * per_thread),
        shut_down: AtomicBool::new(false),
    };
    let tried = thread::scope(|scope| {
        let (warm, warmed) = mpsc::channel();
        let start = |thread: usize| {
            let (storm, warm) = (&storm, warm.clone());
            let worker = watchdog.worker(format!("registers, thread {thread}"));
            scope
                .spawn(move || register_until_refused(storm, thread * per_thread, per_thread, &warm, &worker))
        };
        let threads = [start(0), start(1)];
        warmed.recv().expect("one thread has begun");
        warmed.recv().expect("so has the other");
        let worker = watchdog.worker("shuts down");
        worker.doing("shutdown()");
        let report = storm.manager.shutdown();
        storm.shut_down.store(true, SeqCst);
        assert_eq!(report.timed_out(), 0, "{report}");
        assert!(report.cleaned() > 0, "{report}");
        worker.doing("waiting for the threads");
        threads.map(|thread| thread.join().expect("a registering thread panicked"))
    });
    assert_eq!(storm.manager.resource_count(), 0, "nothing is held any more");
    let was_tried = |one: usize| one % per_thread < tried[one / per_thread];
    storm.tally.assert_runs(|one, runs| runs == u32::from(was_tried(one)));
}

/// Registers until it has been refused long enough; returns how many it tried. All its guards are gone in the end.
fn register_until_refused(
    storm: &Storm,
    first: usize,
    most: usize,
    warm: &mpsc::Sender<()>,
    worker: &Worker,
) -> usize {
    let mut held: VecDeque<ResourceGuard<()>> = VecDeque::new();
    let mut refused = 0;
    let mut tried = 0;
    while refused < AFTERWARDS {
        if tried + AFTERWARDS >= most && refused == 0 {
            worker.doing("waiting for the end of the shutdown");
            wait_for(&storm.shut_down);
        }
        let was_shut_down = storm.shut_down.load(SeqCst);
        worker.doing("registering with the builder");
        match storm.manager.resource("stormy").guard(storm.tally.cleanup(first + tried)) {
            Ok(guard) => {
                assert!(!was_shut_down && refused == 0, "registered in a manager that was shut down");
                held.push_back(guard);
            }
            Err(RegisterError::ShutDown { .. }) => {
                assert_eq!(storm.tally.runs(first + tried), 1, "a refused registration cleans at once");
                refused += 1;
            }
            Err(other) => panic!("refused: {other}"),
        }
        tried += 1;
        if tried == HELD {
            warm.send(()).expect("the test waits for it");
        }
        if held.len() > HELD {
            worker.doing("dropping");
            drop(held.pop_front());
        }
    }
    worker.doing("registering with the short form");
    let late = storm.manager.guard("late", || ());
    worker.doing("dropping the rest");
    drop(late);
    held.clear();
    tried
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(SeqCst) {
        thread::yield_now();
    }
}

#[test]
fn the_short_form_still_cleans_on_drop_after_a_shutdown() {
    let _watchdog = Watchdog::new("the_short_form_still_cleans_on_drop_after_a_shutdown", patience());
    let manager = ResourceManager::isolated("closed", ManagerConfig::default());
    assert!(manager.shutdown().is_success());
    let tally = Tally::new(1);
    let guard = manager.guard("late", tally.cleanup(0));
    assert_eq!(tally.runs(0), 0);
    drop(guard);
    tally.assert_each_ran_once();
}
