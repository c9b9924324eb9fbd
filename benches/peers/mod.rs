//! What castoff is compared with, each as an honest least: every contender runs the same cleanup, and the registry
//! among them keeps the same facts of a resource as castoff does.
//!
//! 1. A cleanup counts on a [`Counter`] that only one thread writes at a time, so that no contender is charged for
//!    another thread's cache line.
//! 2. The cleanup captures one reference: a boxed one allocates, an inline one does not, as in real use.
//! 3. Guards are shown to `black_box` before they drop, so that none of them is folded away.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use castoff::{Category, ManagerConfig, Priority, ResourceManager};

pub(crate) mod crowd;
pub(crate) mod forms;
pub(crate) mod linked;
pub(crate) mod maps;
pub(crate) mod slab;
pub(crate) mod stack;
pub(crate) mod threads;
pub(crate) mod tokens;
pub(crate) mod walk;

use slab::SlabRegistry;

pub(crate) const LABEL: &str = "orders connection";
pub(crate) const CATEGORY: Category = Category::Network;
pub(crate) const PRIORITY: Priority = Priority::High;

/// Counts finished cleanups. One writer at a time: a load and a store then suffice, and cost less than the
/// read-modify-write that would be a third of some contender's figure.
///
/// Alone on two cache lines, because the hardware prefetches lines in pairs.
#[repr(align(128))]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn count(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The cleanup that every contender runs. Its type differs by what the caller passes for `Who` and `SITE`: in a
    /// program every registration has a closure type of its own, so the generic code behind it is compiled for, and
    /// inlined at, one place. Shared between places it would be a call, and contenders pay differently for that.
    #[inline]
    #[allow(clippy::extra_unused_type_parameters, reason = "`Who` is there to tell the closure types apart")]
    pub(crate) fn cleanup<Who: ?Sized, const SITE: u32>(&'static self) -> impl FnOnce() + Send + 'static {
        move || black_box(self).count()
    }
}

/// The counters of two threads; the first one is also that of everything done on one thread.
pub(crate) static COUNTERS: [Counter; 2] = [Counter::new(), Counter::new()];

/// Something that hands out a guard for a cleanup and runs the cleanup when the guard drops.
///
/// `register` stands for the line that a user writes: it is always inlined, and callers pass the `line!()` that they are on.
pub(crate) trait Contender: Sync {
    fn name(&self) -> &'static str;

    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send;
}

#[inline(never)] // One place per contender, whoever measures it.
pub(crate) fn register_and_drop(contender: &impl Contender, counter: &'static Counter, times: u64) {
    const HERE: u32 = line!();
    for _ in 0..times {
        let guard = contender.register::<HERE>(counter);
        black_box(&guard);
        drop(guard);
    }
}

/// An empty manager in no tree, so that a figure is not about what else the process holds.
pub(crate) fn fresh_manager() -> ResourceManager {
    ResourceManager::isolated("bench", ManagerConfig::default())
}

/// castoff with the defaults: label and cleanup.
pub(crate) struct ShortForm(pub(crate) ResourceManager);

impl Contender for ShortForm {
    fn name(&self) -> &'static str {
        "castoff guard()"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.0.guard(LABEL, counter.cleanup::<Self, SITE>())
    }
}

/// The short form in a manager below a manager below another: the depth must not cost a guard anything.
pub(crate) struct Grandchild {
    pool: ResourceManager,
    /// Held, because a service holds them too.
    _above: [ResourceManager; 2],
}

impl Grandchild {
    pub(crate) fn new() -> Grandchild {
        let root = fresh_manager();
        let service = root.child("service");
        Grandchild { pool: service.child("pool"), _above: [root, service] }
    }
}

impl Contender for Grandchild {
    fn name(&self) -> &'static str {
        "castoff guard() in a grandchild manager"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.pool.guard(LABEL, counter.cleanup::<Self, SITE>())
    }
}

/// castoff with everything that the `Mutex<Slab>` contender is told, said through the builder.
pub(crate) struct Builder(pub(crate) ResourceManager);

impl Contender for Builder {
    fn name(&self) -> &'static str {
        "castoff resource()"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.0
            .resource(LABEL)
            .category(CATEGORY)
            .priority(PRIORITY)
            .guard(counter.cleanup::<Self, SITE>())
            .expect("an open manager without a limit refuses no plain registration")
    }
}

/// A guard that nobody else knows of: the floor, with no registry at all.
pub(crate) struct BareScopeguard;

impl Contender for BareScopeguard {
    fn name(&self) -> &'static str {
        "scopeguard (no registry)"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = counter.cleanup::<Self, SITE>();
        scopeguard::guard((), move |()| cleanup())
    }
}

impl Contender for SlabRegistry {
    fn name(&self) -> &'static str {
        "Mutex<Slab<(Entry, Box<dyn FnOnce() + Send>)>>"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        self.guard(LABEL, CATEGORY, PRIORITY, counter.cleanup::<Self, SITE>())
    }
}
