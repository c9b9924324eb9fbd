//! What holds where nothing is said: category, priority, timeouts.

use std::time::Duration;

use castoff::{Category, ManagerConfig, Priority, ResourceDefinition, ResourceGuard};

use crate::support::{manager, manager_with};

const TABLE: [(Category, Priority, u64); 8] = [
    (Category::Critical, Priority::Critical, 30),
    (Category::Database, Priority::Critical, 15),
    (Category::File, Priority::High, 10),
    (Category::Network, Priority::High, 10),
    (Category::Process, Priority::High, 20),
    (Category::Timer, Priority::Medium, 5),
    (Category::Event, Priority::Medium, 5),
    (Category::Custom("cache"), Priority::Low, 10),
];

#[test]
fn each_category_has_its_typical_priority_and_default_timeout() {
    for (category, priority, seconds) in TABLE {
        assert_eq!(category.typical_priority(), priority, "{category:?}");
        assert_eq!(category.default_timeout(), Duration::from_secs(seconds), "{category:?}");
    }
}

#[test]
fn priorities_are_ordered_from_critical_to_low() {
    assert!(
        Priority::Critical < Priority::High
            && Priority::High < Priority::Medium
            && Priority::Medium < Priority::Low
    );
}

#[test]
fn a_short_form_is_an_event_of_medium_priority() {
    let guard = manager().guard("pool", || ());
    let info = ResourceGuard::info(&guard).unwrap();
    assert_eq!((info.category, info.priority), (Category::Event, Priority::Medium));
}

#[test]
fn a_definition_is_an_event_of_medium_priority() {
    let guards = manager().register_batch([ResourceDefinition::new("pool", || ())]).unwrap();
    let info = ResourceGuard::info(&guards[0]).unwrap();
    assert_eq!((info.category, info.priority), (Category::Event, Priority::Medium));
}

#[test]
fn every_category_is_medium_but_critical() {
    let manager = manager();
    for (category, ..) in TABLE {
        let guard = manager.resource("any").category(category).guard(|| ()).unwrap();
        let expected = if category == Category::Critical { Priority::Critical } else { Priority::Medium };
        assert_eq!(ResourceGuard::info(&guard).unwrap().priority, expected, "{category:?}");
    }
}

#[test]
fn a_manager_may_give_each_category_its_typical_priority() {
    let manager = manager_with(ManagerConfig::default().priority_by_category(true));
    for (category, priority, _) in TABLE {
        let guard = manager.resource("any").category(category).guard(|| ()).unwrap();
        assert_eq!(ResourceGuard::info(&guard).unwrap().priority, priority, "{category:?}");
    }
}

#[test]
fn a_priority_that_was_said_stands_whatever_the_category() {
    let manager = manager_with(ManagerConfig::default().priority_by_category(true));
    // In both orders: the category must not overwrite what was said before it.
    let before =
        manager.resource("any").priority(Priority::Low).category(Category::Critical).guard(|| ()).unwrap();
    let after =
        manager.resource("any").category(Category::Critical).priority(Priority::Low).guard(|| ()).unwrap();
    assert_eq!(ResourceGuard::info(&before).unwrap().priority, Priority::Low);
    assert_eq!(ResourceGuard::info(&after).unwrap().priority, Priority::Low);
}
