//! Categories of one's own, more of them than anybody has: each resource keeps the name that it was given.

use castoff::{Category, ResourceGuard};

use crate::support::manager;

/// So many names that differ, without making one: the beginnings of this file.
const MANY: usize = 300;

fn names() -> impl Iterator<Item = &'static str> {
    (1..=MANY).map(|length| &include_str!("categories.rs")[..length])
}

#[test]
fn as_many_as_one_likes() {
    let manager = manager();
    let register =
        |name| manager.resource("part").category(Category::Custom(name)).guard(|| ()).expect("it is plain");
    let guards: Vec<_> = names().map(register).collect();
    for (guard, name) in guards.iter().zip(names()) {
        let info = ResourceGuard::info(guard).expect("it is live");
        assert_eq!(info.category, Category::Custom(name));
    }
    let last = names().last().map(Category::Custom).expect("there are many");
    assert_eq!(manager.teardown().category(last).run().cleaned(), 1);
    let report = manager.cleanup();
    assert_eq!(report.timeline().iter().filter(|entry| entry.category == last).count(), 0);
    assert_eq!(report.by_category().len(), MANY - 1);
}
