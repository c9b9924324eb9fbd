//! Each reason, and what is no leak.

use std::time::Duration;

use castoff::{LeakReason, ManagerConfig, ResourceGuard, ResourceManager};

use crate::support::{Hang, manager, manager_with, until};

fn reasons(manager: &ResourceManager) -> Vec<(String, Vec<LeakReason>)> {
    manager.detect_leaks().into_iter().map(|leak| (leak.label.to_string(), leak.reasons)).collect()
}

fn only(label: &str, reason: LeakReason) -> Vec<(String, Vec<LeakReason>)> {
    vec![(String::from(label), vec![reason])]
}

#[test]
fn what_is_live_is_still_live_and_nothing_is_when_it_has_gone() {
    let manager = manager();
    let guard = manager.guard("held", || ());
    assert_eq!(reasons(&manager), only("held", LeakReason::StillLive));
    drop(guard);
    assert!(manager.detect_leaks().is_empty());
}

#[test]
fn what_was_let_be_on_purpose_is_no_leak() {
    let manager = manager();
    ResourceGuard::leak(manager.guard("leaked on purpose", || ()));
    let _long = manager.resource("long lived").long_lived().guard(|| ()).expect("nothing refuses it");
    assert!(manager.detect_leaks().is_empty());
    assert_eq!(manager.resource_count(), 2, "they are live all the same");
}

#[test]
fn what_is_ending_anyway_is_no_leak_of_its_own() {
    let manager = manager();
    let hang = Hang::new();
    let pool = manager.guard("pool", || ());
    let server = manager.resource("server").depends_on(&pool).guard(hang.cleanup()).expect("it has a pool");
    drop(pool); // deferred
    let dropper = std::thread::spawn(move || drop(server));
    hang.wait_started();
    assert!(manager.detect_leaks().is_empty(), "one is deferred, the other is being cleaned");
    hang.release();
    dropper.join().expect("the drop returns");
}

#[test]
fn younger_than_its_limit_it_is_none_and_older_it_is_overdue() {
    let limit = Duration::from_millis(20);
    let manager = manager_with(ManagerConfig::default().leak_after(limit));
    let _guard = manager.guard("slow", || ());
    let _other =
        manager.resource("patient").leak_after(Duration::from_secs(600)).guard(|| ()).expect("it is free");
    until("its limit to pass", || !manager.detect_leaks().is_empty());
    assert_eq!(reasons(&manager), only("slow", LeakReason::Overdue { limit }));
}

#[test]
fn a_limit_of_its_own_counts_among_very_many_that_are_too_young() {
    const CROWD: usize = 1_000;
    let manager = manager_with(ManagerConfig::default().leak_after(Duration::from_secs(600)));
    let crowd = || (0..CROWD).map(|_| manager.guard("young", || ())).collect::<Vec<_>>();
    let limit = Duration::from_millis(20);
    let _before = crowd();
    let hasty = manager.resource("hasty").leak_after(limit).guard(|| ()).expect("it is free");
    let _after = crowd();
    until("its limit to pass", || !manager.detect_leaks().is_empty());
    assert_eq!(reasons(&manager), only("hasty", LeakReason::Overdue { limit }));
    drop(hasty);
    assert!(manager.detect_leaks().is_empty(), "nobody else is old enough");
}

#[test]
fn what_was_in_use_once_and_is_no_more_is_unused_too() {
    let limit = Duration::from_millis(20);
    let manager = manager_with(ManagerConfig::default().leak_after(limit));
    let guard = manager.guard("session", || ());
    ResourceGuard::touch(&guard);
    let unused = |leak: &castoff::ResourceLeak| matches!(leak.reasons[..], [LeakReason::Overdue { .. }, LeakReason::Unused { since }] if since >= limit);
    until("it to be unused", || manager.detect_leaks().iter().any(unused));
    ResourceGuard::touch(&guard);
    assert_eq!(reasons(&manager), only("session", LeakReason::Overdue { limit }), "in use again, and as old");
}

#[test]
fn the_end_of_the_thread_that_made_it_is_a_reason_unless_another_uses_it() {
    let manager = manager();
    let there = manager.clone();
    let make = move || (there.guard("orphan", || ()), there.guard("adopted", || ()));
    let maker = std::thread::Builder::new().name("maker".into()).spawn(make).expect("a thread can be had");
    let (orphan, adopted) = maker.join().expect("it does not panic");
    let ended = LeakReason::OwnerThreadEnded { thread: "maker".into() };
    until("the thread's end to be known", || {
        reasons(&manager).iter().all(|(_, why)| *why == [ended.clone()])
    });
    assert!(ResourceGuard::info(&adopted).is_some(), "looking is a use");
    let found = reasons(&manager);
    assert_eq!(found[0], (String::from("orphan"), vec![ended.clone()]), "the surer comes first");
    assert_eq!(found[1], (String::from("adopted"), vec![LeakReason::StillLive]));
    ResourceGuard::touch(&orphan);
    assert!(reasons(&manager).iter().all(|(_, why)| *why == [LeakReason::StillLive]));
}

