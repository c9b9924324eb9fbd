//! What is explored. Each scenario is a whole little program over castoff's public API, or over one protocol of it, with
//! threads that meet; whatever they do in whatever order, each cleanup runs exactly once and in order, and nothing is
//! left.

#[cfg(feature = "tokio")]
mod asynchronous;
mod claims;
mod explore;
mod order;
mod protocols;
mod record;
mod teardowns;

use explore::{explore, explore_large};
use record::{Record, manager};
