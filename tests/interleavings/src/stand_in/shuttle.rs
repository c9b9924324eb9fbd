//! Shuttle's primitives.

pub(crate) mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, mpsc};
    pub(crate) use std::sync::{Arc, OnceLock, PoisonError, TryLockError, Weak};

    pub(crate) mod atomic {
        pub(crate) use shuttle::sync::atomic::{
            AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }
}

pub(super) mod threads {
    pub(crate) use shuttle::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, yield_now};

    pub(crate) fn id() -> ThreadId {
        current().id()
    }
}

pub(crate) fn spin_loop() {
    shuttle::hint::spin_loop();
}
