//! Looks at what is held, one after the other: a bounded number of them is kept.

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;
use std::time::Instant;

use crate::resource::Category;
use crate::usage::MemoryUsage;

/// The latest looks, all of which are kept, and older ones, which are thinned out.
const LATEST: usize = 60;
const OLDER: usize = 60;

/// The line that registered something.
pub(super) type Site = &'static Location<'static>;

/// How many resources were live, and what these said they hold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) live: u64,
    pub(super) bytes: u64,
}

impl Held {
    pub(super) fn add(&mut self, more: Held) {
        self.live += more.live;
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// What was held at one moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) memory: Option<MemoryUsage>,
    pub(super) all: Held,
    pub(super) categories: BTreeMap<Category, Held>,
    pub(super) sites: BTreeMap<Site, Held>,
}

/// Looks, the oldest first: the very first one and the latest always, and of those in between ever fewer the older they
/// are.
#[derive(Default, Debug)]
pub(super) struct Series {
    older: Vec<Look>,
    latest: VecDeque<Look>,
    /// Of those that are the latest no more, one in two to this power is kept.
    thinned: u32,
    passed: u64,
}

impl Series {
    pub(super) fn push(&mut self, look: Look) {
        self.latest.push_back(look);
        if self.latest.len() <= LATEST {
            return;
        }
        let Some(old) = self.latest.pop_front() else { return };
        if self.passed.is_multiple_of(1 << self.thinned) {
            self.older.push(old);
        }
        self.passed += 1;
        if self.older.len() == OLDER {
            let mut number = 0..;
            self.older.retain(|_| number.next().is_some_and(|number| number % 2 == 0));
            self.thinned += 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Look> {
        self.older.iter().chain(&self.latest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn look(at: Instant, live: u64) -> Look {
        let all = Held { live, bytes: 0 };
        Look { at, memory: None, all, categories: BTreeMap::new(), sites: BTreeMap::new() }
    }

    #[test]
    fn a_million_looks_are_a_hundred_and_twenty_at_most_from_the_first_to_the_last() {
        let (start, mut series) = (Instant::now(), Series::default());
        for second in 0..1_000_000 {
            series.push(look(start + Duration::from_secs(second), second));
            assert!(series.iter().count() <= LATEST + OLDER);
        }
        let kept: Vec<u64> = series.iter().map(|look| look.all.live).collect();
        assert!(kept.is_sorted() && kept[0] == 0, "{kept:?}");
        assert_eq!(kept[kept.len() - LATEST..], (1_000_000 - LATEST as u64..1_000_000).collect::<Vec<_>>());
        let older = &kept[..kept.len() - LATEST];
        assert!(older.len() >= OLDER / 2, "{older:?}");
        let gaps: BTreeSet<u64> = older.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() == 1, "evenly spread: {gaps:?}");
        let last_gap = kept[kept.len() - LATEST] - older[older.len() - 1];
        assert!(gaps.iter().all(|gap| last_gap <= *gap), "up to the latest: {kept:?}");
    }

    #[test]
    fn what_is_held_is_added_up() {
        let mut held = Held { live: 3, bytes: u64::MAX - 8 };
        for bytes in [u64::MAX - 3, u64::MAX] {
            held.add(Held { live: 2, bytes: 5 });
            assert_eq!(held.bytes, bytes, "and there are no more than that");
        }
        assert_eq!(held.live, 7);
    }
}
