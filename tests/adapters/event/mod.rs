//! Counted deliveries: none after the cleanup.

mod emitter;
#[cfg(feature = "tokio")]
mod hanging;
#[cfg(feature = "tokio")]
mod subscription;
