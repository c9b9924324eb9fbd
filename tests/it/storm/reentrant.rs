//! Cleanups with a will of their own, on several threads at once: they register, close guards, let a thread of their
//! own look, and ask for a teardown.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};

use super::tally::Tally;
use super::watchdog::Watchdog;
use super::{Counted, Dice, patience, scaled};

const PER_THREAD: usize = 1_500;
/// Each of the busy ones brings two more: one to close, and one that its cleanup registers.
const BROOD: usize = 3;

struct House {
    manager: ResourceManager,
    tally: Arc<Tally>,
    /// Guards that cleanups have registered: whoever finds them drops them.
    orphans: Mutex<Vec<ResourceGuard<()>>>,
    handed_over: AtomicUsize,
}

/// What a busy cleanup does besides counting.
#[derive(Clone, Copy)]
enum Will {
    CloseAndRegister,
    LetAThreadLook,
    TearDown,
}

#[test]
fn cleanups_with_a_will_of_their_own_lose_nothing_under_teardowns() {
    let watchdog =
        Watchdog::new("cleanups_with_a_will_of_their_own_lose_nothing_under_teardowns", patience());
    let per_thread = scaled(PER_THREAD);
    let house = Arc::new(House {
        manager: ResourceManager::isolated("house", ManagerConfig::default()),
        tally: Tally::new((2 * per_thread + 1) * BROOD),
        orphans: Mutex::default(),
        handed_over: AtomicUsize::new(0),
    });
    let running = AtomicUsize::new(2);
    // Held to the end, so that it is certain that one teardown is asked for inside another.
    let asking = busy(&house, 2 * per_thread * BROOD, Will::TearDown);
    thread::scope(|scope| {
        for thread in 0..2 {
            let worker = watchdog.worker(format!("registers, thread {thread}"));
            let (house, running) = (&house, &running);
            scope.spawn(move || {
                let _counted = Counted(running);
                let mut dice = Dice::new(thread);
                let mut held = Vec::new();
                for number in thread * per_thread..(thread + 1) * per_thread {
                    worker.doing("registering");
                    let will = [Will::CloseAndRegister, Will::LetAThreadLook, Will::TearDown][dice.roll(3)];
                    held.push(busy(house, number * BROOD, will));
                    if held.len() > 6 {
                        worker.doing("dropping");
                        drop(held.swap_remove(dice.roll(6)));
                    }
                }
                worker.doing("dropping the rest");
            });
        }
        let worker = watchdog.worker("tears down");
        while running.load(SeqCst) > 0 {
            worker.doing("cleanup()");
            let report = house.manager.teardown().concurrency(2).run();
            assert_eq!((report.timed_out(), report.failed()), (0, 0), "{report}");
            worker.doing("dropping orphans");
            let orphans = std::mem::take(&mut *house.orphans.lock().expect("nobody panics here"));
            drop(orphans);
        }
    });
    let worker = watchdog.worker("ends the storm");
    worker.doing("shutdown()");
    assert_eq!(house.manager.shutdown().timed_out(), 0);
    drop(asking);
    worker.doing("dropping the last orphans");
    house.orphans.lock().expect("nobody panics here").clear();
    assert_eq!(house.manager.resource_count(), 0);
    house.tally.assert_each_ran_once();
    assert!(house.handed_over.load(SeqCst) > 0, "no teardown was asked for inside another");
}

/// A resource whose cleanup does more than count. It has the first of three numbers; the second is of a guard that the
/// cleanup closes, the third of one that it registers.
fn busy(house: &Arc<House>, first: usize, will: Will) -> ResourceGuard<()> {
    let ward = house.manager.guard("to be closed", house.tally.cleanup(first + 1));
    // Weakly: a cleanup that never runs must not keep the house that it is registered in.
    let (home, count) = (Arc::downgrade(house), house.tally.cleanup(first));
    house.manager.guard("busy", move || {
        count();
        let house = home.upgrade().expect("the test outlives its cleanups");
        let register = || house.manager.guard("an orphan", house.tally.cleanup(first + 2));
        match will {
            Will::CloseAndRegister => {
                ResourceGuard::close(ward).expect("a quiet cleanup");
                let orphan = register();
                house.orphans.lock().expect("nobody panics here").push(orphan);
            }
            Will::LetAThreadLook => {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        drop(house.manager.resources());
                        assert!(house.manager.stats().live <= house.tally.len());
                    });
                });
                drop(ward);
                drop(register());
            }
            Will::TearDown => {
                drop(register());
                let report = house.manager.cleanup();
                house.handed_over.fetch_add(usize::from(report.is_handed_over()), SeqCst);
                ResourceGuard::close(ward).expect("a quiet cleanup");
            }
        }
    })
}
