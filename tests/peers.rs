//! What goes wrong elsewhere with asynchronous cleanup in `Drop`, as small programs: the pattern, not the crate. Beside
//! each, the same with castoff. `docs/async.md` tells the stories.
//!
//! What hangs or aborts does so in a child process, which is killed when its time is over.
#![cfg(all(feature = "tokio", unix))]

mod child;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::block_in_place;

use child::{How, in_a_child};

const LIMIT: Duration = Duration::from_secs(30);
/// How long a child that is expected to hang is watched.
const HANG: Duration = Duration::from_secs(3);

/// What the pattern does in `Drop` with the cleanup's future.
type Pattern = fn(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>);

/// A session that closes itself in `Drop`, by a pattern.
struct Peer {
    pattern: Pattern,
    closed: Arc<AtomicUsize>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let closed = self.closed.clone();
        (self.pattern)(Box::pin(close(closed)));
    }
}

/// The farewell of a session: it takes a moment.
async fn close(closed: Arc<AtomicUsize>) {
    tokio::time::sleep(Duration::from_millis(1)).await;
    closed.fetch_add(1, SeqCst);
}

fn peer(pattern: Pattern, closed: &Arc<AtomicUsize>) -> Peer {
    Peer { pattern, closed: closed.clone() }
}

/// The same session with castoff.
fn guard(manager: &ResourceManager, closed: &Arc<AtomicUsize>) -> ResourceGuard<()> {
    let closed = closed.clone();
    manager.guard_async("session", || close(closed))
}

fn manager() -> ResourceManager {
    ResourceManager::isolated("sessions", ManagerConfig::default())
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A task that holds something until its runtime ends.
fn hold_in_a_task<T: Send + 'static>(runtime: &Runtime, held: T) {
    runtime.block_on(async {
        let (holding, holds) = oneshot::channel();
        tokio::spawn(async move {
            let _held = held;
            holding.send(()).expect("the program listens");
            std::future::pending::<()>().await;
        });
        holds.await.expect("it holds");
    });
}

