//! Counted deliveries: none after the cleanup.

#[cfg(feature = "tokio")]
mod channels;
mod emitter;
#[cfg(all(unix, feature = "tracing-appender"))]
mod log;
#[cfg(feature = "tokio")]
mod hanging;
#[cfg(feature = "tokio")]
mod subscription;
