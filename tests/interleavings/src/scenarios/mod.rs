//! What is explored. Each scenario is a whole little program over castoff's public API, or over one protocol of it, with
//! threads that meet; whatever they do in whatever order, each cleanup runs exactly once and in order, and nothing is
//! left.

mod claims;
mod explore;
mod record;

use explore::explore;
use record::{Record, manager};
