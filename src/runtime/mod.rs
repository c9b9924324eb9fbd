//! castoff's own threads, and what a thread is inside of.
//!
//! A helper thread runs what may have to be left behind: teardowns, and cleanups with a timeout of their own. It
//! is inside of whatever the thread that asked for it was inside of. Asynchronous cleanups are polled by threads of
//! another kind (`reactor`), which start with the first of them and end when there are none.

#[cfg(feature = "tokio")]
mod flight;
mod helpers;
#[cfg(feature = "tokio")]
mod reactor;

use std::cell::{Cell, RefCell};
use std::io;

#[cfg(feature = "tokio")]
pub(crate) use self::flight::{Flight, drive_here};
#[cfg(feature = "tokio")]
pub(crate) use self::reactor::board;
use crate::events::spans;
use crate::id::ResourceId;
#[cfg(feature = "tokio")]
use crate::sync::Lock;

thread_local! {
    /// The resource whose cleanup this thread is running; zero for none.
    static INNERMOST: Cell<ResourceId> = const { Cell::new(ResourceId::NONE) };
    /// Those that it is inside of besides, the outermost first: empty unless cleanups are nested.
    static OUTER: RefCell<Vec<ResourceId>> = const { RefCell::new(Vec::new()) };
}

/// The resources whose cleanups the calling thread is inside of. Only the innermost on a thread that is tearing down
/// its thread-locals: it is at its very end.
pub(crate) fn inside() -> Vec<ResourceId> {
    let mut stack = OUTER.try_with(|outer| outer.borrow().clone()).unwrap_or_default();
    stack.extend(Some(INNERMOST.get()).filter(|id| *id != ResourceId::NONE));
    stack
}

pub(crate) fn is_inside(id: ResourceId) -> bool {
    INNERMOST.get() == id || OUTER.try_with(|outer| outer.borrow().contains(&id)).unwrap_or(false)
}

/// Marks the calling thread as inside of a cleanup while it lives.
pub(crate) struct Inside {
    outer: ResourceId,
}

impl Inside {
    /// Whether the calling thread is inside of no cleanup.
    #[inline]
    pub(crate) fn is_nothing() -> bool {
        INNERMOST.with(Cell::get) == ResourceId::NONE
    }

    #[inline]
    pub(crate) fn enter(id: ResourceId) -> Inside {
        // `with`: the cell's own methods on the key are calls.
        let outer = INNERMOST.with(|innermost| innermost.replace(id));
        if outer != ResourceId::NONE {
            go_deeper(outer);
        }
        Inside { outer }
    }

    /// The same on a thread that is inside of nothing.
    #[inline]
    pub(crate) fn first(id: ResourceId) -> Inside {
        INNERMOST.with(|innermost| innermost.set(id));
        Inside { outer: ResourceId::NONE }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.set(self.outer));
        if self.outer != ResourceId::NONE {
            come_back();
        }
    }
}

/// Runs a poll of an asynchronous cleanup inside of what this was when it was handed over.
#[cfg(feature = "tokio")]
fn within<R>(stack: &mut Vec<ResourceId>, id: ResourceId, poll: impl FnOnce() -> R) -> R {
    let swap = |stack: &mut Vec<ResourceId>| {
        OUTER.try_with(|outer| std::mem::swap(&mut *outer.borrow_mut(), stack)).unwrap_or(());
    };
    let mut inside = scopeguard::guard(stack, |stack| {
        INNERMOST.set(ResourceId::NONE);
        swap(stack);
    });
    swap(&mut inside);
    INNERMOST.set(id);
    poll()
}

/// Whether the calling thread is one of an asynchronous runtime, which must not be blocked.
pub(crate) fn is_async_context() -> bool {
    #[cfg(feature = "tokio")]
    return tokio::runtime::Handle::try_current().is_ok();
    #[cfg(not(feature = "tokio"))]
    return false;
}

/// Runs something on a helper thread; on the calling one where no other can be had.
#[cfg(feature = "tokio")]
pub(crate) fn elsewhere(name: &'static str, run: impl FnOnce() + Send + 'static) {
    elsewhere_or_here(name, run, || ());
}

/// The same, and `refused` is called before it runs on the calling thread.
#[cfg(feature = "tokio")]
pub(crate) fn elsewhere_or_here(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
    refused: impl FnOnce(),
) {
    let work = std::sync::Arc::new(Lock::new(Some(run)));
    let there = work.clone();
    let take = move || there.lock().take();
    if helper(name, move || take().into_iter().for_each(|run| run())).is_err() {
        let run = work.lock().take();
        refused();
        run.into_iter().for_each(|run| run());
    }
}

#[cold]
fn go_deeper(outer: ResourceId) {
    OUTER.try_with(|stack| stack.borrow_mut().push(outer)).unwrap_or(());
}

#[cold]
fn come_back() {
    OUTER.try_with(|stack| stack.borrow_mut().pop()).unwrap_or(None);
}

/// Runs something on a helper thread.
///
/// # Errors
/// When the system refuses a thread, as it does at a limit of processes. What was to run is lost then, so it must
/// not own what can't be lost.
pub(crate) fn helper(name: &'static str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (inside, span) = (inside(), spans::here());
    let start = move || {
        let _span = span.enter();
        OUTER.try_with(|stack| *stack.borrow_mut() = inside).unwrap_or(());
        run();
        OUTER.try_with(|stack| stack.borrow_mut().clear()).unwrap_or(());
    };
    helpers::run(name, Box::new(start))
}
