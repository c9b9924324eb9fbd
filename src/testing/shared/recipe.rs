//! How a shared thing is made and cleaned, without the types of the closures: a `static` has to name its type.

use std::sync::Arc;

#[cfg(feature = "tokio")]
use crate::cleanup::async_work;
use crate::cleanup::{BoxError, Cleanup, Outcome, Work, work};
use crate::manager::ResourceManager;
use crate::testing::shared::error::Cause;
#[cfg(feature = "tokio")]
use crate::testing::shared::runtime;
use crate::unwind::caught;

// Nobody outside is meant to name these: that is what seals it.
#[allow(unnameable_types)]
mod sealed {
    pub trait Sealed<T> {}
}

/// What the making of a [`Shared<T>`](crate::testing::Shared) may return: `T`, or `Result<T, E>` with
/// `E: Into<Box<dyn Error + Send + Sync>>`.
///
/// # Examples
/// ```
/// use castoff::testing::Shared;
///
/// static PORT: Shared<u16> = Shared::new("port", &|| 5432, &|_| ());
/// static PARSED: Shared<u16> = Shared::new("parsed", &|| "5432".parse::<u16>(), &|_| ());
/// assert_eq!(*PORT, *PARSED);
/// ```
#[diagnostic::on_unimplemented(
    message = "what makes a `Shared<{T}>` returns `{T}` or `Result<{T}, E>`, not `{Self}`"
)]
pub trait Made<T>: sealed::Sealed<T> {
    #[doc(hidden)]
    fn into_made(self) -> Result<T, BoxError>;
}

impl<T> sealed::Sealed<T> for T {}
impl<T> Made<T> for T {
    fn into_made(self) -> Result<T, BoxError> {
        Ok(self)
    }
}

impl<T, E: Into<BoxError>> sealed::Sealed<T> for Result<T, E> {}
impl<T, E: Into<BoxError>> Made<T> for Result<T, E> {
    fn into_made(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

/// How it is made and cleaned.
pub(super) enum Recipe<T: 'static> {
    Blocking {
        make: &'static dyn Make<T>,
        clean: &'static dyn Clean<T>,
    },
    #[cfg(feature = "tokio")]
    Awaiting {
        make: &'static dyn MakeAwaiting<T>,
        clean: &'static dyn CleanAwaiting<T>,
    },
}

impl<T: Send + Sync + 'static> Recipe<T> {
    /// Makes it, on the calling thread if nothing is awaited. The manager is current there.
    #[cfg_attr(not(feature = "tokio"), allow(unused_variables))] // it is for another thread
    pub(super) fn make(&self, manager: &ResourceManager) -> Result<T, Cause> {
        let made = match self {
            Recipe::Blocking { make, .. } => caught(|| make.make()),
            #[cfg(feature = "tokio")]
            Recipe::Awaiting { make, .. } => runtime::on_a_thread(manager, || make.make()),
        };
        made.map_err(Cause::Panicked)?.map_err(Cause::Failed)
    }

    pub(super) fn cleanup(&self, value: Arc<T>) -> Cleanup {
        let graceful = match self {
            Recipe::Blocking { clean, .. } => clean.clean(value),
            #[cfg(feature = "tokio")]
            Recipe::Awaiting { clean, .. } => clean.clean(value),
        };
        Cleanup { graceful, last_resort: None }
    }
}

pub(super) trait Make<T>: Sync {
    fn make(&self) -> Result<T, BoxError>;
}

impl<T, M: Fn() -> R + Sync, R: Made<T>> Make<T> for M {
    fn make(&self) -> Result<T, BoxError> {
        self().into_made()
    }
}

pub(super) trait Clean<T>: Sync {
    fn clean(&'static self, value: Arc<T>) -> Work;
}

impl<T, C, O> Clean<T> for C
where
    T: Send + Sync + 'static,
    C: Fn(&T) -> O + Sync,
    O: Outcome,
{
    fn clean(&'static self, value: Arc<T>) -> Work {
        work(move || self(&value))
    }
}

#[cfg(feature = "tokio")]
pub(super) trait MakeAwaiting<T>: Sync {
    /// Makes it on the calling thread, which blocks.
    fn make(&self) -> Result<T, BoxError>;
}

#[cfg(feature = "tokio")]
impl<T, M, F, R> MakeAwaiting<T> for M
where
    M: Fn() -> F + Sync,
    F: Future<Output = R>,
    R: Made<T>,
{
    fn make(&self) -> Result<T, BoxError> {
        let runtime = runtime::handle()?;
        runtime.block_on(async { self().await }).into_made()
    }
}

#[cfg(feature = "tokio")]
pub(super) trait CleanAwaiting<T>: Sync {
    fn clean(&'static self, value: Arc<T>) -> Work;
}

#[cfg(feature = "tokio")]
impl<T, C, G> CleanAwaiting<T> for C
where
    T: Send + Sync + 'static,
    C: Fn(Arc<T>) -> G + Sync,
    G: Future + Send + 'static,
    G::Output: Outcome,
{
    fn clean(&'static self, value: Arc<T>) -> Work {
        async_work(move || self(value))
    }
}
