//! Listeners of emitters: whoever calls closures when something happens.
//!
//! An emitter may have taken a copy of its list just before a listener is removed from it, and call it after. So each
//! handler sits behind a valve, which the cleanup shuts first.
//!
//! Invariants of a valve:
//! 1. A call goes through while it is open. Whoever has shut it can wait for those that are inside, but for his own.
//! 2. No lock is held while a handler runs.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};

use crate::adapters::held::Held;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// What an [`Emitter`] is given to call.
pub type Handler<E> = Box<dyn Fn(&E) + Send + Sync>;

/// Something that calls handlers when events happen: the one trait to implement for an emitter of your own.
///
/// # Examples
/// ```
/// use castoff::adapters::{Emitter, Handler, Listener};
/// use castoff::ResourceManager;
/// use std::collections::BTreeMap;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Orders {
///     handlers: Mutex<BTreeMap<usize, Arc<Handler<str>>>>,
///     next: AtomicUsize,
/// }
///
/// impl Orders {
///     fn emit(&self, order: &str) {
///         let handlers: Vec<_> = self.handlers.lock().unwrap().values().cloned().collect();
///         handlers.iter().for_each(|handler| handler(order));
///     }
/// }
///
/// impl Emitter for Orders {
///     type Event = str;
///     type Key = usize;
///     fn add(&self, handler: Handler<str>) -> usize {
///         let key = self.next.fetch_add(1, Ordering::Relaxed);
///         self.handlers.lock().unwrap().insert(key, Arc::new(handler));
///         key
///     }
///     fn remove(&self, key: usize) {
///         self.handlers.lock().unwrap().remove(&key);
///     }
/// }
///
/// let (orders, seen) = (Arc::new(Orders::default()), Arc::new(AtomicUsize::new(0)));
/// let manager = ResourceManager::new("shop");
/// let count = Arc::clone(&seen);
/// let counter = Listener::of("order counter", &orders, move |_| drop(count.fetch_add(1, Ordering::Relaxed)));
/// let _counter = manager.adopt(counter);
/// orders.emit("tea");
/// assert!(manager.cleanup().is_success());
/// orders.emit("coffee");
/// assert_eq!(seen.load(Ordering::Relaxed), 1);
/// assert!(orders.handlers.lock().unwrap().is_empty());
/// ```
pub trait Emitter: Send + Sync + 'static {
    /// What handlers are told.
    type Event: ?Sized + 'static;
    /// What names one handler among the others, never used again for another.
    type Key: Send + 'static;

    /// Calls this handler from now on.
    fn add(&self, handler: Handler<Self::Event>) -> Self::Key;

    /// Calls it no more, and drops it. One that is gone already is no error.
    fn remove(&self, key: Self::Key);
}

/// A handler that listens to an [`Emitter`].
///
/// Its cleanup lets no call through any more, waits for those that run, and removes the handler: after it there is no
/// delivery, even by an emitter that is in the middle of calling all its handlers. A handler that ends its own listener
/// is not waited for. The emitter is not kept alive; when it has gone there is nothing left to do. A handler that hangs
/// is left alone at the cleanup's timeout; it stays the last. There is no last resort: the emitter may hang in it.
///
/// Dropped without a guard it stays with its emitter. See [`Emitter`] for an example.
#[must_use = "nobody removes it unless it is adopted"]
pub struct Listener<E: Emitter> {
    label: Label,
    valve: Arc<Valve>,
    emitter: Weak<E>,
    /// Until a cleanup removes the handler.
    key: Held<E::Key>,
}

impl<E: Emitter> Listener<E> {
    /// Listens from now on.
    pub fn of(
        label: impl Into<Label>,
        emitter: &Arc<E>,
        handler: impl Fn(&E::Event) + Send + Sync + 'static,
    ) -> Listener<E> {
        let valve = Arc::new(Valve::default());
        let there = Arc::clone(&valve);
        let key = emitter.add(Box::new(move |event| there.pass(|| handler(event))));
        Listener { label: label.into(), valve, emitter: Arc::downgrade(emitter), key: Held::new(key) }
    }

    /// Whether it hears no more: it was cleaned, or its emitter is gone.
    pub fn is_over(&self) -> bool {
        self.valve.state().shut || self.emitter.strong_count() == 0
    }
}

impl<E: Emitter> Resource for Listener<E> {
    const CATEGORY: Category = Category::Event;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (valve, emitter, key) = (Arc::clone(&self.valve), self.emitter.clone(), self.key.clone());
        Cleanup::sync(move || {
            valve.shut();
            if let (Some(emitter), Some(key)) = (emitter.upgrade(), key.take()) {
                emitter.remove(key);
            }
            // Last: who hangs in the handler does not keep it with its emitter.
            valve.wait_until_empty();
        })
    }
}

impl<E: Emitter> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("label", &self.label)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Valve {
    state: Mutex<Flow>,
    empty: Condvar,
}

#[derive(Default)]
struct Flow {
    shut: bool,
    /// Who is inside; a thread more than once if its handler makes the next event happen.
    inside: Vec<ThreadId>,
}

impl Valve {
    fn pass(&self, call: impl FnOnce()) {
        let me = thread::current().id();
        {
            let mut flow = self.state();
            if flow.shut {
                return;
            }
            flow.inside.push(me);
        }
        let _inside = Inside(self, me);
        call();
    }

    fn shut(&self) {
        self.state().shut = true;
    }

    fn wait_until_empty(&self) {
        let me = thread::current().id();
        let mut flow = self.state();
        while flow.inside.iter().any(|it| *it != me) {
            flow = self.empty.wait(flow).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, Flow> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the valve, by a panic too.
struct Inside<'v>(&'v Valve, ThreadId);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut flow = self.0.state();
        if let Some(at) = flow.inside.iter().rposition(|it| *it == self.1) {
            flow.inside.swap_remove(at);
        }
        self.0.empty.notify_all();
    }
}
