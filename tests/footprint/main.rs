//! What the operating system holds is found when it is there, and not when it is not: planted for real, closed for
//! real, looked at while others come and go.
//!
//! A process's descriptors, threads and children belong to all tests in it, so each test runs in a process of its
//! own, within a time limit.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // Planting what has no safe wrapper: in `support` alone.

mod busy;
mod kinds;
mod registered;
mod same;
mod support;
mod system;
