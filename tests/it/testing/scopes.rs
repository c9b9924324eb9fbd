//! What a scope looks at, in which order it does things, and whom it leaves alone.

use std::sync::mpsc;
use std::time::Duration;

use castoff::testing::scope;
use castoff::{LeakSeverity, ManagerConfig, ResourceGuard, ResourceManager};

use super::failure;
use crate::support::{LIMIT, watchdog};

#[test]
fn a_body_that_cleans_up_passes_and_its_result_comes_back() {
    let result = scope(|manager| {
        let _one = manager.guard("one", || ());
        let _two = ResourceManager::current().guard("two", || ());
        Err::<(), _>("not a panic")
    });
    assert_eq!(result, Err("not a panic"));
}

#[test]
fn the_current_manager_is_the_scopes_here_and_on_threads_of_castoffs() {
    scope(|manager| {
        let there = castoff::thread::spawn(|| {
            let _guard = ResourceManager::current().guard("there", || ());
            ResourceManager::current().resource_count()
        });
        assert_eq!(there.join().ok(), Some(1));
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_forgotten_guard_is_a_leak_with_its_line_and_is_cleaned_nevertheless() {
    let (tell, told) = mpsc::channel();
    let line = line!() + 2;
    let body = move |manager: &ResourceManager| {
        let guard = manager.guard("forgotten", move || tell.send("cleaned"));
        std::mem::forget(guard);
    };
    let message = failure(|| scope(body));
    assert!(message.contains(&format!("{}:{line}:", file!())), "{message}");
    assert!(
        message.contains("`forgotten`") && message.contains("held after the end of its scope"),
        "{message}"
    );
    assert_eq!(told.try_recv(), Ok("cleaned"));
}

#[test]
fn a_guard_that_the_body_returns_is_a_leak() {
    let message = failure(|| scope(|manager| manager.guard("returned", || ())));
    assert!(message.contains("1 leak in ") && message.contains("`returned`"), "{message}");
}

#[test]
fn what_is_leaked_on_purpose_or_long_lived_is_no_leak_but_is_cleaned() {
    let (tell, told) = mpsc::channel();
    let say = tell.clone();
    let kept = scope(|manager| {
        ResourceGuard::leak(manager.guard("on purpose", move || tell.send("on purpose")));
        manager
            .resource("long-lived")
            .long_lived()
            .guard(move || say.send("long-lived"))
            .expect("it is not refused")
    });
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["long-lived", "on purpose"]);
    drop(kept);
}

#[test]
fn what_others_hold_beside_it_or_above_it_is_not_its_business() {
    let _global = ResourceManager::global().guard("global", || ());
    let other = ResourceManager::new("other");
    let _other = other.guard("other", || ());
    scope(|manager| {
        let _mine = manager.guard("mine", || ());
    });
    assert_eq!(other.resource_count(), 1);
}

#[test]
fn a_leak_in_a_child_of_the_tests_manager_is_the_tests() {
    let message = failure(|| scope(|manager| std::mem::forget(manager.child("below").guard("deep", || ()))));
    assert!(message.contains("`deep`") && message.contains("in `below`"), "{message}");
}

#[test]
fn a_scope_inside_of_another_is_judged_by_itself() {
    scope(|outer| {
        let _outer = outer.guard("outer", || ());
        let message = failure(|| scope(|inner| std::mem::forget(inner.guard("inner", || ()))));
        assert!(message.contains("`inner`") && !message.contains("`outer`"), "{message}");
        assert_eq!(outer.resource_count(), 1);
    });
}

#[test]
fn what_a_cleanup_under_way_still_holds_is_no_leak() {
    watchdog(LIMIT, || {
        let (begin, begun) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let thread = scope(|manager| {
            // Its cleanup runs on another thread when the body ends, and takes the last other guard with it.
            let held = manager.guard("freed by the cleanup", || ());
            let slow = manager.guard("slow", move || {
                begin.send(()).expect("the test waits for it");
                gone.recv_timeout(Duration::from_millis(50)).ok();
                drop(held);
            });
            let thread = std::thread::spawn(move || drop(slow));
            begun.recv().expect("the cleanup begins");
            thread
        });
        thread.join().expect("it does not panic");
        drop(go);
    });
}

#[test]
fn the_configuration_around_a_test_says_how_severe_it_is() {
    let config = ManagerConfig::default().leaks(LeakSeverity::Count);
    let around = ResourceManager::isolated("around", config);
    let ((), report) =
        around.scope("tests", |_| scope(|manager| std::mem::forget(manager.guard("held", || ()))));
    assert!(report.is_success());
}
