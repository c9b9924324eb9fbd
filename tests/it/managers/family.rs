//! Children: their resources are visible from above, counted there and reached by filters.

use castoff::{Category, ManagerConfig, ResourceGuard, ResourceId, ResourceManager};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

fn ids(manager: &ResourceManager) -> Vec<ResourceId> {
    manager.resources().iter().map(|info| info.id).collect()
}

#[test]
fn a_clone_of_a_handle_is_the_same_manager() {
    let manager = manager();
    let guard = manager.clone().guard("pool", || ());
    assert_eq!(ids(&manager), [ResourceGuard::id(&guard)]);
}

#[test]
fn resources_of_children_are_counted_and_listed_above_oldest_first() {
    let parent = manager();
    let child = parent.child("child");
    let grandchild = child.child("grandchild");
    let first = parent.guard("first", || ());
    let second = grandchild.guard("second", || ());
    let third = child.guard("third", || ());
    let fourth = parent.guard("fourth", || ());
    let [first, second, third, fourth] = [&first, &second, &third, &fourth].map(ResourceGuard::id);
    assert_eq!(ids(&parent), [first, second, third, fourth]);
    assert_eq!(ids(&child), [second, third]);
    assert_eq!(ids(&grandchild), [second]);
    assert_eq!([&parent, &child, &grandchild].map(ResourceManager::resource_count), [4, 2, 1]);
}

#[test]
fn an_info_names_the_manager_that_owns_the_resource() {
    let parent = manager();
    let child = parent.child("child");
    let (above, below) = (parent.guard("above", || ()), child.guard("below", || ()));
    assert_eq!(&*parent.get(ResourceGuard::id(&above)).unwrap().manager, "test");
    assert_eq!(&*parent.get(ResourceGuard::id(&below)).unwrap().manager, "child");
}

#[test]
fn counts_by_category_reach_into_children() {
    let parent = manager();
    let child = parent.child("child");
    let of = |manager: &ResourceManager, category| {
        manager.resource("any").category(category).guard(|| ()).unwrap()
    };
    let _guards = [
        of(&parent, Category::Database),
        of(&child, Category::Database),
        of(&child, Category::Custom("cache")),
    ];
    let counts = parent.count_by_category();
    assert_eq!(counts[Category::Database], 2);
    assert_eq!(counts[Category::Custom("cache")], 1);
    assert_eq!(counts[Category::Custom("index")], 0);
    assert_eq!(counts[Category::Network], 0);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 3);
    assert_eq!(child.count_by_category()[Category::Database], 1);
}

#[test]
fn a_child_is_not_a_resource() {
    watchdog(LIMIT, || {
        let parent = manager();
        let _child = parent.child("child");
        assert_eq!(parent.resource_count(), 0);
        assert!(parent.resources().is_empty());
        assert_eq!(parent.plan().len(), 0);
        let report = parent.cleanup();
        assert_eq!(report.processed(), 0);
        assert!(report.is_success());
    });
}

#[test]
fn a_teardown_reaches_into_children() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let grandchild = parent.child("child").child("grandchild");
        let _guard = grandchild.guard("deep", log.cleanup("deep"));
        assert_eq!(parent.cleanup().cleaned(), 1);
        log.assert_is(&["deep"]);
        assert_eq!(grandchild.resource_count(), 0);
    });
}

#[test]
fn a_teardown_does_not_reach_above_or_beside() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let (one, two) = (parent.child("one"), parent.child("two"));
        let _guards = [(&parent, "above"), (&one, "here"), (&two, "beside")]
            .map(|(manager, label)| manager.guard(label, log.cleanup(label)));
        assert_eq!(one.cleanup().cleaned(), 1);
        log.assert_is(&["here"]);
        assert_eq!(parent.resource_count(), 2);
    });
}

#[test]
fn filters_reach_into_children() {
    watchdog(LIMIT, || {
        let (parent, log) = (manager(), OrderLog::new());
        let child = parent.child("child");
        let registration = child.resource("database").category(Category::Database);
        let _database = registration.guard(log.cleanup("database")).unwrap();
        let _tagged = child.resource("tagged").tag("orders").guard(log.cleanup("tagged")).unwrap();
        let chosen = child.guard("chosen", log.cleanup("chosen"));
        let _rest = child.guard("rest", log.cleanup("rest"));
        assert_eq!(parent.cleanup_by_category(Category::Database).cleaned(), 1);
        assert_eq!(parent.teardown().tag("orders").run().cleaned(), 1);
        assert_eq!(parent.cleanup_batch(&[ResourceGuard::id(&chosen)]).cleaned(), 1);
        log.assert_is(&["database", "tagged", "chosen"]);
        assert_eq!(parent.resource_count(), 1);
    });
}

#[test]
fn ids_are_unique_in_the_process_and_never_used_again() {
    let (one, two) = (manager(), ResourceManager::isolated("other", ManagerConfig::default()));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2_000 {
        // Each pair is dropped before the next is made: its place in the storage is free, its id is not.
        let (first, second) = (one.guard("any", || ()), two.guard("any", || ()));
        assert!(seen.insert(ResourceGuard::id(&first)) && seen.insert(ResourceGuard::id(&second)));
    }
    let live = one.guard("live", || ());
    assert!(seen.iter().all(|id| one.get(*id).is_none() && two.get(*id).is_none()));
    assert!(one.get(ResourceGuard::id(&live)).is_some());
}
