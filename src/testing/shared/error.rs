//! Why there is nothing to share: [`SharedError`].

use std::error::Error;
use std::panic::Location;
use std::sync::Arc;

use crate::cleanup::BoxError;
use crate::id::Label;

/// Why a [`Shared`](crate::testing::Shared) thing can't be had. Everybody who asks gets the same: it is tried once.
///
/// # Examples
/// ```
/// use castoff::testing::{Shared, SharedError};
///
/// static SERVER: Shared<u16> = Shared::new("server", &|| -> u16 { panic!("no docker here") }, &|_| ());
///
/// let Err(SharedError::Panicked { message, .. }) = SERVER.try_get() else { panic!("it should have") };
/// assert_eq!(message, "no docker here");
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[non_exhaustive]
pub enum SharedError {
    /// The making returned an error, the system refused what it takes, or the process is ending.
    #[error(
        "the shared `{label}` ({created_at}) could not be made: {source}; it was tried once in this process, by \
         `{by}`, and is not tried again"
    )]
    Failed {
        /// What it is called.
        label: &'static str,
        /// The line of the `static`.
        created_at: &'static Location<'static>,
        /// The thread that asked first: a test's is named after it.
        by: Label,
        /// What the making said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The making panicked.
    #[error(
        "the shared `{label}` ({created_at}) could not be made, it panicked: {message}; it was tried once in this \
         process, by `{by}`, and is not tried again"
    )]
    Panicked {
        /// What it is called.
        label: &'static str,
        /// The line of the `static`.
        created_at: &'static Location<'static>,
        /// The thread that asked first: a test's is named after it.
        by: Label,
        /// What the panic said.
        message: String,
    },
    /// It needs itself, perhaps by way of others: waiting for it would last for ever.
    #[error(
        "the shared `{label}` ({created_at}) can't be made, it needs itself: {}; make one without the other",
        path.join(" -> ")
    )]
    Circle {
        /// What it is called.
        label: &'static str,
        /// The line of the `static`.
        created_at: &'static Location<'static>,
        /// Who needs whom, from this one on and back to it.
        path: Vec<&'static str>,
    },
}

/// What went wrong.
pub(super) enum Cause {
    Failed(BoxError),
    Panicked(String),
    Circle(Vec<&'static str>),
}

impl SharedError {
    pub(super) fn new(
        label: &'static str,
        created_at: &'static Location<'static>,
        by: Label,
        cause: Cause,
    ) -> SharedError {
        match cause {
            Cause::Failed(error) => SharedError::Failed { label, created_at, by, source: error.into() },
            Cause::Panicked(message) => SharedError::Panicked { label, created_at, by, message },
            Cause::Circle(path) => SharedError::Circle { label, created_at, path },
        }
    }
}
