//! The registry behind a mutex once more, for entries that depend on others: each keeps the keys of those, and counts who
//! needs it. The count alone: nothing here defers a drop that comes too early, which is what castoff needs it for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::slab::{BoxedCleanup, Entry};
use super::{CATEGORY, COUNTERS, Contender, Counter, LABEL, PRIORITY};

struct Linked {
    entry: Entry,
    cleanup: BoxedCleanup,
    needs: Vec<usize>,
    dependents: u32,
}

/// A registry in which every resource that is made depends on the same few.
pub(crate) struct LinkedRegistry {
    live: Mutex<Slab<Linked>>,
    needed: Vec<usize>,
}

impl LinkedRegistry {
    pub(crate) fn with_needed(count: usize) -> LinkedRegistry {
        let mut live = Slab::new();
        let needed = (0..count)
            .map(|_| {
                let cleanup = Box::new(COUNTERS[0].cleanup::<Linked, 0>());
                let entry = Entry::new(LABEL, CATEGORY, PRIORITY);
                live.insert(Linked { entry, cleanup, needs: Vec::new(), dependents: 0 })
            })
            .collect();
        LinkedRegistry { live: Mutex::new(live), needed }
    }

    /// How often what is needed is counted as needed.
    pub(crate) fn dependents(&self) -> u32 {
        let live = self.lock();
        self.needed.iter().map(|&key| live[key].dependents).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Linked>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct LinkedGuard<'a> {
    registry: &'a LinkedRegistry,
    key: usize,
}

impl Contender for LinkedRegistry {
    fn name(&self) -> &'static str {
        "Mutex<Slab<(Entry, Box<dyn FnOnce() + Send>, Vec<usize>, u32)>>"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        // Built before the lock is taken, as everywhere.
        let linked = Linked {
            entry: Entry::new(LABEL, CATEGORY, PRIORITY),
            cleanup: Box::new(counter.cleanup::<Self, SITE>()),
            needs: self.needed.clone(),
            dependents: 0,
        };
        let mut live = self.lock();
        for &key in &self.needed {
            live[key].dependents += 1;
        }
        let key = live.insert(linked);
        drop(live);
        LinkedGuard { registry: self, key }
    }
}

impl Drop for LinkedGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut live = self.registry.lock();
        let Linked { entry, cleanup, needs, .. } = live.remove(self.key);
        for key in needs {
            live[key].dependents -= 1;
        }
        drop(live);
        cleanup();
        drop(entry);
    }
}
