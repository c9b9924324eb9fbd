//! What a guard and its cleanup share: a value that is lent to one user at a time, and taken by the cleanup for good.
//!
//! Invariants:
//! 1. A value is in the slot, with one borrower, or gone. Nobody borrows once the slot is closed.
//! 2. The lock is held for moves of the value only: what is done with it, its drop included, is done outside.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The resource has been cleaned: its value is no longer there.
///
/// # Examples
/// ```
/// # #[cfg(feature = "rusqlite")] {
/// use castoff::ResourceManager;
/// use castoff::adapters::SqliteConnection;
///
/// let manager = ResourceManager::new("gone");
/// let connection = manager.adopt(SqliteConnection::new(rusqlite::Connection::open_in_memory()?));
/// assert!(manager.cleanup().is_success());
/// assert_eq!(connection.get().err().map(|gone| gone.to_string()), Some("it has been cleaned up".into()));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("it has been cleaned up")]
pub struct Gone;

pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    value: Option<T>,
    lent: bool,
    closed: bool,
    /// Who waits for the value.
    waiting: Vec<Waker>,
    /// Who waits for something else, and gives up when the slot is closed.
    watching: Vec<Waker>,
}

impl<T> Slot<T> {
    pub(super) fn new(value: T) -> Slot<T> {
        let (waiting, watching) = (Vec::new(), Vec::new());
        let state = State { value: Some(value), lent: false, closed: false, waiting, watching };
        Slot { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits while somebody else has the value.
    pub(super) fn borrow(&self) -> Result<Borrowed<'_, T>, Gone> {
        let mut state = self.state();
        loop {
            match state.lend() {
                Lent::Now(value) => return Ok(Borrowed { value: Some(value), slot: self }),
                Lent::Never => return Err(Gone),
                Lent::Later => state = self.wait(state),
            }
        }
    }

    /// The same for who must not block.
    pub(super) fn poll_borrow(&self, cx: &mut Context<'_>) -> Poll<Result<Borrowed<'_, T>, Gone>> {
        let mut state = self.state();
        match state.lend() {
            Lent::Now(value) => Poll::Ready(Ok(Borrowed { value: Some(value), slot: self })),
            Lent::Never => Poll::Ready(Err(Gone)),
            Lent::Later => wake_later(&mut state.waiting, cx),
        }
    }

    /// Lends it to nobody any more, and takes it, once who has it has given it back. `None`: it is gone already.
    pub(super) fn close(&self) -> Option<T> {
        self.shut();
        let mut state = self.state();
        while state.lent {
            state = self.wait(state);
        }
        state.value.take()
    }

    /// The same for who must not block.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.shut();
        let mut state = self.state();
        if state.lent { wake_later(&mut state.waiting, cx) } else { Poll::Ready(state.value.take()) }
    }

    /// Has who polls something else woken when the slot is closed. Whether it is closed already.
    pub(super) fn watch(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.state();
        let _: Poll<()> = wake_later(&mut state.watching, cx);
        state.closed
    }

    fn shut(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.closed, true) {
            let mut watching = std::mem::take(&mut state.watching);
            state.waiting.append(&mut watching);
            self.tell(state);
        }
    }

    fn give_back(&self, value: Option<T>) {
        let mut state = self.state();
        state.lent = false;
        state.value = value;
        self.tell(state);
    }

    /// Wakers are foreign: woken outside.
    fn tell(&self, mut state: MutexGuard<'_, State<T>>) {
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State<T>>) -> MutexGuard<'s, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Lent<T> {
    Now(T),
    Later,
    Never,
}

impl<T> State<T> {
    fn lend(&mut self) -> Lent<T> {
        if self.closed {
            return Lent::Never;
        }
        match self.value.take() {
            Some(value) => {
                self.lent = true;
                Lent::Now(value)
            }
            None if self.lent => Lent::Later,
            None => Lent::Never,
        }
    }
}

fn wake_later<R>(list: &mut Vec<Waker>, cx: &Context<'_>) -> Poll<R> {
    if !list.iter().any(|waiting| waiting.will_wake(cx.waker())) {
        list.push(cx.waker().clone());
    }
    Poll::Pending
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lent, closed) = {
            let state = self.state();
            (state.lent, state.closed)
        };
        f.debug_struct("Slot").field("lent", &lent).field("closed", &closed).finish_non_exhaustive()
    }
}

/// A value that its resource has lent. The cleanup waits until it is given back: by being dropped.
#[must_use = "it is given back at once if it is not bound"]
pub struct Borrowed<'s, T> {
    /// There until it is given back.
    value: Option<T>,
    slot: &'s Slot<T>,
}

const THERE: &str = "a borrowed value is there until it is given back, and then nobody can reach it";

impl<T> Borrowed<'_, T> {
    /// Keeps it: the resource is gone then.
    pub(super) fn take(mut self) -> T {
        self.value.take().expect(THERE)
    }
}

impl<T> Deref for Borrowed<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect(THERE)
    }
}

impl<T> DerefMut for Borrowed<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(THERE)
    }
}

impl<T> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        self.slot.give_back(self.value.take());
    }
}

impl<T: fmt::Debug> fmt::Debug for Borrowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
