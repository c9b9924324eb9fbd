//! Counted deliveries: none after the cleanup.

#[cfg(feature = "tokio")]
mod channels;
mod emitter;
#[cfg(feature = "tokio")]
mod hanging;
#[cfg(all(unix, feature = "tracing-appender"))]
mod log;
#[cfg(feature = "tokio")]
mod subscribed;
#[cfg(feature = "tokio")]
mod subscription;
