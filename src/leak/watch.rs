//! Looks at what is held, again and again, while somebody wants it: [`MemoryWatch`].
//!
//! Invariants:
//! 1. No lock is held while a look is taken: who asks for the growth waits for nobody.
//! 2. The thread ends by itself when the watch is dropped, and holds no handle of the manager: that ends as without it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::id::Label;
use crate::leak::growth::MemoryGrowth;
use crate::leak::series::{Held, Look, Series, Site};
use crate::registry::entry::Entry;
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::resource::Category;
use crate::usage::MemoryUsage;

/// Between two looks at least.
const SHORTEST: Duration = Duration::from_millis(10);

/// Watches how much a manager and those below hold, from
/// [`watch_memory`](crate::ResourceManager::watch_memory) on until it is dropped.
///
/// The last 60 looks are kept, and of older ones 60 at most, evenly spread over all the time before: so much memory and
/// no more, however long it watches (a look holds some 30 bytes for each line that has something live).
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct MemoryWatch {
    shared: Arc<Shared>,
}

struct Shared {
    manager: Label,
    node: Arc<Node>,
    seen: Mutex<Seen>,
    /// The watch is over.
    over: Condvar,
}

#[derive(Default)]
struct Seen {
    series: Series,
    is_over: bool,
}

impl MemoryWatch {
    /// Has a first look, and starts a thread for the next ones unless they are never due.
    pub(crate) fn start(node: &Arc<Node>, every: Duration) -> io::Result<MemoryWatch> {
        let (manager, node) = (node.name.clone(), node.clone());
        let shared = Arc::new(Shared { manager, node, seen: Mutex::default(), over: Condvar::new() });
        shared.look();
        if every < Duration::MAX {
            let there = shared.clone();
            let looks = move || there.look_on(every.max(SHORTEST));
            // Not as castoff's other helpers, which are inside of what their caller is inside of: it outlives that.
            thread::Builder::new().name("castoff-memory".into()).spawn(looks)?;
        }
        Ok(MemoryWatch { shared })
    }

    /// Has a look now, besides those that are due by themselves. Takes some tens of microseconds, and 20 to 30 ms for each
    /// million of live resources; registrations go on meanwhile.
    pub fn look(&self) {
        self.shared.look();
    }

    /// How it has grown over all the time that was watched.
    pub fn growth(&self) -> MemoryGrowth {
        self.growth_over(Duration::MAX)
    }

    /// How it has grown in the latest looks alone, as far back as this: without the start of a service, when everything
    /// grows.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use std::time::Duration;
    ///
    /// let manager = ResourceManager::new("shop");
    /// let watch = manager.watch_memory(Duration::from_secs(10))?;
    /// assert_eq!(watch.growth_over(Duration::from_secs(600)).live.change, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn growth_over(&self, last: Duration) -> MemoryGrowth {
        let now = Instant::now();
        let seen = self.shared.seen();
        let recent = |look: &&Look| now.saturating_duration_since(look.at) <= last;
        let looks: Vec<&Look> = seen.series.iter().filter(recent).collect();
        MemoryGrowth::new(self.shared.manager.clone(), &looks)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.shared.seen().is_over = true;
        self.shared.over.notify_all();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let look = look(&self.node);
        self.seen().series.push(look);
    }

    fn look_on(&self, every: Duration) {
        while !self.is_over_within(every) {
            self.look();
        }
    }

    /// Waits so long for the end of the watch.
    fn is_over_within(&self, time: Duration) -> bool {
        let waited = self.over.wait_timeout_while(self.seen(), time, |seen| !seen.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looks = self.seen().series.iter().count();
        f.debug_struct("Shared")
            .field("manager", &self.manager)
            .field("looks", &looks)
            .finish_non_exhaustive()
    }
}

fn look(node: &Arc<Node>) -> Look {
    let (mut categories, mut sites) = (Sums::default(), Sums::default());
    for node in node.subtree() {
        registry().scan(&node, |seen| {
            let held = held(seen.entry);
            categories.add(seen.entry.category(), held);
            // By its place in memory: to hash what is there would cost more than all else. The same line may have two.
            sites.add(ByPlace(seen.entry.created_at), held);
        });
    }
    let categories: BTreeMap<Category, Held> = categories.into_iter().collect();
    let mut by_site: BTreeMap<Site, Held> = BTreeMap::new();
    for (ByPlace(site), held) in sites.into_iter() {
        by_site.entry(site).or_default().add(held);
    }
    let mut all = Held::default();
    categories.values().for_each(|held| all.add(*held));
    Look { at: Instant::now(), memory: MemoryUsage::now(), all, categories, sites: by_site }
}

