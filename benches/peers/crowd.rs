//! Many resources spread evenly over eight categories, in a manager and in a plain `Vec`.

use std::time::{Duration, Instant};

use castoff::{Category, ResourceGuard, ResourceManager};

use super::slab::{BoxedCleanup, Entry};
use super::{COUNTERS, LABEL, PRIORITY, fresh_manager};

pub(crate) const CATEGORIES: [Category; 8] = [
    Category::Critical,
    Category::Database,
    Category::File,
    Category::Process,
    Category::Network,
    Category::Timer,
    Category::Event,
    Category::Custom("cache"),
];

/// The category that the benches ask for.
pub(crate) const WANTED: Category = Category::Database;

/// A manager with `size` live resources, every category in turn.
pub(crate) struct Crowd {
    pub(crate) manager: ResourceManager,
    guards: Vec<ResourceGuard<()>>,
}

impl Crowd {
    pub(crate) fn build(size: usize) -> Crowd {
        let manager = fresh_manager();
        let guards = CATEGORIES
            .into_iter()
            .cycle()
            .take(size)
            .map(|category| {
                manager
                    .resource(LABEL)
                    .category(category)
                    .priority(PRIORITY)
                    .guard(COUNTERS[0].cleanup::<Crowd, 0>())
                    .expect("an open manager without a limit refuses no plain registration")
            })
            .collect();
        Crowd { manager, guards }
    }

    /// The plan for one category of eight, and how many resources it holds.
    pub(crate) fn plan_one(&self) -> usize {
        self.manager.teardown().category(WANTED).plan().len()
    }

    /// Tears down one category of eight and gives the time of that call alone.
    pub(crate) fn tear_down_one(self) -> Duration {
        let before = COUNTERS[0].counted();
        let start = Instant::now();
        let report = self.manager.cleanup_by_category(WANTED);
        let took = start.elapsed();
        let chosen = chosen_of(self.guards.len());
        assert_eq!(report.cleaned(), chosen, "a filtered teardown cleans its category");
        assert_eq!(self.manager.resource_count(), self.guards.len() - chosen, "and leaves the others alone");
        assert_eq!(COUNTERS[0].counted() - before, chosen as u64, "each cleanup runs once");
        took
    }
}

/// How many of `size` resources are in the wanted category.
pub(crate) fn chosen_of(size: usize) -> usize {
    CATEGORIES.into_iter().cycle().take(size).filter(|&category| category == WANTED).count()
}

/// The same resources in a `Vec`, oldest first.
pub(crate) fn plain_list(size: usize) -> Vec<(Entry, BoxedCleanup)> {
    CATEGORIES
        .into_iter()
        .cycle()
        .take(size)
        .map(|category| {
            (
                Entry::new(LABEL, category, PRIORITY),
                Box::new(COUNTERS[0].cleanup::<Entry, 0>()) as BoxedCleanup,
            )
        })
        .collect()
}

/// The positions of the wanted category, newest first.
pub(crate) fn filter_list(list: &[(Entry, BoxedCleanup)]) -> Vec<usize> {
    (0..list.len()).rev().filter(|&position| list[position].0.category == WANTED).collect()
}

/// Takes the wanted category out of the list and runs its cleanups, newest first.
pub(crate) fn drain_list(list: &mut Vec<(Entry, BoxedCleanup)>) {
    let chosen: Vec<_> = list.extract_if(.., |(entry, _)| entry.category == WANTED).collect();
    for (_, cleanup) in chosen.into_iter().rev() {
        cleanup();
    }
}