fn message(result: std::thread::Result<()>) -> String {
    let Err(payload) = result else { return String::new() };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn block_in_place_and_block_on(future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
    block_in_place(|| Handle::current().block_on(future));
}

fn block_on_the_handle(future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
    Handle::current().block_on(future);
}

fn block_on_a_new_runtime(future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
    current_thread().block_on(future);
}

fn spawn_and_forget(future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
    drop(tokio::spawn(future));
}

#[test]
fn block_in_place_in_a_drop_panics_on_a_current_thread_runtime() {
    let closed = Arc::default();
    let result = catch_unwind(AssertUnwindSafe(|| {
        current_thread().block_on(async { drop(peer(block_in_place_and_block_on, &closed)) });
    }));
    assert!(message(result).contains("multi-threaded runtime"));
    assert_eq!(closed.load(SeqCst), 0, "and the session stays open");
}

#[test]
fn block_in_place_in_a_drop_during_a_panic_aborts_the_process() {
    let test = "block_in_place_in_a_drop_during_a_panic_aborts_the_process";
    let ended = in_a_child(test, LIMIT, || {
        let closed = Arc::default();
        current_thread().block_on(async {
            let _session = peer(block_in_place_and_block_on, &closed);
            panic!("a test fails");
        });
    });
    assert_eq!(ended.how, How::Aborted, "{}", ended.text);
}

#[test]
fn a_castoff_guard_in_the_same_place_leaves_the_panic_alone_and_closes() {
    let closed = Arc::default();
    let manager = manager();
    let result = catch_unwind(AssertUnwindSafe(|| {
        current_thread().block_on(async {
            let _session = guard(&manager, &closed);
            panic!("a test fails");
        });
    }));
    assert_eq!(message(result), "a test fails");
    assert!(manager.cleanup().is_success());
    assert_eq!(closed.load(SeqCst), 1);
}

#[test]
fn block_in_place_in_a_drop_hangs_when_its_runtime_ends() {
    let test = "block_in_place_in_a_drop_hangs_when_its_runtime_ends";
    let ended = in_a_child(test, HANG, || {
        let (runtime, closed) = (multi_thread(), Arc::default());
        hold_in_a_task(&runtime, peer(block_in_place_and_block_on, &closed));
        eprintln!("the runtime ends");
        drop(runtime);
        eprintln!("it has ended");
    });
    assert_eq!(ended.how, How::Hung, "{}", ended.text);
    assert!(
        ended.text.contains("the runtime ends") && !ended.text.contains("it has ended"),
        "{}",
        ended.text
    );
}

#[test]
fn a_castoff_guard_in_a_task_of_a_runtime_that_ends_closes_and_the_program_goes_on() {
    let test = "a_castoff_guard_in_a_task_of_a_runtime_that_ends_closes_and_the_program_goes_on";
    in_a_child(test, LIMIT, || {
        for runtime in [current_thread(), multi_thread()] {
            let (manager, closed) = (manager(), Arc::default());
            hold_in_a_task(&runtime, guard(&manager, &closed));
            drop(runtime);
            assert!(manager.cleanup().is_success());
            assert_eq!(closed.load(SeqCst), 1);
        }
    })
    .assert_fine();
}

#[test]
fn spawning_in_a_drop_loses_the_cleanup_without_a_word_when_the_runtime_ends() {
    for runtime in [current_thread(), multi_thread()] {
        let closed = Arc::default();
        runtime.block_on(async { drop(peer(spawn_and_forget, &closed)) });
        drop(runtime);
        assert_eq!(closed.load(SeqCst), 0, "nothing closed it, and nothing said so");
        assert_eq!(Arc::strong_count(&closed), 1, "nor will anything: the future is gone");
    }
}

#[test]
fn spawning_in_a_drop_while_the_runtime_ends_is_a_task_that_never_runs() {
    for runtime in [current_thread(), multi_thread()] {
        let closed = Arc::default();
        hold_in_a_task(&runtime, peer(spawn_and_forget, &closed));
        drop(runtime);
        assert_eq!((closed.load(SeqCst), Arc::strong_count(&closed)), (0, 1));
    }
}

#[test]
fn a_castoff_guard_dropped_just_before_its_runtime_ends_closes() {
    for runtime in [current_thread(), multi_thread()] {
        let (manager, closed) = (manager(), Arc::default());
        runtime.block_on(async { drop(guard(&manager, &closed)) });
        drop(runtime);
        assert!(manager.cleanup().is_success());
        assert_eq!((closed.load(SeqCst), manager.stats().cleaned), (1, 1));
    }
}

#[test]
fn blocking_on_the_handle_in_a_drop_panics_in_asynchronous_code_and_outside() {
    for runtime in [current_thread(), multi_thread()] {
        let closed = Arc::default();
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { drop(peer(block_on_the_handle, &closed)) });
        }));
        assert!(message(result).contains("Cannot start a runtime from within a runtime"));
        assert_eq!(closed.load(SeqCst), 0);
    }
    let closed = Arc::default();
    let result = catch_unwind(AssertUnwindSafe(|| drop(peer(block_on_the_handle, &closed))));
    assert!(message(result).contains("no reactor running"));
    assert_eq!(closed.load(SeqCst), 0);
}

#[test]
fn a_runtime_made_in_a_drop_panics_in_asynchronous_code() {
    for runtime in [current_thread(), multi_thread()] {
        let closed = Arc::default();
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { drop(peer(block_on_a_new_runtime, &closed)) });
        }));
        let told = message(result);
        assert!(told.contains("runtime"), "{told}");
        assert_eq!(closed.load(SeqCst), 0);
    }
}

#[test]
fn spawning_in_a_drop_panics_outside_of_a_runtime() {
    let closed = Arc::default();
    let result = catch_unwind(AssertUnwindSafe(|| drop(peer(spawn_and_forget, &closed))));
    assert!(message(result).contains("no reactor running"));
    assert_eq!(closed.load(SeqCst), 0);
}

#[test]
fn a_castoff_guard_outside_of_a_runtime_has_closed_when_its_drop_returns() {
    let (manager, closed) = (manager(), Arc::default());
    drop(guard(&manager, &closed));
    assert_eq!(closed.load(SeqCst), 1);
}
