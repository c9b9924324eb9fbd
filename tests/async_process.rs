//! What can only be seen in a process of its own: which threads castoff starts, when they end, and asynchronous
//! cleanups at the very end of the process.
//!
//! `atexit` is an unsafe call into libc: the handler is what stands in for a program's own.
#![cfg(all(feature = "tokio", target_os = "linux"))]
#![allow(unsafe_code)]

mod child;

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};
use tokio::runtime::{Builder, Runtime};

use child::in_a_child;

const LIMIT: Duration = Duration::from_secs(30);

/// The threads of this process by name; the kernel keeps 15 characters.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("the kernel's list of threads").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

fn has(thread: &str) -> bool {
    threads().iter().any(|name| name == thread)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT / 2, "never: {what}; threads: {}", threads().join(", "));
        thread::sleep(Duration::from_millis(5));
    }
}

fn manager() -> ResourceManager {
    ResourceManager::isolated("process", ManagerConfig::default())
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn assert_no_runtime(when: &str) {
    let threads = threads();
    let own = |name: &&String| *name == "castoff-runtime" || *name == "castoff-poller";
    assert_eq!(threads.iter().find(own), None, "{when}: {threads:?}");
}

#[test]
fn a_process_without_asynchronous_cleanups_never_has_castoffs_runtime() {
    let test = "a_process_without_asynchronous_cleanups_never_has_castoffs_runtime";
    in_a_child(test, LIMIT, || {
        let manager = manager();
        let look = |when: &'static str| move || assert_no_runtime(when);
        assert!(ResourceGuard::close(manager.guard("closed", look("in a close"))).is_ok());
        let timed = manager.resource("timed").timeout(LIMIT).guard(look("in a close with a timeout"));
        assert!(ResourceGuard::close(timed.expect("a guard")).is_ok());
        let _torn_down: Vec<_> =
            (0..4).map(|n| manager.guard(n.to_string(), look("in a teardown"))).collect();
        assert!(manager.teardown().concurrency(2).run().is_success());
        // Asynchronous code, with cleanups that are not.
        current_thread().block_on(async {
            drop(manager.guard("dropped", || ()));
            let awaited = manager.guard("awaited", look("in an awaited close"));
            assert!(ResourceGuard::close_async(awaited).await.is_ok());
            let _awaited = manager.guard("torn down", look("in an awaited teardown"));
            assert!(manager.teardown().run_async().await.is_success());
            manager.settle_async().await;
        });
        assert_no_runtime("at the end");
        // That it would have been seen: the first asynchronous one starts it.
        let seen = || async {
            let both = has("castoff-runtime") && has("castoff-poller");
            if both { Ok(()) } else { Err(threads().join(", ")) }
        };
        ResourceGuard::close(manager.guard_async("the first", seen)).expect("both threads");
    })
    .assert_fine();
}

#[test]
fn the_threads_end_when_there_is_nothing_to_do_and_start_again() {
    in_a_child("the_threads_end_when_there_is_nothing_to_do_and_start_again", LIMIT, || {
        let manager = manager();
        for round in 1..=3 {
            drop(manager.guard_async("session", || tokio::time::sleep(Duration::from_millis(1))));
            assert_eq!(manager.stats().cleaned, round);
            assert!(has("castoff-runtime"), "it stays for a while");
            until("castoff's threads end", || !threads().iter().any(|name| name.starts_with("castoff-")));
        }
    })
    .assert_fine();
}

#[test]
fn the_threads_stay_while_a_cleanup_runs_however_long() {
    in_a_child("the_threads_stay_while_a_cleanup_runs_however_long", LIMIT, || {
        let manager = manager();
        // Longer than the threads stay when idle; the cleanup would be lost with them.
        let slow = || tokio::time::sleep(Duration::from_millis(2_500));
        current_thread().block_on(async { drop(manager.guard_async("slow", slow)) });
        assert!(manager.cleanup().is_success());
        assert_eq!(manager.stats().cleaned, 1);
    })
    .assert_fine();
}

#[test]
fn pollers_that_were_started_for_stuck_cleanups_end_when_these_do() {
    in_a_child("pollers_that_were_started_for_stuck_cleanups_end_when_these_do", LIMIT, || {
        let manager = manager();
        let pollers = || threads().iter().filter(|name| *name == "castoff-poller").count();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Arc::new(Mutex::new(released));
        current_thread().block_on(async {
            for n in 0..3 {
                let released = released.clone();
                drop(manager.guard_async(n.to_string(), || async move {
                    // Blocks its thread, on purpose: the end of the channel lets all three go.
                    drop(released.lock().map(|released| released.recv()));
                }));
            }
            drop(manager.guard_async("beside", || async {}));
        });
        until("the one beside them ends", || manager.stats().cleaned == 1);
        assert!(pollers() >= 3, "{} pollers", pollers());
        drop(release);
        until("the stuck ones end", || manager.resource_count() == 0);
        until("one poller or none is left", || pollers() <= 1);
    })
    .assert_fine();
}

static AT_EXIT: Mutex<Option<(ResourceManager, ResourceGuard<()>)>> = Mutex::new(None);

/// What stands in for a program's own exit handler: drops a guard, then tears the rest down.
extern "C" fn at_exit() {
    let Some((manager, guard)) = AT_EXIT.lock().ok().and_then(|mut held| held.take()) else { return };
    drop(guard);
    let dropped = manager.stats().cleaned;
    let report = manager.cleanup();
    eprintln!("at exit: {dropped} by drop, then {report}");
}

#[test]
fn a_teardown_in_an_exit_handler_runs_asynchronous_cleanups_after_tokios_thread_locals_are_gone() {
    let test = "a_teardown_in_an_exit_handler_runs_asynchronous_cleanups_after_tokios_thread_locals_are_gone";
    let ended = in_a_child(test, LIMIT, || {
        let manager = manager();
        let sleep = || tokio::time::sleep(Duration::from_millis(1));
        // This thread has used tokio, and is the one that exits: a runtime made on it in the handler would panic.
        let guard = current_thread().block_on(async { manager.guard_async("dropped", sleep) });
        std::mem::forget(manager.guard_async("forgotten", sleep));
        AT_EXIT.lock().expect("one test").replace((manager, guard));
        // SAFETY: the handler is a function of this program, which unwinds into nobody: a panic in it aborts, and the
        // parent sees that.
        let refused = unsafe { libc::atexit(at_exit) };
        assert_eq!(refused, 0);
    });
    ended.assert_fine();
    assert!(
        ended.text.contains("at exit: 1 by drop, then teardown of `process`: 1 cleaned"),
        "{}",
        ended.text
    );
}

#[test]
fn a_process_ends_though_a_cleanup_blocks_its_thread_for_ever() {
    in_a_child("a_process_ends_though_a_cleanup_blocks_its_thread_for_ever", LIMIT, || {
        let manager = manager();
        let stuck = || async {
            loop {
                thread::park();
            }
        };
        let guard = manager.resource("stuck").timeout(Duration::from_millis(20)).guard_async(stuck);
        drop(guard.expect("a guard"));
        assert_eq!(manager.stats().timed_out, 1);
    })
    .assert_fine();
}
