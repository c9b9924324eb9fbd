//! Sockets.
#![cfg(unix)]

mod sockets;
#[cfg(feature = "tokio-net")]
mod tokio_sockets;
mod unix;
