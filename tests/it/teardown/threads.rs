//! Where cleanups run: never on the caller's thread, all on one helper unless one of them has to be left
//! behind.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use crate::support::{Gate, Hang, LIMIT, lock, manager, watchdog};

type Threads = Arc<Mutex<Vec<ThreadId>>>;

fn noting(manager: &ResourceManager, threads: &Threads) -> ResourceGuard<()> {
    let told = Arc::clone(threads);
    manager.guard("noting", move || lock(&told).push(thread::current().id()))
}

#[test]
fn a_teardown_runs_its_cleanups_on_one_helper_thread() {
    watchdog(LIMIT, || {
        let (manager, threads) = (manager(), Threads::default());
        let _guards = [(); 5].map(|()| noting(&manager, &threads));
        assert!(manager.cleanup().is_success());
        let threads = lock(&threads);
        assert_eq!(threads.len(), 5);
        assert!(threads.iter().all(|thread| *thread == threads[0]), "no hand-over per cleanup: {threads:?}");
        assert_ne!(threads[0], thread::current().id());
    });
}

#[test]
fn a_hang_is_left_on_its_thread_and_another_one_goes_on() {
    watchdog(LIMIT, || {
        let (manager, threads, hang) = (manager(), Threads::default(), Hang::new());
        let _before = noting(&manager, &threads);
        let (told, hangs) = (Arc::clone(&threads), hang.cleanup());
        let stuck = manager.resource("stuck").timeout(Duration::from_millis(50));
        let _stuck = stuck.guard(move || {
            lock(&told).push(thread::current().id());
            hangs();
        });
        assert_eq!(manager.cleanup().timed_out(), 1);
        let threads = lock(&threads);
        let [left_behind, going_on] = threads[..] else { panic!("{threads:?}") };
        assert_ne!(left_behind, going_on);
    });
}

thread_local! {
    static OF_THE_CALLER: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn a_cleanup_in_a_teardown_does_not_see_the_callers_thread_locals() {
    watchdog(LIMIT, || {
        OF_THE_CALLER.set(7);
        let (manager, seen) = (manager(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&seen);
        let _guard = manager.guard("pool", move || *lock(&told) = Some(OF_THE_CALLER.get()));
        assert!(manager.cleanup().is_success());
        assert_eq!(*lock(&seen), Some(0));
    });
}

#[test]
fn a_lock_that_the_caller_holds_ends_in_the_timeout() {
    watchdog(LIMIT, || {
        let (manager, state) = (manager(), Arc::new(Mutex::new(0)));
        let (needed, ended) = (Arc::clone(&state), Gate::new("the cleanup to end"));
        let ends = ended.clone();
        let registration = manager.resource("pool").timeout(Duration::from_millis(50));
        let _guard = registration.guard(move || {
            *lock(&needed) += 1;
            ends.open();
        });
        let held = lock(&state);
        assert_eq!(manager.cleanup().timed_out(), 1);
        assert_eq!(*held, 0);
        drop(held);
        ended.wait();
        assert_eq!(*lock(&state), 1);
    });
}
