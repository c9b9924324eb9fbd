//! State that is changed for a while, and put back.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Mutex, PoisonError, RwLock};

use crate::adapters::held::Held;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// Shared state that holds one value, which can be exchanged for another: mutexes, reader-writer locks and atomics.
///
/// # Examples
/// ```
/// use castoff::adapters::Place;
/// use std::sync::Mutex;
///
/// let level = Mutex::new("warn");
/// assert_eq!(level.exchange("debug"), "warn");
/// assert_eq!(*level.lock().unwrap(), "debug");
/// ```
pub trait Place {
    /// What it holds.
    type Value;

    /// Puts a value in, and gives what was there.
    fn exchange(&self, value: Self::Value) -> Self::Value;
}

impl<T> Place for Mutex<T> {
    type Value = T;
    fn exchange(&self, value: T) -> T {
        std::mem::replace(&mut *self.lock().unwrap_or_else(PoisonError::into_inner), value)
    }
}

impl<T> Place for RwLock<T> {
    type Value = T;
    fn exchange(&self, value: T) -> T {
        std::mem::replace(&mut *self.write().unwrap_or_else(PoisonError::into_inner), value)
    }
}

macro_rules! atomic_places {
    ($($atomic:ty: $value:ty),* $(,)?) => {$(
        impl Place for $atomic {
            type Value = $value;
            fn exchange(&self, value: $value) -> $value {
                self.swap(value, Ordering::AcqRel)
            }
        }
    )*};
}
atomic_places!(
    AtomicBool: bool, AtomicU8: u8, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize,
    AtomicI32: i32, AtomicI64: i64, AtomicIsize: isize,
);

/// A value in shared state that is replaced now, and put back by the cleanup: a log level, a feature flag, a clock, a
/// configuration that a test changes.
///
/// The place is a `&'static` or an [`Arc`](std::sync::Arc) of a [`Place`]. What was put in meanwhile, by whomever, is
/// replaced too: whoever changes a place twice puts it back in the reverse order, as guards do when they are dropped
/// newest first. With other orders make one depend on the other.
///
/// The cleanup waits for who holds the lock, and has no last resort. Its category is `Custom("state")`.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::Restore;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static DRY_RUN: AtomicBool = AtomicBool::new(false);
///
/// let dry = ResourceManager::new("flags").adopt(Restore::replace("dry run", &DRY_RUN, true));
/// assert!(DRY_RUN.load(Ordering::Relaxed));
/// drop(dry);
/// assert!(!DRY_RUN.load(Ordering::Relaxed));
/// ```
#[must_use = "only a cleanup puts the old value back: adopt it"]
pub struct Restore<P: Deref<Target: Place>> {
    label: Label,
    place: P,
    old: Held<<P::Target as Place>::Value>,
}

impl<P: Deref<Target: Place>> Restore<P> {
    /// Puts this value in, and keeps what was there.
    pub fn replace(label: impl Into<Label>, place: P, value: <P::Target as Place>::Value) -> Restore<P> {
        let old = Held::new(place.exchange(value));
        Restore { label: label.into(), place, old }
    }

    /// The old value, which is put back no more. `None` after its cleanup.
    pub fn into_inner(self) -> Option<<P::Target as Place>::Value> {
        self.old.take()
    }
}

impl<P> Resource for Restore<P>
where
    P: Deref<Target: Place> + Clone + Send + 'static,
    <P::Target as Place>::Value: Send,
{
    const CATEGORY: Category = Category::Custom("state");

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (place, old) = (self.place.clone(), self.old.clone());
        Cleanup::sync(move || drop(old.take().map(|old| place.exchange(old))))
    }
}

impl<P: Deref<Target: Place>> fmt::Debug for Restore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore").field("label", &self.label).field("old", &self.old).finish_non_exhaustive()
    }
}
