//! Sockets, servers.
#![cfg(unix)]

#[cfg(feature = "hyper")]
mod http;
mod sockets;
#[cfg(feature = "tokio-net")]
mod tokio_sockets;
mod unix;
