//! Events: listeners of emitters, and subscriptions of asynchronous code.

mod emitter;
#[cfg(feature = "tokio")]
mod subscription;

pub use emitter::{Emitter, Handler, Listener};
#[cfg(feature = "tokio")]
pub use subscription::{Received, Source, Streamed, Subscribed, TokioListener};
