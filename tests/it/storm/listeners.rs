//! Listeners that come, go and panic in the storm. One that stays hears each resource register once and end once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use castoff::{ManagerConfig, ResourceEvent, ResourceGuard, ResourceId, ResourceManager};

use super::quiet::ON_PURPOSE;
use super::tally::Tally;
use super::watchdog::Watchdog;
use super::{Counted, Dice, patience, scaled};

const PER_THREAD: usize = 20_000;

/// What was heard of each resource: a letter an event.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<HashMap<ResourceId, String>>>);

impl Heard {
    fn hear(&self, event: &ResourceEvent) {
        let letter = match event {
            ResourceEvent::Registered { .. } => 'r',
            ResourceEvent::Cleaned { .. } => 'c',
            ResourceEvent::CleanupFailed { .. } => 'f',
            ResourceEvent::Released { .. } => 'l',
            _ => return,
        };
        let id = event.id().expect("events about a resource have its id");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(letter);
    }
}

#[test]
fn a_listener_hears_each_resource_begin_and_end_once_whoever_else_listens() {
    let test = "a_listener_hears_each_resource_begin_and_end_once_whoever_else_listens";
    let watchdog = Watchdog::new(test, patience());
    let per_thread = scaled(PER_THREAD);
    let manager = ResourceManager::isolated("heard", ManagerConfig::default());
    let tally = Tally::new(2 * per_thread);
    let heard = Heard::default();
    let ear = heard.clone();
    let _stays = manager.subscribe(move |event| ear.hear(event));
    let running = AtomicUsize::new(2);
    // Nobody begins before the first passer-by listens.
    let begin = Barrier::new(3);
    thread::scope(|scope| {
        for thread in 0..2 {
            let worker = watchdog.worker(format!("registers, thread {thread}"));
            let (manager, tally, running, begin) = (&manager, &tally, &running, &begin);
            scope.spawn(move || {
                let _counted = Counted(running);
                begin.wait();
                let mut dice = Dice::new(thread);
                let mut held = Vec::new();
                for one in thread * per_thread..(thread + 1) * per_thread {
                    worker.doing("registering");
                    held.push(manager.guard("heard of", tally.moody_cleanup(one, Vec::new())));
                    if held.len() > 4 {
                        worker.doing("letting go");
                        let_go(held.swap_remove(dice.roll(4)), &mut dice);
                    }
                }
                worker.doing("dropping the rest");
            });
        }
        let worker = watchdog.worker("tears down");
        let (manager, running) = (&manager, &running);
        scope.spawn(move || {
            while running.load(SeqCst) > 0 {
                worker.doing("cleanup()");
                assert_eq!(manager.cleanup().timed_out(), 0);
                worker.doing("a pause");
                thread::yield_now();
            }
        });
        let worker = watchdog.worker("listens for a while");
        let mut is_first = true;
        while running.load(SeqCst) > 0 {
            worker.doing("subscribing");
            let heard = Arc::new(AtomicUsize::new(0));
            let ear = Arc::clone(&heard);
            let counting = manager.subscribe(move |_| {
                ear.fetch_add(1, SeqCst);
            });
            let panicking = manager.subscribe(|_| panic!("{ON_PURPOSE}a listener in a storm"));
            if is_first {
                begin.wait();
            }
            worker.doing("listening");
            while heard.load(SeqCst) == 0 && running.load(SeqCst) > 0 {
                thread::yield_now();
            }
            worker.doing("unsubscribing");
            drop(panicking);
            drop(counting);
            if is_first {
                assert!(heard.load(SeqCst) > 0, "it has listened all the while");
            }
            is_first = false;
        }
    });
    assert_eq!(manager.cleanup().processed(), 0, "every guard was let go");
    check(&heard, &manager, &tally);
}

fn let_go(guard: ResourceGuard<()>, dice: &mut Dice) {
    match dice.roll(3) {
        0 => ResourceGuard::release(guard),
        1 => drop(ResourceGuard::close(guard)),
        _ => drop(guard),
    }
}

fn check(heard: &Heard, manager: &ResourceManager, tally: &Tally) {
    let heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(heard.len(), tally.len());
    let wrong: Vec<&String> =
        heard.values().filter(|story| !["rc", "rf", "rl"].contains(&story.as_str())).collect();
    assert!(wrong.is_empty(), "of each: registered, then cleaned, failed or released; not {wrong:?}");
    let ended = |how: &str| heard.values().filter(|story| *story == how).count() as u64;
    let stats = manager.stats();
    assert_eq!((stats.cleaned, stats.failed, stats.released), (ended("rc"), ended("rf"), ended("rl")));
    let runs = (0..tally.len()).filter(|&one| tally.runs(one) == 1).count() as u64;
    assert_eq!(ended("rc") + ended("rf"), runs);
    tally.assert_runs(|_, runs| runs <= 1);
}
