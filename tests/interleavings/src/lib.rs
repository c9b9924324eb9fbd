//! castoff's own source under explorers of interleavings, and what is explored.

#![allow(dead_code, unused_imports, unused_macros, unreachable_pub, unsafe_code, private_interfaces)] // the copy is a part of castoff

#[cfg(any(feature = "loom", feature = "shuttle"))]
mod stand_in;

#[cfg(any(feature = "loom", feature = "shuttle"))]
include!(concat!(env!("OUT_DIR"), "/castoff/modules.rs"));

#[cfg(all(test, any(feature = "loom", feature = "shuttle")))]
mod scenarios;
