//! Sockets, servers, WebSockets.
#![cfg(unix)]

#[cfg(all(feature = "reqwest", feature = "hyper"))]
mod client;
mod hanging;
#[cfg(feature = "hyper")]
mod http;
#[cfg(feature = "hyper")]
mod http_upgraded;
mod sockets;
mod timeout;
#[cfg(feature = "tokio-net")]
mod tokio_sockets;
mod unix;
#[cfg(feature = "tokio-tungstenite")]
mod websocket;
