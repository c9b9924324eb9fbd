//! Timers, on a thread of their own or in a task of tokio's.

#[cfg(feature = "tokio")]
mod task;
mod thread;

#[cfg(feature = "tokio")]
pub use task::TokioTimer;
pub use thread::{Tick, Timer};
