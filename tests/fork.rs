//! A forked child: its copies of the guards run nothing when they are dropped, and the parent still cleans
//! once.
//!
//! `fork`, `waitpid`, `kill` and `_exit` are unsafe calls into libc. A child drops what it was copied with,
//! looks at a counter and leaves by `_exit`, so that neither the test harness nor an exit handler runs a
//! second time.
#![cfg(unix)]
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, OnSuccess, ResourceGuard, ResourceManager};

const LIMIT: Duration = Duration::from_secs(20);

/// What a child leaves with that counted nothing. Not 0: a child that ended too early might leave with that
/// as well.
const NOTHING_RAN: i32 = 42;

/// What a child leaves with that panicked.
const PANICKED: i32 = 99;

/// One fork at a time: a child is a copy of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the cleanups that ran in this process; a child has its own copy of it.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicI32>);

impl Runs {
    fn cleanup(&self) -> impl FnOnce() + Send + 'static + use<> {
        let runs = self.clone();
        move || {
            runs.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn count(&self) -> i32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn manager() -> ResourceManager {
    ResourceManager::isolated("parent", ManagerConfig::default())
}

/// Runs `body` in a forked child, and says with how many cleanups counted it left.
fn ran_in_a_child(runs: &Runs, body: impl FnOnce()) -> i32 {
    // SAFETY: the child goes on with this thread alone: it runs `body` and ends in `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let ended = catch_unwind(AssertUnwindSafe(body));
        let code = if ended.is_ok() { NOTHING_RAN + runs.count() } else { PANICKED };
        // SAFETY: ends the child, and runs nothing else of it.
        unsafe { libc::_exit(code) };
    }
    // The parent must not run what the child does: its own copy is only let go of.
    let code = exit_code(pid);
    assert_ne!(code, PANICKED, "the child panicked");
    code - NOTHING_RAN
}

#[test]
fn a_child_that_is_forked_while_other_threads_are_busy_can_register_look_and_clean() {
    let _turn = alone();
    let manager = manager();
    let over = AtomicBool::new(false);
    let runs = Runs::default();
    thread::scope(|scope| {
        let _over = scopeguard::guard(&over, |over| over.store(true, Ordering::Relaxed));
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(manager.guard("busy", || ()));
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                manager.stats();
            }
        });
        for _ in 0..200 {
            let ran = ran_in_a_child(&runs, || {
                let own = ResourceManager::isolated("child", ManagerConfig::default());
                drop(own.guard("first", runs.cleanup()));
                let _held = own.guard("second", runs.cleanup());
                assert_eq!(own.stats().live, 1);
                assert_eq!(own.resource_count(), 1);
            });
            assert_eq!(ran, 2);
        }
    });
    assert_eq!(runs.count(), 0);
}

fn exit_code(pid: libc::pid_t) -> i32 {
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place to write to, and nobody else waits for this child.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        assert!(waited >= 0, "waitpid failed: {}", std::io::Error::last_os_error());
        if waited == pid {
            assert!(libc::WIFEXITED(status), "a signal ended the child: {status:#x}");
            return libc::WEXITSTATUS(status);
        }
        if start.elapsed() > LIMIT {
            // SAFETY: the child has not been waited for, so its pid still names it and nothing else.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("a drop in the child had not returned after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Lets a child drop what the parent keeps: the two are copies of one guard, each in a process of its own.
struct Shared<T>(Mutex<Option<T>>);

impl<T> Shared<T> {
    fn new(value: T) -> Shared<T> {
        Shared(Mutex::new(Some(value)))
    }

    fn take(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().expect("taken once in each process")
    }
}

#[test]
fn dropping_a_guard_in_a_forked_child_runs_nothing_and_the_parent_cleans_once() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let guard = Shared::new(manager.guard("pool", runs.cleanup()));
    assert_eq!(ran_in_a_child(&runs, || drop(guard.take())), 0);
    assert_eq!((runs.count(), manager.resource_count()), (0, 1));
    drop(guard.take());
    assert_eq!((runs.count(), manager.resource_count()), (1, 0));
}

#[test]
fn dropping_guards_of_every_kind_in_a_forked_child_runs_nothing() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let (in_time, erased) = (runs.cleanup(), runs.cleanup());
    let guards = Shared::new((
        manager.resource("with a timeout").timeout(LIMIT).guard(in_time).expect("a guard"),
        manager.resource("on success").strategy::<OnSuccess>().guard(runs.cleanup()).expect("a guard"),
        ResourceGuard::erase(manager.guard_value("erased", 7, move |_| erased())),
    ));
    assert_eq!(ran_in_a_child(&runs, || drop(guards.take())), 0);
    drop(guards.take());
    assert_eq!(runs.count(), 3);
}

