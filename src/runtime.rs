//! castoff's own threads, and what a thread is inside of.
//!
//! A helper thread runs what may have to be left behind: teardowns, and cleanups with a timeout of their own. It
//! is inside of whatever the thread that asked for it was inside of.

use std::cell::RefCell;
use std::io;
use std::thread;

use crate::id::ResourceId;

thread_local! {
    /// The resources whose cleanups this thread is running, the innermost last.
    static INSIDE: RefCell<Vec<ResourceId>> = const { RefCell::new(Vec::new()) };
}

/// The resources whose cleanups the calling thread is inside of. Empty also on a thread that has torn down its
/// thread-locals: it is at its very end.
pub(crate) fn inside() -> Vec<ResourceId> {
    INSIDE.try_with(|stack| stack.borrow().clone()).unwrap_or_default()
}

pub(crate) fn is_inside(id: ResourceId) -> bool {
    INSIDE.try_with(|stack| stack.borrow().contains(&id)).unwrap_or(false)
}

/// Marks the calling thread as inside of a cleanup while it lives.
pub(crate) struct Inside;

impl Inside {
    #[inline]
    pub(crate) fn enter(id: ResourceId) -> Inside {
        INSIDE.try_with(|stack| stack.borrow_mut().push(id)).unwrap_or(());
        Inside
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.try_with(|stack| stack.borrow_mut().pop()).unwrap_or(None);
    }
}

/// Starts a thread of castoff's own.
///
/// # Errors
/// When the system refuses a thread, as it does at a limit of processes. What was to run is lost then, so it must
/// not own what can't be lost.
pub(crate) fn helper(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let inside = inside();
    let start = move || {
        INSIDE.try_with(|stack| *stack.borrow_mut() = inside).unwrap_or(());
        run();
    };
    thread::Builder::new().name(name.into()).spawn(start).map(drop)
}
