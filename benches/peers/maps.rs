//! The registries that one writes by hand on a container that many threads may use at once: sharded-slab, and DashMap with
//! a counter for its keys. Entries and boxes are those of the registry behind a mutex, and so is what they lack; but the
//! boxes are shared between threads by these containers, and have to be `Sync` besides.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::slab::Entry;
use super::{CATEGORY, Contender, Counter, LABEL, PRIORITY};

type SharedCleanup = Box<dyn FnOnce() + Send + Sync>;

#[derive(Default)]
pub(crate) struct ShardedRegistry(sharded_slab::Slab<(Entry, SharedCleanup)>);

struct ShardedGuard<'a> {
    registry: &'a ShardedRegistry,
    key: usize,
}

impl Contender for ShardedRegistry {
    fn name(&self) -> &'static str {
        "sharded_slab::Slab<(Entry, Box<dyn FnOnce() + Send + Sync>)>"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = Box::new(counter.cleanup::<Self, SITE>()) as SharedCleanup;
        let entry = (Entry::new(LABEL, CATEGORY, PRIORITY), cleanup);
        let key = self.0.insert(entry).expect("a slab has room for more than any bench makes");
        ShardedGuard { registry: self, key }
    }
}

impl Drop for ShardedGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let taken = self.registry.0.take(self.key);
        let (entry, cleanup) = taken.expect("only its guard takes an entry");
        cleanup();
        drop(entry);
    }
}

#[derive(Default)]
pub(crate) struct DashRegistry {
    live: DashMap<u64, (Entry, SharedCleanup)>,
    next: AtomicU64,
}

impl DashRegistry {
    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }
}

struct DashGuard<'a> {
    registry: &'a DashRegistry,
    key: u64,
}

impl Contender for DashRegistry {
    fn name(&self) -> &'static str {
        "DashMap<u64, (Entry, Box<dyn FnOnce() + Send + Sync>)>"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = Box::new(counter.cleanup::<Self, SITE>()) as SharedCleanup;
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.live.insert(key, (Entry::new(LABEL, CATEGORY, PRIORITY), cleanup));
        DashGuard { registry: self, key }
    }
}

impl Drop for DashGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let removed = self.registry.live.remove(&self.key);
        let (_, (entry, cleanup)) = removed.expect("only its guard removes an entry");
        cleanup();
        drop(entry);
    }
}
