//! What castoff's source has here in the place of `std`'s locks, atomics, threads, statics and thread-locals.
//!
//! An explorer runs the threads of an execution one at a time on one real thread, so that of the real kind of thread-local
//! they would all have the same one; and a static would have been used by the execution before. Both are in tables here,
//! which are emptied: a thread's when it ends, all at the start of the next execution.

#[cfg(feature = "loom")]
#[path = "loom.rs"]
mod explorer;
#[cfg(not(feature = "loom"))]
#[path = "shuttle.rs"]
mod explorer;
mod locals;
mod statics;
pub(crate) mod thread;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

pub(crate) use explorer::{spin_loop, sync};
pub(crate) use locals::{Local, thread_local};
pub(crate) use statics::Static;

/// One execution: with statics as they are at the start of a process, and an end of the thread at its end.
pub(crate) fn execution(run: impl FnOnce()) {
    locals::forget_all();
    statics::forget_all();
    crate::make_statics();
    run();
    locals::end_of_thread();
}
