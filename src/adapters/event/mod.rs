//! Events: listeners of emitters, subscriptions of asynchronous code, and the log.

mod emitter;
#[cfg(feature = "tracing-appender")]
mod log;
#[cfg(feature = "tokio")]
mod subscription;

pub use emitter::{Emitter, Handler, Listener};
#[cfg(feature = "tracing-appender")]
pub use log::LogWriter;
#[cfg(feature = "tokio")]
pub use subscription::{Received, Source, Streamed, Subscribed, TokioListener};
