//! Guards that are dropped on other threads than they were made on, dependencies before their dependents: without any
//! teardown, every cleanup runs, each after those of its dependents.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use castoff::{ManagerConfig, RegisterError, ResourceGuard, ResourceManager};

use super::tally::Tally;
use super::watchdog::{Watchdog, Worker};
use super::{Dice, patience, scaled};

const PER_MAKER: usize = 40_000;
/// How many guards a dropper has at hand to choose from.
const AT_HAND: usize = 12;

#[test]
fn guards_dropped_on_other_threads_clean_once_and_in_order() {
    let watchdog = Watchdog::new("guards_dropped_on_other_threads_clean_once_and_in_order", patience());
    let per_maker = scaled(PER_MAKER);
    let manager = ResourceManager::isolated("handing over", ManagerConfig::default());
    let tally = Tally::new(2 * per_maker);
    let refused: Vec<usize> = thread::scope(|scope| {
        let (to_first, first) = channel();
        let (to_second, second) = channel();
        for (number, guards) in [(1, first), (2, second)] {
            let worker = watchdog.worker(format!("drops, thread {number}"));
            scope.spawn(move || drop_in_any_order(&guards, Dice::new(number), &worker));
        }
        let makers: Vec<_> = (0..2)
            .map(|maker| {
                let ways = [to_first.clone(), to_second.clone()];
                let (manager, tally) = (&manager, &tally);
                let worker = watchdog.worker(format!("makes, thread {maker}"));
                scope.spawn(move || {
                    make(manager, tally, maker * per_maker..(maker + 1) * per_maker, &ways, &worker)
                })
            })
            .collect();
        makers.into_iter().flat_map(|maker| maker.join().expect("a maker panicked")).collect()
    });
    assert_eq!(manager.resource_count(), 0, "every guard was dropped");
    tally.assert_each_ran_once();
    let late: Vec<usize> =
        (0..tally.len()).filter(|one| tally.is_late(*one) && !refused.contains(one)).collect();
    assert!(late.is_empty(), "cleaned after what they depend on: {late:?}");
}

/// Makes guards, each on top of one of the latest, and sends them off. Returns those that were refused.
fn make(
    manager: &ResourceManager,
    tally: &Arc<Tally>,
    numbers: std::ops::Range<usize>,
    ways: &[Sender<ResourceGuard<()>>; 2],
    worker: &Worker,
) -> Vec<usize> {
    let mut dice = Dice::new(numbers.start);
    let mut latest = Vec::new();
    let mut refused = Vec::new();
    for one in numbers {
        worker.doing("registering");
        let on = if latest.is_empty() { None } else { Some(latest[dice.roll(latest.len())]) };
        let registration = manager.resource("handed over").depends_on_all(on.map(|(_, id)| id));
        let needs = on.iter().map(|&(known, _)| known).collect();
        match registration.guard(tally.moody_cleanup(one, needs)) {
            Ok(guard) => {
                latest.push((one, ResourceGuard::id(&guard)));
                if latest.len() > 3 {
                    latest.remove(0);
                }
                ways[dice.roll(2)].send(guard).expect("the droppers take all that comes");
            }
            Err(RegisterError::DependencyGone { .. }) => {
                latest.retain(|known| Some(known) != on.as_ref());
                refused.push(one);
            }
            Err(other) => panic!("refused: {other}"),
        }
    }
    refused
}

fn drop_in_any_order(guards: &Receiver<ResourceGuard<()>>, mut dice: Dice, worker: &Worker) {
    let mut at_hand = Vec::new();
    for guard in guards {
        at_hand.push(guard);
        if at_hand.len() == AT_HAND {
            worker.doing("dropping");
            drop(at_hand.swap_remove(dice.roll(AT_HAND)));
        }
    }
    worker.doing("dropping the rest, oldest first");
    at_hand.into_iter().for_each(drop);
}
