//! Cleanups that await: they never hang, never get lost, never panic.
//!
//! What goes wrong elsewhere with asynchronous cleanup in `Drop` is a table: what is done, against where. Each cell is
//! something that castoff must survive there; the numbers say by which test. (`tests/peers.rs` shows the failures.)
//!
//! | | current_thread | multi_thread | outside a runtime | runtime shutting down |
//! |---|---|---|---|---|
//! | the drop itself: the cleanup runs once, nobody waits, nothing panics | 1 | 2, 3 | 4 | 5, 6 |
//! | `block_in_place` around it | n/a | 7 | n/a | n/a |
//! | in a `LocalSet` | 8 | 8 | n/a | 9 |
//! | in `spawn_blocking`, and in a `block_on` nested there | 10, 11 | 10, 11 | n/a | 30 |
//! | the future has a timer | 12 | 12 | 4 | 13 |
//! | the future makes, uses and drops a runtime | 14 | 14 | 15 | 16 |
//! | `tokio::spawn` would lose it: the runtime ends at once | 17 | 17 | n/a | 5, 6 |
//! | the future uses the blocked, or dead, runtime's socket | 18 | 18 | n/a | 19 |
//! | ... its timer | 20 | 20 | n/a | 21 |
//! | ... its task | 22 | 22 | n/a | 23, 24 |
//! | a handle of a runtime already dropped: `block_on` | 25 | 25 | 25 | 25 |
//! | ... `spawn` | 26 | 26 | 26 | 26 |
//! | in a thread-local's destructor | 27 | 28 | 29 | 28 |
//! | at exit | 31 | 31 | 31 | 31 |
//!
//! 1. `drops::a_drop_in_a_current_thread_runtime_returns_at_once_and_cleans`
//! 2. `drops::a_drop_in_a_multi_thread_runtime_with_one_worker_returns_at_once_and_cleans`
//! 3. `drops::a_drop_in_a_multi_thread_runtime_with_two_workers_returns_at_once_and_cleans`
//! 4. `outside::a_drop_outside_of_any_runtime_waits_for_the_end_of_its_cleanup`
//! 5. `dying::the_tasks_of_a_runtime_that_is_dropped_clean_what_they_hold_once_each`
//! 6. `dying::the_tasks_of_a_runtime_shut_down_in_the_background_clean_what_they_hold_once_each`
//! 7. `drops::a_drop_inside_block_in_place_returns_at_once_and_cleans`
//! 8. `drops::a_drop_in_a_local_set_returns_at_once_and_cleans_on_both_flavours`
//! 9. `dying::a_guard_in_a_local_set_that_is_dropped_with_its_runtime_cleans_once`
//! 10. `drops::a_drop_in_a_blocking_task_returns_at_once_and_cleans`
//! 11. `drops::a_drop_in_a_block_on_nested_in_a_blocking_task_returns_at_once_and_cleans`
//! 12. `drops::a_cleanup_that_sleeps_ends_though_its_drop_was_on_a_runtime_that_turns_no_more`
//! 13. `dying::a_cleanup_with_a_timer_of_its_own_ends_after_its_runtime_has`
//! 14. `drops::a_cleanup_may_make_and_drop_a_runtime_of_its_own_on_a_thread_of_its_own`
//! 15. `outside::a_cleanup_outside_may_make_a_runtime_of_its_own`
//! 16. `dying::a_cleanup_that_makes_a_runtime_of_its_own_ends_after_its_runtime_has`
//! 17. `dying::what_was_handed_over_survives_the_runtime_that_ends_at_once`
//! 18. `blocked::a_blocking_teardown_ends_though_a_cleanup_needs_a_socket_of_the_blocked_runtime`
//! 19. `dead::a_cleanup_that_uses_a_socket_of_the_dead_runtime_fails_and_says_so`
//! 20. `blocked::a_blocking_teardown_ends_though_a_cleanup_needs_a_timer_of_the_blocked_runtime`
//! 21. `dead::a_cleanup_that_uses_a_timer_of_the_dead_runtime_fails_and_says_so`
//! 22. `blocked::a_blocking_teardown_ends_though_a_cleanup_needs_a_task_of_the_blocked_runtime`
//! 23. `dead::a_cleanup_that_joins_a_task_of_the_dead_runtime_fails_and_says_so`
//! 24. `dead::a_cleanup_that_asks_a_task_of_the_dead_runtime_fails_and_says_so`
//! 25. `dead::blocking_on_the_handle_of_a_dead_runtime_is_a_panic_that_is_reported`
//! 26. `dead::a_task_spawned_on_the_handle_of_a_dead_runtime_is_a_failure_that_is_reported`
//! 27. `outside::a_guard_in_a_thread_local_that_goes_after_tokios_own_cleans_in_its_destructor`
//! 28. `outside::guards_in_thread_locals_of_worker_threads_clean_when_the_runtime_ends`
//! 29. `outside::a_guard_in_a_thread_local_of_a_plain_thread_cleans_in_its_destructor`
//! 30. `dying::a_blocking_task_of_a_runtime_that_ends_cleans_what_it_holds`
//! 31. `tests/async_process.rs::a_teardown_in_an_exit_handler_runs_asynchronous_cleanups_after_tokios_thread_locals_are_gone`
//!
//! Every test runs under the watchdog of `support`: a hang fails, and names the test, what is live and the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use castoff::{CleanupErrorKind, ManagerConfig, ResourceManager};
use tokio::runtime::{Builder, Runtime};

use crate::storm::quiet::{ON_PURPOSE, hush};
use crate::support::{LIMIT, OrderLog, Signal, watchdog_telling};

mod abandoned;
mod accounting;
mod blocked;
mod budget;
mod cancelled;
mod close;
mod crowds;
mod dead;
mod deferral;
mod drops;
mod dying;
mod failing;
mod inside;
mod late;
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

#[test]
fn every_test_that_the_table_names_is_there() {
    let files = [
        ("drops", include_str!("drops.rs")),
        ("outside", include_str!("outside.rs")),
        ("dying", include_str!("dying.rs")),
        ("dead", include_str!("dead.rs")),
        ("blocked", include_str!("blocked.rs")),
        ("tests/async_process.rs", include_str!("../../async_process.rs")),
    ];
    let header = include_str!("mod.rs").lines().take_while(|line| line.starts_with("//!"));
    let listed = header.filter_map(|line| line.split_once(". `")?.1.strip_suffix('`')?.split_once("::"));
    let listed: Vec<(&str, &str)> = listed.collect();
    assert_eq!(listed.len(), 31);
    for (file, test) in listed {
        let text = files.iter().find(|(name, _)| *name == file).map_or("", |(_, text)| text);
        assert!(text.contains(&format!("#[test]\nfn {test}() {{")), "{file}::{test}");
    }
}
