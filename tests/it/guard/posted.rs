//! Drops beyond the first thousand, whose ends are no longer timed and take another way: nobody may tell the difference.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use castoff::{ResourceEvent, ResourceGuard, ResourceManager, ResourceState};

use crate::support::{LIMIT, manager, watchdog};

/// More than are timed one by one.
const MANY: u64 = 1_100;

fn warmed_up() -> ResourceManager {
    let manager = manager();
    warm_up(&manager);
    manager
}

/// Counts for the calling thread.
fn warm_up(manager: &ResourceManager) {
    for _ in 0..MANY {
        drop(manager.guard("early", || ()));
    }
}

#[test]
fn what_was_dropped_is_gone_at_once_for_every_thread() {
    watchdog(LIMIT, || {
        let manager = warmed_up();
        for round in 1..=200 {
            let guard = manager.guard("socket", || ());
            let id = ResourceGuard::id(&guard);
            drop(guard);
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(manager.get(id).is_none());
                    let stats = manager.stats();
                    assert_eq!(
                        (stats.live, stats.registered, stats.cleaned),
                        (0, MANY + round, MANY + round)
                    );
                });
            });
        }
    });
}

#[test]
fn a_cleanup_that_runs_counts_as_live_and_a_teardown_waits_for_it() {
    watchdog(LIMIT, || {
        for _ in 0..70 {
            let (begun, has_begun) = mpsc::channel();
            let (go, may_go) = mpsc::channel::<()>();
            let ended = Arc::new(AtomicBool::new(false));
            let manager = manager();
            thread::scope(|scope| {
                scope.spawn(|| {
                    warm_up(&manager);
                    let ended = ended.clone();
                    drop(manager.guard("slow", move || {
                        begun.send(()).unwrap();
                        may_go.recv().unwrap();
                        ended.store(true, SeqCst);
                    }));
                });
                has_begun.recv().unwrap();
                assert_eq!(manager.resources()[0].state, ResourceState::Cleaning);
                let teardown = scope.spawn(|| manager.cleanup());
                // Sometimes before the teardown waits, sometimes while it does.
                go.send(()).unwrap();
                assert!(teardown.join().unwrap().is_success());
                assert!(ended.load(SeqCst));
                assert_eq!(manager.resource_count(), 0);
            });
        }
    });
}

#[test]
fn teardowns_beside_a_thread_that_drops_lose_nothing_and_never_hang() {
    watchdog(LIMIT, || {
        let (manager, over) = (manager(), AtomicBool::new(false));
        let ran = Arc::new(AtomicUsize::new(0));
        let made = thread::scope(|scope| {
            let dropper = scope.spawn(|| {
                let mut made = 0;
                while !over.load(SeqCst) {
                    let ran = ran.clone();
                    drop(manager.guard("quick", move || {
                        ran.fetch_add(1, SeqCst);
                    }));
                    made += 1;
                }
                made
            });
            for _ in 0..200 {
                assert!(manager.cleanup().is_success());
            }
            over.store(true, SeqCst);
            dropper.join().unwrap()
        });
        assert_eq!(ran.load(SeqCst), made);
        let stats = manager.stats();
        assert_eq!((stats.live, stats.registered, stats.cleaned), (0, made as u64, made as u64));
    });
}

#[test]
fn cleanups_that_drop_other_guards_end_in_their_order() {
    let manager = warmed_up();
    for round in 1..=100 {
        let inner = manager.guard("inner", || ());
        let beside = manager.clone();
        drop(manager.guard("outer", move || {
            drop(inner);
            assert_eq!(beside.resource_count(), 1);
            drop(beside.guard("passing", || ()));
        }));
        assert_eq!(manager.resource_count(), 0);
        assert_eq!(manager.stats().cleaned, MANY + 3 * round);
    }
}

#[test]
fn failures_and_panics_are_counted_as_such() {
    let manager = warmed_up();
    for _ in 0..100 {
        drop(manager.guard("fails", || Err("no")));
        drop(manager.guard("panics", || -> () { std::panic::resume_unwind(Box::new("oh")) }));
    }
    let stats = manager.stats();
    assert_eq!((stats.live, stats.failed, stats.cleaned), (0, 200, MANY));
}

#[test]
fn who_subscribes_while_the_cleanup_runs_hears_of_its_end() {
    let manager = warmed_up();
    let (keep, kept) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let beside = manager.clone();
    drop(manager.guard("cache", move || {
        let subscription = beside.subscribe(move |event| {
            if let ResourceEvent::Cleaned { label, .. } = event {
                tell.send(label.to_string()).ok();
            }
        });
        keep.send(subscription).ok();
    }));
    assert_eq!(told.try_recv().as_deref(), Ok("cache"));
    drop(kept);
}
