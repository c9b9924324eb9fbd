//! Loom's primitives.

pub(crate) mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::{Arc, LockResult, OnceLock, PoisonError, TryLockError, Weak, mpsc};
    use std::time::Duration;

    use loom::sync::WaitTimeoutResult;

    /// Loom's, with what that lacks. No time passes in a model, so no wait ends by it.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    type Waited<'a, T> = LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>;

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar::default()
        }

        pub(crate) fn wait<'a, T>(&self, held: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(held)
        }

        pub(crate) fn wait_while<'a, T>(
            &self,
            mut held: MutexGuard<'a, T>,
            mut waits: impl FnMut(&mut T) -> bool,
        ) -> LockResult<MutexGuard<'a, T>> {
            while waits(&mut held) {
                held = self.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            Ok(held)
        }

        pub(crate) fn wait_timeout<'a, T>(&self, held: MutexGuard<'a, T>, limit: Duration) -> Waited<'a, T> {
            self.0.wait_timeout(held, limit)
        }

        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            mut held: MutexGuard<'a, T>,
            limit: Duration,
            mut waits: impl FnMut(&mut T) -> bool,
        ) -> Waited<'a, T> {
            while waits(&mut held) {
                held = self.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            self.wait_timeout(held, limit)
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{
            AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }
}

pub(super) mod threads {
    pub(crate) use loom::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, yield_now};

    pub(crate) fn id() -> ThreadId {
        current().id()
    }
}

pub(crate) fn spin_loop() {
    loom::hint::spin_loop();
}
