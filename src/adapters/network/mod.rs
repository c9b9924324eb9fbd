//! Network: sockets, servers.

#[cfg(all(unix, feature = "hyper"))]
mod connection;
#[cfg(all(unix, feature = "hyper"))]
mod http;
#[cfg(unix)]
mod socket;

#[cfg(all(unix, feature = "hyper"))]
pub use http::HttpServer;