#[test]
fn a_use_by_its_own_thread_does_not_outlive_that() {
    let manager = manager();
    let there = manager.clone();
    let make = move || {
        let guard = there.guard("orphan", || ());
        ResourceGuard::touch(&guard);
        guard
    };
    let _guard = std::thread::spawn(make).join().expect("it does not panic");
    let orphaned = |why: &[LeakReason]| matches!(why, [LeakReason::OwnerThreadEnded { .. }]);
    until("the thread's end to be known", || reasons(&manager).iter().all(|(_, why)| orphaned(why)));
}

#[test]
fn what_lives_on_after_its_scope_is_certain_at_any_age() {
    let manager = manager_with(ManagerConfig::default().leak_after(Duration::from_secs(600)));
    let (late, report) = manager.scope("job 7", Clone::clone);
    assert!(report.is_success());
    let _late = late.guard("too late", || ());
    let _child = late.child("part").guard("later still", || ());
    let ended = LeakReason::ScopeEnded { scope: "job 7".into() };
    let found = reasons(&late);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(_, why)| *why == [ended.clone()]), "{found:?}");
    assert_eq!(reasons(&manager).len(), 2, "it is seen from above");
}

#[test]
fn the_worst_come_first() {
    let manager = manager();
    let _old = manager.guard("old", || ());
    let (late, _) = manager.scope("over", Clone::clone);
    let _new = late.guard("new", || ());
    let labels: Vec<String> = reasons(&manager).into_iter().map(|(label, _)| label).collect();
    assert_eq!(labels, ["new", "old"], "certain before suspected, though younger");
}

#[test]
fn who_touched_it_last_is_told_and_how_often() {
    let manager = manager();
    let guard = manager.guard("session", || ());
    assert!(manager.detect_leaks()[0].touches.is_empty(), "nobody has");
    let worker = |name: &str, times: usize| {
        std::thread::scope(|threads| {
            let touch = || (0..times).for_each(|_| ResourceGuard::touch(&guard));
            std::thread::Builder::new().name(name.into()).spawn_scoped(threads, touch).map(drop)
        })
        .expect("a thread can be had");
    };
    worker("first", 1);
    for n in 0..3 {
        worker(&format!("worker {n}"), 1_000);
    }
    ResourceGuard::touch(&guard);
    let leak = manager.detect_leaks().remove(0);
    let told: Vec<(&str, u64)> = leak.touches.iter().map(|turn| (&*turn.thread, turn.times)).collect();
    assert_eq!(told[0], (&*leak.thread, 1), "the newest first");
    assert_eq!(
        told[1..],
        [("worker 2", 1_000), ("worker 1", 1_000), ("worker 0", 1_000)],
        "and the last four"
    );
    assert!(leak.touches.iter().all(|turn| turn.first >= turn.last && turn.last <= leak.age), "{leak:?}");
    let text = manager.leak_report().to_string();
    for line in ["\n    touched once by ", "\n    before that 1000 times by worker 2, the last "] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn threads_of_one_name_are_told_apart_and_one_that_ends_can_still_touch() {
    struct AtTheEnd(std::cell::RefCell<Option<ResourceGuard<()>>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.take().iter().for_each(ResourceGuard::touch);
        }
    }
    thread_local! {
        static LAST: AtTheEnd = const { AtTheEnd(std::cell::RefCell::new(None)) };
    }
    let manager = manager();
    for _ in 0..2 {
        let there = manager.clone();
        let touch = move || {
            // Before castoff's own: it ends after them.
            LAST.with(|_| ());
            let guard = there.guard("session", || ());
            ResourceGuard::touch(&guard);
            LAST.with(|last| last.0.replace(Some(guard)));
        };
        let twin = std::thread::Builder::new().name("twin".into()).spawn(touch);
        twin.expect("a thread can be had").join().expect("it does not panic");
    }
    assert_eq!(manager.stats().cleaned, 2, "they were dropped after the last touch");
    let guard = manager.guard("shared", || ());
    for _ in 0..2 {
        std::thread::scope(|threads| {
            let touch = || ResourceGuard::touch(&guard);
            std::thread::Builder::new().name("twin".into()).spawn_scoped(threads, touch).map(drop)
        })
        .expect("a thread can be had");
    }
    assert_eq!(manager.detect_leaks()[0].touches.len(), 2, "two threads, one name");
}

#[test]
fn among_many_the_surest_comes_first() {
    let limit = Duration::from_millis(20);
    let manager = manager();
    let _live = manager.guard("still live", || ());
    let used = manager.resource("unused too").leak_after(limit).guard(|| ()).expect("it is free");
    ResourceGuard::touch(&used);
    let _old = manager.resource("overdue").leak_after(limit).guard(|| ()).expect("it is free");
    let there = manager.clone();
    let make = move || there.guard("orphan", || ());
    let _orphan = std::thread::spawn(make).join().expect("it does not panic");
    let (late, report) = manager.scope("job 7", Clone::clone);
    assert!(report.is_success());
    let _late = late.guard("too late", || ());
    let labels = || -> Vec<String> { reasons(&manager).into_iter().map(|(label, _)| label).collect() };
    let order = ["too late", "orphan", "unused too", "overdue", "still live"];
    until("each to have its reason", || labels() == order);
}
