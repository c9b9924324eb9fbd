//! A lock that its owner takes without a read-modify-write: one thread uses it most of the time, others now and then.
//!
//! While nobody else has come, the owner is let in by writing that it is inside. The first other thread revokes that:
//! from then on all, the owner too, go through a mutex. The owner gets its way back when it has come often enough
//! without anybody in between, and each revocation makes that a longer wait.
//!
//! Invariants:
//! 1. Only the owner writes `inside`, and only where `revoked` is false after that is it inside by it.
//! 2. `revoked` becomes true under the mutex, or by the owner, and false under the mutex by the owner alone. Who makes
//!    it true and is not the owner passes the heavy fence and then waits until the owner is not inside: the owner either
//!    has seen it, or is seen.
//! 3. So whoever has the mutex and finds `revoked` true, or is the owner, is alone.
//! 4. `under_way` is written inside, or set to nothing by the owner outside. If the owner sees `revoked` false after
//!    that, nobody has come in since it was last inside; and whoever comes in later sees that nothing is under way.
#![allow(unsafe_code)] // A value that two ways lead to, of which only one is a mutex.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::registry::fence;
use crate::sync::primitives::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, nap, spin_loop, thread_local};
use crate::sync::{Lock, MutexGuard};

/// How often an owner has to come alone before it is let in without the mutex again: doubled with each revocation, the
/// first one too, and at most.
const PATIENCE: u32 = if cfg!(castoff_model) { 1 } else { 64 };
const MOST_PATIENCE: u32 = if cfg!(castoff_model) { 1 } else { 4_096 };
/// How often who waits for the owner looks before it sleeps in between.
const LOOKS: u64 = 1_000;

pub(super) struct Biased<T> {
    /// The owner is in, without the mutex: 1, or 0. A word each, because a core that has just written a byte waits
    /// before it reads the next one.
    inside: AtomicUsize,
    /// The owner needs the mutex.
    revoked: AtomicUsize,
    /// What the owner has begun inside and goes on with outside; nothing: 0.
    under_way: AtomicU64,
    owned: AtomicBool,
    value: UnsafeCell<T>,
    terms: Lock<Terms>,
    /// How many threads wait for the mutex.
    waiting: AtomicU32,
}

// SAFETY: the value is reached by one thread at a time (invariant 3), so it need not be `Sync`.
unsafe impl<T: Send> Sync for Biased<T> {}

/// On what the owner gets its way back.
pub(super) struct Terms {
    /// How often it has come since anybody else has.
    alone: u32,
    patience: u32,
}

