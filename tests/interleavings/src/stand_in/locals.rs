//! Thread-locals of the explorer's threads.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;

use super::explorer::threads::{self, ThreadId};

std::thread_local! {
    /// By thread, and by the key's place.
    static VALUES: RefCell<Values> = RefCell::default();
}

/// Kept for ever where an execution has failed: what would be dropped then belongs to threads that are no more.
type Values = ManuallyDrop<HashMap<(ThreadId, usize), Value>>;

struct Value {
    /// `None` once it is destroyed.
    held: Option<Box<dyn Any>>,
    has_destructor: bool,
}

pub(crate) struct Local<T: 'static> {
    make: fn() -> T,
}

#[derive(Debug)]
pub(crate) struct AccessError;

macro_rules! stand_in_thread_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $kind:ty = const $value:block;)*) => {$(
        $(#[$attribute])*
        $visibility static $name: $crate::stand_in::Local<$kind> = $crate::stand_in::Local::new(|| $value);
    )*};
}
pub(crate) use stand_in_thread_local as thread_local;

impl<T: 'static> Local<T> {
    pub(crate) const fn new(make: fn() -> T) -> Local<T> {
        Local { make }
    }

    pub(crate) fn with<R>(&'static self, use_it: impl FnOnce(&T) -> R) -> R {
        self.try_with(use_it).expect("the thread is not at its end")
    }

    pub(crate) fn try_with<R>(&'static self, use_it: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let place = (threads::id(), std::ptr::from_ref(self).addr());
        let value = VALUES.with_borrow_mut(|values| {
            let value = values.entry(place).or_insert_with(|| Value {
                held: Some(Box::new((self.make)())),
                has_destructor: std::mem::needs_drop::<T>(),
            });
            value.held.as_deref().map(std::ptr::from_ref)
        });
        let value = value.ok_or(AccessError)?;
        // SAFETY: the box stays where it is until its thread ends, and this one is that.
        let value = unsafe { &*value };
        Ok(use_it(value.downcast_ref::<T>().expect("one place has one type")))
    }
}

impl<T: 'static> Local<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> Local<RefCell<T>> {
    pub(crate) fn with_borrow<R>(&'static self, use_it: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| use_it(&cell.borrow()))
    }

    pub(crate) fn with_borrow_mut<R>(&'static self, use_it: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| use_it(&mut cell.borrow_mut()))
    }
}

/// Destroys what the calling thread has, but for what has no destructor: that is there to the very end.
pub(super) fn end_of_thread() {
    let me = threads::id();
    let due = |values: &mut Values| {
        let own = values.iter_mut().filter(|((thread, _), value)| *thread == me && value.has_destructor);
        own.filter_map(|(_, value)| value.held.take()).collect::<Vec<_>>()
    };
    drop(VALUES.with_borrow_mut(due));
}

pub(super) fn forget_all() {
    drop(ManuallyDrop::into_inner(VALUES.take()));
}
