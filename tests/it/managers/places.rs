//! A child is one place in its parent's order: as new as its own creation, as urgent as the most urgent thing
//! selected in it.

use castoff::{Priority, ResourceGuard, ResourceManager};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

fn of(
    manager: &ResourceManager,
    log: &OrderLog,
    label: &'static str,
    priority: Priority,
) -> ResourceGuard<()> {
    manager.resource(label).priority(priority).guard(log.cleanup(label)).unwrap()
}

#[test]
fn a_child_is_as_new_as_its_own_creation() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let _old = parent.guard("old", log.cleanup("old"));
        let child = parent.child("child");
        let _young = parent.guard("young", log.cleanup("young"));
        // Newer than both, but its place is the child's.
        let _inside = child.guard("inside", log.cleanup("inside"));
        assert!(parent.cleanup().is_success());
        log.assert_is(&["young", "inside", "old"]);
    });
}

#[test]
fn what_is_in_one_child_goes_together() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let (one, two) = (parent.child("one"), parent.child("two"));
        let _guards = [(&one, "one a"), (&two, "two a"), (&one, "one b"), (&two, "two b")]
            .map(|(manager, label)| manager.guard(label, log.cleanup(label)));
        assert!(parent.cleanup().is_success());
        log.assert_is(&["two b", "two a", "one b", "one a"]);
    });
}

#[test]
fn a_child_is_as_urgent_as_the_most_urgent_thing_in_it() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _low = of(&child, &log, "low", Priority::Low);
        let _critical = of(&child, &log, "critical", Priority::Critical);
        let _high = of(&parent, &log, "high", Priority::High);
        assert!(parent.cleanup().is_success());
        log.assert_is(&["critical", "low", "high"]);
    });
}

#[test]
fn only_what_is_selected_makes_a_child_urgent() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _low = of(&child, &log, "low", Priority::Low);
        let critical = of(&child, &log, "critical", Priority::Critical);
        let _high = of(&parent, &log, "high", Priority::High);
        assert!(parent.teardown().exclude(&[ResourceGuard::id(&critical)]).run().is_success());
        log.assert_is(&["high", "low"]);
    });
}

#[test]
fn urgency_inside_a_grandchild_counts_in_every_place_above() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let grandchild = child.child("grandchild");
        let _deep = of(&grandchild, &log, "deep", Priority::Critical);
        let _beside = of(&child, &log, "beside", Priority::High);
        let _above = of(&parent, &log, "above", Priority::High);
        assert!(parent.cleanup().is_success());
        log.assert_is(&["deep", "beside", "above"]);
    });
}

#[test]
fn a_childs_own_teardown_keeps_its_own_order() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let _first = child.guard("first", log.cleanup("first"));
        let _critical = of(&child, &log, "critical", Priority::Critical);
        let _last = child.guard("last", log.cleanup("last"));
        assert!(child.cleanup().is_success());
        log.assert_is(&["critical", "last", "first"]);
        assert_eq!(parent.resource_count(), 0);
    });
}

#[test]
fn the_plan_has_the_order_of_the_places() {
    let parent = manager();
    let old = parent.guard("old", || ());
    let child = parent.child("child");
    let young = parent.guard("young", || ());
    let inside = child.guard("inside", || ());
    assert_eq!(parent.plan().order(), [&young, &inside, &old].map(ResourceGuard::id));
}
