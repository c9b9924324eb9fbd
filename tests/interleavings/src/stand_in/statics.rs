//! Statics that are new in each execution.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;

std::thread_local! {
    /// By the static's place.
    static VALUES: RefCell<Values> = RefCell::default();
}

/// Kept for ever where an execution has failed: see the thread-locals.
type Values = ManuallyDrop<HashMap<usize, Box<dyn Any>>>;

pub(crate) struct Static<T> {
    make: fn() -> T,
}

impl<T> Static<T> {
    pub(crate) const fn new(make: fn() -> T) -> Static<T> {
        Static { make }
    }
}

impl<T: 'static> Static<T> {
    /// A static is there before any thread is. For loom that is a difference: who makes a thing writes it.
    pub(crate) fn make(&self) {
        let _: &T = self;
    }
}

impl<T: 'static> Deref for Static<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let place = std::ptr::from_ref(self).addr();
        let found = VALUES.with_borrow(|values| values.get(&place).map(|value| pointer::<T>(value)));
        let value = found.unwrap_or_else(|| {
            let value: Box<dyn Any> = Box::new((self.make)());
            VALUES.with_borrow_mut(|values| pointer::<T>(values.entry(place).or_insert(value)))
        });
        // SAFETY: the box stays where it is until the next execution begins, by when nobody of this one is left.
        unsafe { &*value }
    }
}

fn pointer<T: 'static>(value: &Box<dyn Any>) -> *const T {
    value.downcast_ref::<T>().expect("one place has one type")
}

pub(super) fn forget_all() {
    drop(ManuallyDrop::into_inner(VALUES.take()));
}
