//! What tests share: made once, remembered where it failed, in nobody's way. How it ends with the process is in
//! tests/testing, from outside.

#[cfg(feature = "tokio")]
mod awaiting;

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use castoff::testing::{Shared, SharedError, scope};
use castoff::{Category, ResourceManager};

use super::failure;
use crate::support::{LIMIT, watchdog};

fn count(times: &AtomicUsize) {
    times.fetch_add(1, SeqCst);
}

#[test]
fn of_eight_threads_that_ask_at_once_one_makes_it_and_all_have_it() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<usize> = Shared::new(
        "counted",
        &|| {
            thread::yield_now();
            COUNT.fetch_add(1, SeqCst)
        },
        &|_| (),
    );
    let barrier = Barrier::new(8);
    let ask = || {
        barrier.wait();
        *SHARED
    };
    let all: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    assert_eq!((all, COUNT.load(SeqCst)), (vec![0; 8], 1));
}

#[test]
fn an_error_is_told_to_everybody_and_what_was_half_made_is_cleaned() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static CLEANED: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<u8> = Shared::new("refused", &make, &|_| ());
    fn make() -> Result<u8, &'static str> {
        COUNT.fetch_add(1, SeqCst);
        let container = ResourceManager::current().guard("container", || count(&CLEANED));
        std::mem::forget(container);
        Err("no docker here")
    }
    let first = SHARED.try_get().expect_err("it can't be made").to_string();
    let again = thread::spawn(|| SHARED.try_get().expect_err("it is not tried again").to_string());
    assert_eq!(first, again.join().expect("it does not panic"));
    let by = thread::current().name().unwrap_or("test").to_owned();
    let why = format!("no docker here; it was tried once in this process, by `{by}`, and is not tried again");
    assert!(first.contains(&why) && first.contains(file!()), "{first}");
    assert_eq!((COUNT.load(SeqCst), CLEANED.load(SeqCst)), (1, 1));
    assert_eq!(format!("{SHARED:?}"), "Shared { label: \"refused\", state: \"failed\", .. }");
}

#[test]
fn a_panic_is_told_to_everybody_and_going_through_the_static_panics_with_it() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<u8> = Shared::new("torn", &make, &|_| ());
    fn make() -> u8 {
        COUNT.fetch_add(1, SeqCst);
        panic!("out of rope");
    }
    for _ in 0..2 {
        let message = failure(|| *SHARED);
        assert!(message.contains("`torn`") && message.contains("it panicked: out of rope"), "{message}");
    }
    assert!(
        matches!(SHARED.try_get(), Err(SharedError::Panicked { message, .. }) if message == "out of rope")
    );
    assert_eq!(COUNT.load(SeqCst), 1);
}

#[test]
fn the_test_that_makes_it_is_not_blamed_and_what_the_making_registers_is_not_the_tests() {
    static SHARED: Shared<()> = Shared::new("pool", &make, &|()| ());
    fn make() {
        std::mem::forget(ResourceManager::current().guard("connection", || ()));
    }
    scope(|manager| {
        SHARED.get();
        assert_eq!(manager.resource_count(), 0);
        assert_eq!(
            ResourceManager::current().resource_count(),
            0,
            "the test's manager is the current one again"
        );
    });
    let everywhere = ResourceManager::global().resources();
    assert!(
        everywhere.iter().all(|info| info.label != "pool" && info.label != "connection"),
        "{everywhere:?}"
    );
}

#[test]
fn one_that_needs_itself_by_way_of_another_is_told_so() {
    static ONE: Shared<u8> = Shared::new("one", &|| *TWO, &|_| ());
    static TWO: Shared<u8> = Shared::new("two", &|| ONE.try_get().copied(), &|_| ());
    watchdog(LIMIT, || {
        let error = TWO.try_get().expect_err("they need each other");
        assert!(error.to_string().contains("it needs itself: two -> one -> two"), "{error}");
        assert!(ONE.try_get().is_err());
    });
}

#[test]
fn two_that_need_each_other_and_are_made_on_two_threads_do_not_wait_for_ever() {
    static BOTH: Barrier = Barrier::new(2);
    static LEFT: Shared<u8> = Shared::new("left", &|| wait_for(&RIGHT), &|_| ());
    static RIGHT: Shared<u8> = Shared::new("right", &|| wait_for(&LEFT), &|_| ());
    fn wait_for(other: &Shared<u8>) -> Result<u8, SharedError> {
        // Both are being made by now.
        BOTH.wait();
        other.try_get().copied()
    }
    watchdog(LIMIT, || {
        let there = thread::spawn(|| LEFT.try_get().expect_err("they need each other").to_string());
        let here = RIGHT.try_get().expect_err("they need each other").to_string();
        let there = there.join().expect("it does not panic");
        for told in [here, there] {
            let paths = ["left -> right -> left", "right -> left -> right"];
            assert!(paths.iter().any(|path| told.contains(path)), "{told}");
        }
    });
}

#[test]
fn one_that_is_no_static_is_cleaned_when_it_is_dropped() {
    static CLEANED: AtomicUsize = AtomicUsize::new(0);
    let shared: Shared<u8> = Shared::new("local", &|| 1, &|_| count(&CLEANED));
    assert_eq!(format!("{shared:?}"), "Shared { label: \"local\", state: \"not made\", .. }");
    assert_eq!(*shared, 1);
    assert_eq!(format!("{shared:?}"), "Shared { label: \"local\", state: \"made\", .. }");
    drop(shared);
    assert_eq!(CLEANED.load(SeqCst), 1);
    drop(Shared::<u8>::new("never asked for", &|| 1, &|_| count(&CLEANED)));
    assert_eq!(CLEANED.load(SeqCst), 1);
}

#[test]
fn whoever_drops_it_waits_for_its_cleanup_as_long_as_it_was_told() {
    static CLEANED: AtomicUsize = AtomicUsize::new(0);
    static GO: Barrier = Barrier::new(2);
    fn clean(_: &u8) {
        GO.wait();
        count(&CLEANED);
    }
    watchdog(LIMIT, || {
        let shared: Shared<u8> = Shared::new("slow", &|| 1, &clean);
        let shared = shared.category(Category::Process).timeout(Duration::from_millis(20));
        assert_eq!(*shared, 1);
        drop(shared);
        assert_eq!(CLEANED.load(SeqCst), 0, "it was given up");
        GO.wait();
    });
}

#[test]
fn one_that_needs_what_its_making_has_dropped_is_not_made() {
    fn make() -> u8 {
        let base: Shared<u8> = Shared::new("base", &|| 1, &|_| ());
        *base + 1
    }
    let shared: Shared<u8> = Shared::new("half", &make, &|_| ());
    let error = shared.try_get().expect_err("what it needs has ended").to_string();
    assert!(
        error.contains("cannot register `half`: its dependency") && error.contains("has ended"),
        "{error}"
    );
}
