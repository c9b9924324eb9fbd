//! Cleanups that await: they never hang, never get lost, never panic.
//!
//! What goes wrong elsewhere with asynchronous cleanup in `Drop` is a table: what a drop may try, against where it
//! happens. Each row is something that castoff's drop must survive there.
//!
//! | in a drop | current_thread | multi_thread | outside a runtime | runtime shutting down |
//! |---|---|---|---|---|
//! | the drop itself: no panic, no hang, the cleanup runs once | `drops`: `a_drop_in_a_current_thread_runtime…` | `drops`: `…with_one_worker…`, `…with_two_workers…` | `outside`: `a_drop_outside_of_any_runtime_waits…` | `dying`: `…that_is_dropped…`, `…shut_down_in_the_background…` |
//! | inside a `LocalSet`, in `block_on` itself, in `spawn_blocking`, in a `block_on` nested there | `drops`: one test each | the same tests, both flavours | n/a | `dying`: `a_guard_in_a_local_set…` |
//! | a future with a timer | `drops`: `a_cleanup_that_sleeps…` | the same | `outside`: `a_drop_outside…` | `dying`: `a_cleanup_with_a_timer_of_its_own…` |
//! | a runtime made, used and dropped by the cleanup itself | `drops`: `a_cleanup_may_make_and_drop_a_runtime…` | the same | `outside`: `a_cleanup_outside_may_make…` | `dying`: the same |
//! | lost where `tokio::spawn` loses it: the runtime ends at once | `dying`: `what_was_handed_over_survives…` | the same | n/a | the same |
//! | the future uses the *blocked* runtime's socket | `blocked`: `a_blocking_teardown…_socket` | the same with one worker | n/a | `dying`: `…_socket_of_the_dead_runtime…` |
//! | …its timer | `blocked`: `…_timer` | the same | n/a | `dying`: `…_timer_of_the_dead_runtime…` |
//! | …its task | `blocked`: `…_task` | the same | n/a | `dying`: `…_task_of_the_dead_runtime…` |
//! | a handle of a runtime already dropped: `block_on` | `dying`: `blocking_on_the_handle…` | the same | the same | the same |
//! | …`spawn` | `dying`: `a_task_spawned_on_the_handle…` | the same | the same | the same |
//! | inside a thread-local's destructor | `outside`: `…thread_local…` | `outside`: `…thread_local_of_a_worker…` | `outside`: `…thread_local…` | the same |
//! | at exit (`atexit`) | `tests/async_process.rs`: `a_teardown_in_an_exit_handler…` | the same | the same | the same |
//!
//! Every test runs under the watchdog of `support`: a hang fails, and names the test, what is live and the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use castoff::{CleanupErrorKind, ManagerConfig, ResourceManager};
use tokio::runtime::{Builder, Runtime};

use crate::storm::quiet::{ON_PURPOSE, hush};
use crate::support::{LIMIT, OrderLog, Signal, watchdog_telling};

mod accounting;
mod blocked;
mod cancelled;
mod close;
mod crowds;
mod deferral;
mod drops;
mod dying;
mod inside;
mod limits;
mod outside;
mod refused;
mod run;
mod running;
mod scopes;
mod storm;

/// Runs a test's body with a manager of its own, on a thread of its own, under the watchdog.
#[track_caller]
fn watched(body: impl FnOnce(&ResourceManager) + Send + 'static) {
    watched_with(ManagerConfig::default(), body);
}

#[track_caller]
fn watched_with(config: ManagerConfig, body: impl FnOnce(&ResourceManager) + Send + 'static) {
    hush();
    let manager = ResourceManager::isolated("test", config);
    let seen = manager.clone();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let story = move || {
        let live: Vec<String> =
            seen.resources().iter().map(|info| format!("{} ({:?})", info.label, info.state)).collect();
        format!("; `{test}` hangs; live: [{}]", live.join(", "))
    };
    watchdog_telling(LIMIT, story, move || body(&manager));
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime")
}

/// One of each kind, with its name.
fn runtimes() -> [(&'static str, Runtime); 3] {
    [
        ("current_thread", current_thread()),
        ("multi_thread, one worker", multi_thread(1)),
        ("multi_thread, two workers", multi_thread(2)),
    ]
}

/// Runs the same on a runtime of each kind.
fn on_each_runtime<F: Future<Output = ()>>(body: impl Fn(&'static str) -> F) {
    for (name, runtime) in runtimes() {
        runtime.block_on(body(name));
    }
}

/// Drops a guard whose cleanup ends only when the drop has returned: a drop that waits makes it time out.
fn drop_and_see_it_return(manager: &ResourceManager) {
    let returned = Signal::new();
    let cleanup = returned.clone();
    let guard = manager.guard_async("session", || async move { cleanup.given().await });
    drop(guard);
    returned.give();
}

/// Fails unless so many cleanups succeeded, nothing else happened, and nothing is left.
#[track_caller]
fn assert_only_cleaned(manager: &ResourceManager, cleaned: u64, what: &str) {
    let stats = manager.stats();
    let counts = (stats.cleaned, stats.failed, stats.timed_out, stats.released, stats.live);
    assert_eq!(counts, (cleaned, 0, 0, 0, 0), "{what}: cleaned, failed, timed out, released, live");
}

/// Counts its runs.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// An asynchronous cleanup that writes `entry`, after it has waited once for its turn.
fn logged(log: &OrderLog, entry: &str) -> impl FnOnce() -> Logging + Send + 'static + use<> {
    let run = log.cleanup(entry);
    move || {
        Box::pin(async move {
            tokio::task::yield_now().await;
            run();
        })
    }
}

type Logging = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The message of a cleanup that failed or panicked.
fn message_of(kind: &CleanupErrorKind) -> String {
    match kind {
        CleanupErrorKind::Failed(cause) => cause.to_string(),
        CleanupErrorKind::Panicked(message) => message.clone(),
        other => panic!("neither failed nor panicked: {other:?}"),
    }
}

/// A panic that nobody needs to read.
fn panic_quietly() -> ! {
    panic!("{ON_PURPOSE}an asynchronous cleanup")
}
