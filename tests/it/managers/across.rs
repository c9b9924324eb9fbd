//! Dependencies across managers: they lift to the two places below the common ancestor, and trees do not mix.

use castoff::{DependencyError, RegisterError, ResourceGuard, ResourceManager, SkipReason};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

fn depend(manager: &ResourceManager, dependent: &ResourceGuard<()>, dependency: &ResourceGuard<()>) {
    manager.add_dependency(ResourceGuard::id(dependent), ResourceGuard::id(dependency)).unwrap();
}

#[test]
fn a_dependent_above_is_cleaned_before_all_of_the_child_it_depends_on() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let server = parent.guard("server", log.cleanup("server"));
        let child = parent.child("child");
        let [pool, _other] = ["pool", "other"].map(|label| child.guard(label, log.cleanup(label)));
        depend(&parent, &server, &pool);
        assert!(parent.cleanup().is_success());
        log.assert_is(&["server", "other", "pool"]);
    });
}

#[test]
fn all_of_a_child_is_cleaned_before_what_one_of_its_resources_depends_on() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let pool = parent.guard("pool", log.cleanup("pool"));
        let _server = child.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let _other = child.guard("other", log.cleanup("other"));
        assert!(parent.cleanup().is_success());
        log.assert_is(&["other", "server", "pool"]);
    });
}

#[test]
fn a_dependency_between_two_children_orders_all_of_both() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let (one, two) = (parent.child("one"), parent.child("two"));
        let pool = two.guard("pool", log.cleanup("pool"));
        let _server = one.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let _others = [(&one, "one's other"), (&two, "two's other")]
            .map(|(manager, label)| manager.guard(label, log.cleanup(label)));
        assert!(parent.cleanup().is_success());
        log.assert_is(&["one's other", "server", "two's other", "pool"]);
    });
}

#[test]
fn a_dependency_between_cousins_orders_the_places_below_their_common_ancestor() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let (one, two) = (parent.child("one"), parent.child("two"));
        let (deep_one, deep_two) = (one.child("deep one"), two.child("deep two"));
        let pool = deep_two.guard("pool", log.cleanup("pool"));
        let _server = deep_one.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let _others = [(&one, "beside one"), (&two, "beside two")]
            .map(|(manager, label)| manager.guard(label, log.cleanup(label)));
        assert!(parent.cleanup().is_success());
        let entries = log.entries();
        let place = |label: &str| entries.iter().position(|entry| entry == label).unwrap();
        assert!(
            place("server").max(place("beside one")) < place("pool").min(place("beside two")),
            "{entries:?}"
        );
        assert_eq!(entries.len(), 4);
    });
}

#[test]
fn a_dependency_of_another_manager_is_deferred_like_any_other() {
    let (parent, log) = (manager(), OrderLog::new());
    let child = parent.child("child");
    let pool = parent.guard("pool", log.cleanup("pool"));
    let server = child.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
    drop(pool);
    log.assert_is(&[]);
    drop(server);
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_teardown_skips_what_a_resource_outside_of_its_manager_depends_on() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let pool = child.guard("pool", log.cleanup("pool"));
        let _server = parent.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let report = child.cleanup();
        assert_eq!((report.processed(), report.skipped().len()), (1, 1));
        assert_eq!(
            report.skipped()[0].reason,
            SkipReason::DependentOutside { dependents: vec!["server".into()] }
        );
        log.assert_is(&[]);
    });
}

#[test]
fn a_dependency_that_would_make_a_cycle_of_managers_is_refused_and_names_them() {
    let parent = manager();
    let (one, two) = (parent.child("first child"), parent.child("second child"));
    let [a, b] = ["a", "b"].map(|label| one.guard(label, || ()));
    let [x, y] = ["x", "y"].map(|label| two.guard(label, || ()));
    depend(&parent, &a, &x);
    let refused = parent.add_dependency(ResourceGuard::id(&y), ResourceGuard::id(&b)).unwrap_err();
    let DependencyError::Cycle { path, .. } = &refused else { panic!("{refused:?}") };
    for manager in ["first child", "second child"] {
        assert!(path.iter().any(|label| label.contains(manager)), "{path:?}");
        assert!(refused.to_string().contains(manager), "{refused}");
    }
    assert!(ResourceGuard::info(&y).unwrap().dependencies.is_empty());
}

#[test]
fn a_registration_that_would_make_a_cycle_of_managers_is_refused_and_names_them() {
    let (parent, log) = (manager(), OrderLog::new());
    let (one, two) = (parent.child("first child"), parent.child("second child"));
    let (a, x) = (one.guard("a", || ()), two.guard("x", || ()));
    depend(&parent, &a, &x);
    let refused = two.resource("y").depends_on(&a).guard(log.cleanup("y")).unwrap_err();
    let RegisterError::Cycle { path, .. } = &refused else { panic!("{refused:?}") };
    for manager in ["first child", "second child"] {
        assert!(path.iter().any(|label| label.contains(manager)), "{path:?}");
    }
    log.assert_is(&["y"]);
}

#[test]
fn the_way_back_is_free_once_what_depended_is_gone() {
    let parent = manager();
    let (one, two) = (parent.child("one"), parent.child("two"));
    let (a, x) = (one.guard("a", || ()), two.guard("x", || ()));
    let b = one.resource("b").depends_on(&x).guard(|| ()).unwrap();
    assert!(parent.add_dependency(ResourceGuard::id(&x), ResourceGuard::id(&a)).is_err());
    drop(b);
    depend(&parent, &x, &a);
}

#[test]
fn trees_do_not_mix() {
    watchdog(LIMIT, || {
        let (here, elsewhere) = (manager(), manager());
        let (own, foreign) = (here.guard("own", || ()), elsewhere.guard("foreign", || ()));
        let (own, foreign) = (ResourceGuard::id(&own), ResourceGuard::id(&foreign));
        let gone = here.add_dependency(own, foreign);
        assert!(matches!(gone, Err(DependencyError::Gone { id, .. }) if id == foreign), "{gone:?}");
        assert!(here.get(foreign).is_none());
        assert_eq!(here.cleanup_batch(&[foreign]).processed(), 0);
        assert_eq!(elsewhere.resource_count(), 1);
    });
}
