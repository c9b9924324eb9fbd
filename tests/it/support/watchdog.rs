//! The watchdog: a test that hangs fails, and says what it waited for.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::lock;

/// How long a test may take before its watchdog gives it up.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How long one wait inside a test may take: shorter than `LIMIT`, so that the wait is named before the whole
/// test is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    static STEP: RefCell<Option<Arc<Mutex<&'static str>>>> = const { RefCell::new(None) };
}

/// Runs `body` on a thread of its own, and fails the test if it has not ended within `limit`, naming what it
/// waited for.
#[track_caller]
pub(crate) fn watchdog<R: Send + 'static>(limit: Duration, body: impl FnOnce() -> R + Send + 'static) -> R {
    watchdog_telling(limit, String::new, body)
}

/// The same. When it fails it says besides what `story` tells, and which threads the process has.
#[track_caller]
pub(crate) fn watchdog_telling<R: Send + 'static>(
    limit: Duration,
    story: impl FnOnce() -> String + Send + 'static,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let caller = Location::caller();
    let step = Arc::new(Mutex::new("the library to return"));
    let (ended, end) = mpsc::channel();
    let told = Arc::clone(&step);
    let watched = move || {
        STEP.set(Some(told));
        // Nobody listens any more when the watchdog has failed the test already.
        ended.send(panic::catch_unwind(AssertUnwindSafe(body))).ok();
    };
    let name = thread::current().name().unwrap_or("test").to_owned();
    thread::Builder::new().name(name).spawn(watched).expect("a thread for the body of a test");
    match end.recv_timeout(limit) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(_) => panic!(
            "not done after {limit:?}: it waited for {}; the body is at {caller}{}; threads: {}",
            lock(&step),
            told_in_time(story),
            thread_names().join(", ")
        ),
    }
}

/// Told on a thread of its own: what hangs may hold what the story has to ask for.
fn told_in_time(story: impl FnOnce() -> String + Send + 'static) -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(story()).ok());
    told.recv_timeout(Duration::from_secs(2))
        .unwrap_or_else(|_| "; what is live can't be asked for".to_owned())
}

/// The threads of this process, by the first 15 characters of their names, where the system tells.
fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

/// Tells the watchdog what this thread waits for from now on.
pub(crate) fn step(what: &'static str) {
    STEP.with_borrow(|told| told.iter().for_each(|told| *lock(told) = what));
}

/// Waits until `condition` holds, and fails with `what` if it never does.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{PATIENCE:?} went by without: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `action` on another thread after a moment, so that a call made meanwhile has had the time to block.
/// It makes a race likely; whether a test passes must not hang on it.
pub(crate) fn shortly(action: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        action();
    });
}

/// The message of the panic that `body` ends in.
#[track_caller]
pub(crate) fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("the body was expected to panic"),
        Err(payload) => message(&*payload),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

mod tests {
    use super::*;
    use crate::support::Gate;

    #[test]
    fn the_watchdog_hands_the_result_of_its_body_back() {
        assert_eq!(watchdog(LIMIT, || 7), 7);
    }

    #[test]
    fn the_watchdog_says_what_a_hanging_body_waits_for() {
        let gate = Gate::new("a letter that never comes");
        let waiting = gate.clone();
        let told = panic_of(|| watchdog(Duration::from_millis(500), move || waiting.wait()));
        gate.open();
        assert!(told.contains("waited for a letter that never comes"), "{told}");
        assert!(told.contains(file!()), "{told}");
    }

    #[test]
    fn the_watchdog_tells_the_story_and_names_the_threads() {
        let gate = Gate::new("nothing");
        let waiting = gate.clone();
        let hang = move || waiting.opens_within(LIMIT);
        let limit = Duration::from_millis(100);
        let told = panic_of(|| watchdog_telling(limit, || "; live: pool".to_owned(), hang));
        gate.open();
        assert!(told.contains("; live: pool; threads: "), "{told}");
        // The body's thread is named as the test is, as far as the kernel keeps it.
        let own: String = thread::current().name().unwrap_or_default().chars().take(15).collect();
        assert!(!cfg!(target_os = "linux") || told.contains(&own), "{told}");
    }

    #[test]
    fn the_watchdog_passes_the_panic_of_its_body_on() {
        assert_eq!(panic_of(|| watchdog(LIMIT, || panic!("the body's own"))), "the body's own");
    }

    #[test]
    #[should_panic(expected = "was expected to panic")]
    fn a_body_without_a_panic_has_no_message() {
        panic_of(|| ());
    }

    #[test]
    fn waiting_for_what_becomes_true_ends() {
        let gate = Gate::new("the gate");
        let key = gate.clone();
        shortly(move || key.open());
        until("the gate to open", || gate.is_open());
    }
}
