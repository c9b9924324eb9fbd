//! shuttle-tokio, and what it has no answer for: whether a thread is inside of a runtime.

use std::cell::Cell;

pub(crate) use shuttle_tokio::sync;

pub(crate) mod time {
    use std::future::Future;
    use std::time::Duration;

    pub(crate) use shuttle_tokio::time::{Instant, clear_triggers, error, sleep, trigger_timeouts};

    /// No deadline passes.
    pub(crate) async fn timeout_at<F: Future>(_: Instant, future: F) -> Result<F::Output, error::Elapsed> {
        Ok(future.await)
    }

    /// Even where the time is over, others get their turn: who looks again and again would be alone for ever.
    pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, error::Elapsed> {
        shuttle::future::yield_now().await;
        shuttle_tokio::time::timeout(limit, future).await
    }
}

super::thread_local! {
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// The calling thread is one of a runtime while this lives.
pub(crate) struct Entered(());

pub(crate) fn enter() -> Entered {
    INSIDE.set(INSIDE.get() + 1);
    Entered(())
}

impl Drop for Entered {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

pub(crate) mod runtime {
    use std::future::Future;
    use std::io;

    use shuttle_tokio::task::JoinHandle;

    use super::{Entered, INSIDE, enter};

    pub(crate) struct Builder;

    impl Builder {
        pub(crate) fn new_current_thread() -> Builder {
            Builder
        }

        pub(crate) fn enable_all(self) -> Builder {
            self
        }

        pub(crate) fn build(self) -> io::Result<Runtime> {
            Ok(Runtime(Handle(shuttle_tokio::runtime::Handle::current())))
        }
    }

    pub(crate) struct Runtime(Handle);

    impl Runtime {
        pub(crate) fn handle(&self) -> &Handle {
            &self.0
        }

        pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
            let _inside = enter();
            self.0.0.block_on(future)
        }

        pub(crate) fn shutdown_background(self) {}
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Handle(shuttle_tokio::runtime::Handle);

    #[derive(Debug)]
    pub(crate) struct Outside;

    impl Handle {
        pub(crate) fn try_current() -> Result<Handle, Outside> {
            let inside = INSIDE.try_with(|inside| inside.get() > 0).unwrap_or(false);
            if inside { Ok(Handle(shuttle_tokio::runtime::Handle::current())) } else { Err(Outside) }
        }

        pub(crate) fn enter(&self) -> Entered {
            enter()
        }

        pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
        where
            F: Future + Send + 'static,
            F::Output: Send + 'static,
        {
            self.0.spawn(future)
        }
    }
}