thread_local! {
    /// Where the lock is that the calling thread owns.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

impl<T> Biased<T> {
    pub(super) fn new(value: T) -> Biased<T> {
        Biased {
            inside: AtomicUsize::new(0),
            revoked: AtomicUsize::new(1),
            under_way: AtomicU64::new(0),
            owned: AtomicBool::new(false),
            value: UnsafeCell::new(value),
            terms: Lock::new(Terms { alone: 0, patience: PATIENCE }),
            waiting: AtomicU32::new(0),
        }
    }

    /// Makes the calling thread the owner, unless there is one or the thread owns another. For ever, or until
    /// [`disown`](Self::disown): what is `'static` stays where it is.
    pub(super) fn own(&'static self) -> bool {
        if OWN.with(Cell::get) != 0 || self.owned.swap(true, Acquire) {
            return false;
        }
        OWN.with(|own| own.set(self.address()));
        let _terms = self.terms.lock();
        self.revoked.store(usize::from(!fence::is_there()), Relaxed);
        true
    }

    /// The owner gives it up.
    pub(super) fn disown(&'static self) {
        if self.is_own() {
            // Its own word needs no fence: it is not inside, and will not be.
            let _terms = self.terms.lock();
            self.revoked.store(1, Relaxed);
            OWN.with(|own| own.set(0));
            self.owned.store(false, Release);
        }
    }

    /// In a forked child, where the calling thread is the only one and has the lock: another owner is gone. It may have
    /// been on its way in, to be turned away, and would be waited for for ever.
    pub(super) fn outlive(&self) {
        if !self.is_own() {
            self.inside.store(0, Relaxed);
            self.waiting.store(0, Relaxed);
            self.owned.store(false, Relaxed);
        }
    }

    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    fn is_own(&self) -> bool {
        OWN.with(Cell::get) == self.address()
    }

    #[inline]
    pub(super) fn lock(&self) -> Held<'_, T> {
        match self.enter() {
            Some(own) => Held::Own(own),
            None => self.lock_shared(),
        }
    }

    /// The owner's way: `None` for others, and where it has been revoked.
    #[inline]
    pub(super) fn enter(&self) -> Option<Own<'_, T>> {
        if !self.is_own() {
            return None;
        }
        let was_inside = self.inside.load(Relaxed);
        self.inside.store(1, Relaxed);
        fence::light();
        // The bug that ThreadSanitizer has to find is an owner that heeds nobody: see scripts/verify.
        let revoked = if cfg!(castoff_planted = "race") { 0 } else { self.revoked.load(Acquire) };
        if revoked | was_inside != 0 {
            return self.turned_away(was_inside);
        }
        Some(Own { lock: self, not_send: PhantomData })
    }

    #[cold]
    fn turned_away(&self, was_inside: usize) -> Option<Own<'_, T>> {
        if was_inside != 0 {
            entered_twice();
        }
        self.inside.store(0, Release);
        None
    }

    /// The owner has done, outside, what was under way, and need not come in to say so. False: somebody has been in since,
    /// or something else is under way, and the owner has to come in and look.
    #[inline]
    pub(super) fn is_done(&self, what: u64) -> bool {
        if self.under_way.load(Relaxed) != what {
            return false;
        }
        self.under_way.store(0, Release);
        fence::light();
        self.revoked.load(Acquire) == 0
    }

    /// The way of everybody else.
    #[cold]
    fn lock_shared(&self) -> Held<'_, T> {
        let terms = self.terms.try_lock().unwrap_or_else(|| {
            self.waiting.fetch_add(1, Relaxed);
            let terms = self.terms.lock();
            self.waiting.fetch_sub(1, Relaxed);
            terms
        });
        let held = self.admit(terms);
        let mut looks: u64 = 0;
        while !self.is_clear() {
            looks += 1;
            if looks < LOOKS { spin_loop() } else { nap() }
        }
        held
    }

    /// The lock, unless somebody has it: the calling thread itself, perhaps.
    pub(super) fn try_lock(&self) -> Option<Held<'_, T>> {
        if self.is_own() && self.inside.load(Relaxed) != 0 {
            return None;
        }
        if let Some(own) = self.enter() {
            return Some(Held::Own(own));
        }
        let held = self.admit(self.terms.try_lock()?);
        self.is_clear().then_some(held)
    }

    /// Whoever has the mutex. The value is not to be touched before [`is_clear`](Self::is_clear).
    fn admit<'a>(&'a self, mut terms: MutexGuard<'a, Terms>) -> Held<'a, T> {
        if self.is_own() {
            terms.alone += 1;
            if terms.alone >= terms.patience {
                terms.alone = 0;
                self.revoked.store(usize::from(!fence::is_there()), Relaxed);
            }
        } else {
            terms.alone = 0;
            if self.revoked.load(Relaxed) == 0 {
                terms.patience = (terms.patience * 2).min(MOST_PATIENCE);
                self.revoked.store(1, Relaxed);
                fence::heavy();
            }
        }
        Held::Shared { lock: self, _terms: terms }
    }

    /// Whether the owner is not inside. Acquire: what it did there is seen then.
    fn is_clear(&self) -> bool {
        self.inside.load(Acquire) == 0
    }

    /// Whether anybody waits for the mutex.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

/// There is no way on: the value is in use further up on this stack. With a mutex this would be a deadlock.
#[cold]
fn entered_twice() -> ! {
    eprintln!(
        "castoff: called by the allocator or a signal handler in the middle of its own work; it can't go on"
    );
    std::process::abort()
}

/// The owner is inside while this lives.
pub(super) struct Own<'a, T> {
    lock: &'a Biased<T>,
    not_send: PhantomData<*const ()>,
}

/// The lock is held while this lives, one way or the other.
pub(super) enum Held<'a, T> {
    Own(Own<'a, T>),
    Shared { lock: &'a Biased<T>, _terms: MutexGuard<'a, Terms> },
}

impl<T> Own<'_, T> {
    /// What is under way, or nothing. Where it has changed from something to nothing, that is done.
    #[inline]
    pub(super) fn under_way(&self) -> u64 {
        self.lock.under_way.load(Relaxed)
    }

    /// From now on this is under way.
    #[inline]
    pub(super) fn begin(&self, what: u64) {
        self.lock.under_way.store(what, Relaxed);
    }
}

impl<T> Held<'_, T> {
    fn to(&self) -> &Biased<T> {
        match self {
            Held::Own(own) => own.lock,
            Held::Shared { lock, .. } => lock,
        }
    }

    /// As [`Own::under_way`].
    pub(super) fn under_way(&self) -> u64 {
        self.to().under_way.load(Acquire)
    }

    /// The same, and from now on nothing is. What was has been told by the value, to whoever looks for it.
    pub(super) fn take_under_way(&self) -> u64 {
        let under_way = &self.to().under_way;
        let what = under_way.load(Acquire);
        under_way.store(0, Relaxed);
        what
    }
}

impl<T> Drop for Own<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.inside.store(0, Release);
    }
}

impl<T> Deref for Own<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: who holds the lock is alone (invariant 3), and this borrows the holder.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Own<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this borrows the holder mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match self {
            Held::Own(own) => own,
            // SAFETY: as above.
            Held::Shared { lock, .. } => unsafe { &*lock.value.get() },
        }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Held::Own(own) => own,
            // SAFETY: as above.
            Held::Shared { lock, .. } => unsafe { &mut *lock.value.get() },
        }
    }
}

#[cfg(test)]
#[cfg(not(castoff_model))]
#[path = "tests/biased.rs"]
mod tests;
