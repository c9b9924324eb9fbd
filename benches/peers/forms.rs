//! The other forms in which a resource is registered, by castoff and by hand: with a label of its own, with dependencies,
//! with a value that cleanup and guard share, and as a value that knows its cleanup.

use std::hint::black_box;
use std::sync::Arc;

use castoff::{Category, Cleanup, Label, Resource, ResourceGuard, ResourceManager};

use super::slab::SlabRegistry;
use super::{CATEGORY, COUNTERS, Contender, Counter, LABEL, PRIORITY, fresh_manager};

/// `guard()` with a label that is allocated for it.
pub(crate) struct OwnLabel(pub(crate) ResourceManager);

impl Contender for OwnLabel {
    fn name(&self) -> &'static str {
        "castoff guard() with a String"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.0.guard(String::from(LABEL), counter.cleanup::<Self, SITE>())
    }
}

#[derive(Default)]
pub(crate) struct SlabWithOwnLabel(SlabRegistry);

impl Contender for SlabWithOwnLabel {
    fn name(&self) -> &'static str {
        "Mutex<Slab<(Entry, Box<dyn FnOnce() + Send>)>> with a String"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.0.guard(String::from(LABEL), CATEGORY, PRIORITY, counter.cleanup::<Self, SITE>())
    }
}

/// The builder with dependencies on resources that stay.
pub(crate) struct Needing {
    manager: ResourceManager,
    needed: Vec<ResourceGuard<()>>,
}

impl Needing {
    pub(crate) fn with_needed(count: usize) -> Needing {
        let manager = fresh_manager();
        let needed = (0..count).map(|_| manager.guard(LABEL, COUNTERS[0].cleanup::<Needing, 0>())).collect();
        Needing { manager, needed }
    }

    /// What lives beside what is needed.
    pub(crate) fn dependents(&self) -> usize {
        self.manager.resource_count() - self.needed.len()
    }
}

impl Contender for Needing {
    fn name(&self) -> &'static str {
        "castoff resource() with dependencies"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.manager
            .resource(LABEL)
            .depends_on_all(&self.needed)
            .guard(counter.cleanup::<Self, SITE>())
            .expect("a dependency on an older live resource is never refused")
    }
}

/// `guard_value()`, whose cleanup looks at the value.
pub(crate) struct Valued(pub(crate) ResourceManager);

impl Contender for Valued {
    fn name(&self) -> &'static str {
        "castoff guard_value()"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = counter.cleanup::<Self, SITE>();
        self.0.guard_value(LABEL, u64::from(SITE), move |value| {
            black_box(value);
            cleanup();
        })
    }
}

/// The same by hand: the value in an `Arc`, which the cleanup captures and who holds the guard has besides.
#[derive(Default)]
pub(crate) struct SlabWithValue(SlabRegistry);

impl Contender for SlabWithValue {
    fn name(&self) -> &'static str {
        "Mutex<Slab<(Entry, Box<dyn FnOnce() + Send>)>> with an Arc"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = counter.cleanup::<Self, SITE>();
        let value = Arc::new(u64::from(SITE));
        let shared = value.clone();
        let guard = self.0.guard(LABEL, CATEGORY, PRIORITY, move || {
            black_box(&*shared);
            cleanup();
        });
        (guard, value)
    }
}

/// `adopt()` of a value that knows its cleanup.
pub(crate) struct Adopted(pub(crate) ResourceManager);

struct Connection(&'static Counter);

impl Resource for Connection {
    const CATEGORY: Category = CATEGORY;

    fn label(&self) -> Label {
        Label::from(LABEL)
    }

    fn cleanup(&mut self) -> Cleanup {
        Cleanup::sync(self.0.cleanup::<Connection, 0>())
    }
}

impl Contender for Adopted {
    fn name(&self) -> &'static str {
        "castoff adopt()"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.0.adopt(Connection(counter))
    }
}
