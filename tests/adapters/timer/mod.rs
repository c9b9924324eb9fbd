//! Counted ticks: none after the cleanup.

#[cfg(feature = "tokio")]
mod task;
mod thread;
