//! Network: sockets.

#[cfg(unix)]
mod socket;
