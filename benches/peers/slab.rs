//! The registry that one writes by hand: a slab of entries and boxed cleanups behind a std mutex.
//!
//! It keeps what castoff keeps of a resource (label, category, priority, creation site, coarse time, thread number) and
//! runs cleanups without its lock, as castoff does. It has no order, no deferral, no states, no report, no panic
//! safety and no generations in its keys, and it borrows where a castoff guard is `'static`: all in its favour.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use castoff::{Category, Priority};
use coarsetime::Instant;
use slab::Slab;

pub(crate) type BoxedCleanup = Box<dyn FnOnce() + Send>;

pub(crate) struct Entry {
    label: Cow<'static, str>,
    pub(crate) category: Category,
    priority: Priority,
    created_at: &'static Location<'static>,
    since: Instant,
    thread: u32,
}

impl Entry {
    #[inline]
    #[track_caller]
    pub(crate) fn new(label: impl Into<Cow<'static, str>>, category: Category, priority: Priority) -> Entry {
        Entry {
            label: label.into(),
            category,
            priority,
            created_at: Location::caller(),
            since: Instant::now_without_cache_update(),
            thread: thread_number(),
        }
    }

    #[inline]
    #[allow(dead_code, reason = "only some of the benches ask")]
    pub(crate) fn age(&self, now: Instant) -> coarsetime::Duration {
        now.duration_since(self.since)
    }
}

/// A small number for this thread: `thread::current().id()` would cost the peer two read-modify-writes more.
#[inline]
fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local!(static NUMBER: u32 = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

#[derive(Default)]
pub(crate) struct SlabRegistry(Mutex<Slab<(Entry, BoxedCleanup)>>);

impl SlabRegistry {
    #[inline]
    #[track_caller]
    pub(crate) fn guard(
        &self,
        label: impl Into<Cow<'static, str>>,
        category: Category,
        priority: Priority,
        cleanup: impl FnOnce() + Send + 'static,
    ) -> SlabGuard<'_> {
        // Built before the lock is taken: the peer holds its lock as shortly as it can.
        let entry = (Entry::new(label, category, priority), Box::new(cleanup) as BoxedCleanup);
        SlabGuard { registry: self, key: self.lock().insert(entry) }
    }

    pub(crate) fn live(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<(Entry, BoxedCleanup)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct SlabGuard<'a> {
    registry: &'a SlabRegistry,
    key: usize,
}

impl Drop for SlabGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // A statement of its own, so that the lock is gone before foreign code runs.
        let (entry, cleanup) = self.registry.lock().remove(self.key);
        cleanup();
        drop(entry);
    }
}