fn held(entry: &Entry) -> Held {
    let bytes = entry.extra.as_ref().and_then(|extra| extra.estimated_bytes).unwrap_or(0);
    Held { live: 1, bytes: bytes as u64 }
}

/// What each key holds. Neighbours mostly have the same key, which is added up before it is looked for.
struct Sums<K> {
    sums: HashMap<K, Held>,
    last: Option<(K, Held)>,
}

impl<K> Default for Sums<K> {
    fn default() -> Sums<K> {
        Sums { sums: HashMap::new(), last: None }
    }
}

impl<K: Copy + Eq + Hash> Sums<K> {
    fn add(&mut self, key: K, held: Held) {
        match &mut self.last {
            Some((last, sum)) if *last == key => sum.add(held),
            last => {
                if let Some((key, sum)) = last.replace((key, held)) {
                    self.sums.entry(key).or_default().add(sum);
                }
            }
        }
    }

    fn into_iter(mut self) -> impl Iterator<Item = (K, Held)> {
        if let Some((key, sum)) = self.last.take() {
            self.sums.entry(key).or_default().add(sum);
        }
        self.sums.into_iter()
    }
}

#[derive(Clone, Copy)]
struct ByPlace(Site);

impl PartialEq for ByPlace {
    fn eq(&self, other: &ByPlace) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for ByPlace {}

impl Hash for ByPlace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).addr().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::registry::entry::{Draft, Extra, Phase};
    use crate::registry::tests::{labelled, manager, registered};

    #[test]
    fn who_looks_again_and_again_waits_in_between_and_ends_with_the_watch() {
        let watch = MemoryWatch::start(&manager(), Duration::MAX).expect("it needs no thread");
        let (shared, time) = (watch.shared.clone(), Duration::from_millis(20));
        let start = Instant::now();
        assert!(!shared.is_over_within(time) && start.elapsed() >= time, "{:?}", start.elapsed());
        let there = shared.clone();
        let waits = thread::spawn(move || there.is_over_within(Duration::MAX));
        drop(watch);
        assert!(waits.join().is_ok_and(|over| over));
        assert!(shared.is_over_within(Duration::ZERO) && shared.is_over_within(Duration::MAX));
        // As nobody has looked but the start.
        shared.look_on(time);
        assert_eq!(shared.seen().series.iter().count(), 1);
    }

    #[test]
    fn what_neighbours_hold_is_added_up_as_what_lies_apart_is() {
        let held = |bytes| Held { live: 1, bytes };
        let mut sums = Sums::default();
        for (key, bytes) in [('a', 1), ('a', 2), ('b', 10), ('c', 100), ('c', 200), ('a', 4)] {
            sums.add(key, held(bytes));
        }
        let sums: BTreeMap<char, Held> = sums.into_iter().collect();
        let wanted = [('a', 3, 7), ('b', 1, 10), ('c', 2, 300)];
        assert_eq!(sums, wanted.map(|(key, live, bytes)| (key, Held { live, bytes })).into());
        assert_eq!(Sums::<char>::default().into_iter().count(), 0);
    }

    #[test]
    fn a_look_adds_up_what_each_line_and_category_holds() {
        let node = manager();
        let mut extra: Box<Extra> = Box::default();
        extra.estimated_bytes = Some(7);
        registry().insert(&node, Draft { extra: Some(extra), ..labelled("a") }, Phase::Live, false);
        let one = labelled("b").created_at;
        let other = Draft { category: Category::File, created_at: Location::caller(), ..labelled("c") };
        let line = other.created_at;
        registry().insert(&node, other, Phase::Live, false);
        registered(&node, "b", Phase::Live);
        let look = look(&node);
        assert_eq!(look.all, Held { live: 3, bytes: 7 });
        let (two, single) = (Held { live: 2, bytes: 7 }, Held { live: 1, bytes: 0 });
        assert_eq!(look.categories, [(Category::Event, two), (Category::File, single)].into());
        assert_eq!(look.sites.get(line), Some(&single), "{:?}", look.sites);
        assert_eq!(look.sites.values().map(|held| held.live).sum::<u64>(), 3);
        assert!(one != line && look.sites.len() >= 2);
    }
}
