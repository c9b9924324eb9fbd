//! Threads that end as real ones do: with their thread-locals.

use std::io;
use std::num::NonZero;
use std::time::Duration;

use super::explorer::threads;
use super::locals;

pub(crate) use std::thread::panicking;
pub(crate) use threads::{JoinHandle, Thread, current, park, yield_now};

pub(crate) struct Builder(threads::Builder);

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder(threads::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        self.0.spawn(move || {
            let result = run();
            locals::end_of_thread();
            result
        })
    }
}

pub(crate) fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(run).expect("an explorer refuses no thread")
}

/// Nobody has a clock here.
pub(crate) fn sleep(_: Duration) {
    yield_now();
}

/// So that the registry has few shards.
pub(crate) fn available_parallelism() -> io::Result<NonZero<usize>> {
    Ok(NonZero::<usize>::MIN)
}
