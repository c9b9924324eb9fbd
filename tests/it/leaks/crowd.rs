//! Looks at very many, while others register and drop: whatever is live all the while is seen once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceGuard, ResourceId, ResourceManager};

use crate::support::{LIMIT, watchdog};

/// Several times what a scan looks at in one go, and no multiple of it.
const STAYING: usize = 1_001;
const LOOKS: usize = 12;
/// So many at least, and no more of them once this time is over: beside so many threads that never rest a look may take
/// seconds.
const LEAST: usize = 2;
const TIME: Duration = Duration::from_secs(8);

/// However a test ends, its threads do too.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn looks() -> impl Iterator<Item = usize> {
    let start = Instant::now();
    (0..LOOKS).take_while(move |look| *look < LEAST || start.elapsed() < TIME)
}

fn ids(manager: &ResourceManager) -> Vec<ResourceId> {
    manager.detect_leaks().into_iter().map(|leak| leak.id).collect()
}

/// Between those that stay others come and go, in every order: the newest first, the oldest first, all over.
fn comings_and_goings(manager: &ResourceManager, over: &AtomicBool) {
    let mut guards = Vec::new();
    let mut turn = 7_usize;
    while !over.load(Relaxed) {
        for _ in 0..150 {
            guards.push(manager.guard("comes and goes", || ()));
        }
        while !guards.is_empty() {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            drop(guards.swap_remove((turn >> 33) % guards.len()));
        }
    }
}

#[test]
fn whatever_lives_all_the_while_is_seen_exactly_once_however_many_come_and_go() {
    watchdog(LIMIT, || {
        let manager = ResourceManager::isolated("crowd", ManagerConfig::default());
        let mut staying: Vec<ResourceGuard<()>> = Vec::new();
        let mut between = Vec::new();
        for _ in 0..STAYING {
            staying.push(manager.guard("stays", || ()));
            between.push(manager.guard("goes", || ()));
        }
        let wanted: HashSet<ResourceId> = staying.iter().map(ResourceId::from).collect();
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            // More of them than shards, so that some share one with those that stay.
            for _ in 0..16 {
                threads.spawn(|| comings_and_goings(&manager, &over));
            }
            let _end = End(&over);
            let others = threads.spawn(|| looks().for_each(|_| check(&ids(&manager), &wanted)));
            for _ in looks() {
                // The neighbours of those that stay go from the middle outwards, while two threads look.
                (0..STAYING / LOOKS).for_each(|_| drop(between.swap_remove(between.len() / 2)));
                check(&ids(&manager), &wanted);
            }
            others.join().expect("the other looks are right, too");
        });
        drop((staying, between));
        assert_eq!((manager.resource_count(), ids(&manager).len()), (0, 0));
    });
}

#[track_caller]
fn check(seen: &[ResourceId], wanted: &HashSet<ResourceId>) {
    let once: HashSet<ResourceId> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "some were seen twice");
    let missed = wanted.difference(&once).count();
    assert_eq!(missed, 0, "{missed} that live were missed");
}

#[test]
fn a_manager_that_ends_and_comes_back_during_looks_is_seen_as_it_is() {
    watchdog(LIMIT, || {
        let root = ResourceManager::isolated("root", ManagerConfig::default());
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    while !over.load(Relaxed) {
                        let child = root.child("child");
                        let guards: Vec<_> = (0..300).map(|_| child.guard("short", || ())).collect();
                        // It ends with its last resource.
                        drop(child);
                        drop(guards);
                    }
                });
            }
            let _end = End(&over);
            for _ in looks() {
                let seen = ids(&root);
                let once: HashSet<ResourceId> = seen.iter().copied().collect();
                assert_eq!(once.len(), seen.len(), "some were seen twice");
            }
        });
        assert_eq!((root.resource_count(), ids(&root).len()), (0, 0));
        assert_eq!(root.stats().cleaned, root.stats().registered);
    });
}