#[test]
fn closing_a_guard_in_a_forked_child_runs_nothing() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let guard = Shared::new(manager.guard("pool", runs.cleanup()));
    assert_eq!(ran_in_a_child(&runs, || drop(ResourceGuard::close(guard.take()))), 0);
    assert!(ResourceGuard::close(guard.take()).is_ok());
    assert_eq!(runs.count(), 1);
}

#[test]
fn dropping_a_dependency_and_its_dependent_in_a_forked_child_runs_nothing() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let pool = manager.guard("pool", runs.cleanup());
    let server = manager.resource("server").depends_on(&pool).guard(runs.cleanup()).expect("a guard");
    // In the wrong order: the dependency would be deferred, and run with its dependent.
    let guards = Shared::new((pool, server));
    assert_eq!(ran_in_a_child(&runs, || drop(guards.take())), 0);
    drop(guards.take());
    assert_eq!((runs.count(), manager.resource_count()), (2, 0));
}

#[test]
fn a_guard_that_is_deferred_when_the_child_is_forked_runs_in_the_parent_alone() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let pool = manager.guard("pool", runs.cleanup());
    let server = manager.resource("server").depends_on(&pool).guard(runs.cleanup()).expect("a guard");
    drop(pool);
    let server = Shared::new(server);
    assert_eq!(ran_in_a_child(&runs, || drop(server.take())), 0);
    drop(server.take());
    assert_eq!((runs.count(), manager.resource_count()), (2, 0));
}

#[test]
fn a_forked_child_finds_nothing_of_its_parents_to_tear_down() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let pool = manager.guard("pool", runs.cleanup());
    let id = ResourceGuard::id(&pool);
    let ran = ran_in_a_child(&runs, || {
        assert!(manager.detect_leaks().is_empty());
        assert_eq!(manager.cleanup().processed() + manager.cleanup_batch(&[id]).processed(), 0);
        assert_eq!(manager.shutdown().processed(), 0);
    });
    assert_eq!(ran, 0);
    assert!(manager.shutdown().is_success());
    assert_eq!(runs.count(), 1);
    drop(pool);
}

#[test]
fn a_guard_that_the_child_made_is_the_childs_own_and_cleans() {
    let _alone = alone();
    let (outside, runs) = (manager(), Runs::default());
    let _parents = outside.guard("pool", || ());
    let cleanup = runs.cleanup();
    let ran = ran_in_a_child(&runs, || drop(manager().guard("the child's", cleanup)));
    assert_eq!(ran, 1);
    assert_eq!(runs.count(), 0);
}

#[cfg(feature = "tokio")]
#[test]
fn dropping_an_asynchronous_guard_in_a_forked_child_runs_nothing() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let run = runs.cleanup();
    let guard = Shared::new(manager.guard_async("session", || async { run() }));
    assert_eq!(ran_in_a_child(&runs, || drop(guard.take())), 0);
    drop(guard.take());
    assert_eq!((runs.count(), manager.resource_count()), (1, 0));
}

#[cfg(feature = "tokio")]
#[test]
fn a_forked_child_has_a_runtime_of_its_own_for_its_own_asynchronous_cleanups() {
    let _alone = alone();
    let (outside, runs) = (manager(), Runs::default());
    // The parent's runs when the child is forked; none of its threads is in the child.
    drop(outside.guard_async("the parent's", tokio::task::yield_now));
    let run = runs.cleanup();
    let ran = ran_in_a_child(&runs, || {
        let session = || async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            run();
        };
        drop(manager().guard_async("the child's", session));
    });
    assert_eq!(ran, 1);
    // And the parent's goes on.
    drop(outside.guard_async("afterwards", tokio::task::yield_now));
    assert_eq!((outside.stats().cleaned, outside.resource_count()), (2, 0));
}

#[cfg(feature = "tokio")]
#[test]
fn what_was_handed_over_when_the_child_is_forked_ends_in_the_parent_alone() {
    let _alone = alone();
    let (manager, runs) = (manager(), Runs::default());
    let (begun, end, run) = (AtomicI32::new(0), AtomicI32::new(0), runs.cleanup());
    let signals = Arc::new((begun, end));
    let there = signals.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        drop(manager.guard_async("session", || async move {
            there.0.store(1, Ordering::SeqCst);
            while there.1.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            run();
        }));
    });
    let start = Instant::now();
    while signals.0.load(Ordering::SeqCst) == 0 {
        assert!(start.elapsed() < LIMIT, "the cleanup never began");
        thread::sleep(Duration::from_millis(1));
    }
    let in_child = signals.clone();
    assert_eq!(ran_in_a_child(&runs, move || in_child.1.store(1, Ordering::SeqCst)), 0);
    signals.1.store(1, Ordering::SeqCst);
    assert!(manager.cleanup().is_success());
    assert_eq!((runs.count(), manager.resource_count()), (1, 0));
}
