//! Network: sockets, servers, clients, WebSockets.

#[cfg(feature = "reqwest")]
mod client;
#[cfg(all(unix, feature = "hyper"))]
mod connection;
#[cfg(all(unix, feature = "hyper"))]
mod http;
#[cfg(unix)]
mod socket;
#[cfg(unix)]
mod timeout;
#[cfg(feature = "tokio-tungstenite")]
mod websocket;

#[cfg(feature = "reqwest")]
pub use client::HttpClient;
#[cfg(all(unix, feature = "hyper"))]
pub use http::HttpServer;
#[cfg(unix)]
pub use timeout::ConnectionTimeout;
#[cfg(feature = "tokio-tungstenite")]
pub use websocket::WebSocket;
