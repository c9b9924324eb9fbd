//! Every way a process ends, shown by processes that end that way: what was cleaned, in which order, what the parent
//! sees, what is on stderr, and how long it took.
//!
//! The programs are in `tests/exit/victim`, a package of its own that this test builds. No test waits without a
//! bound: a program that does not end is killed with its process group, and the test says what it had logged.
#![cfg(unix)]
#![allow(unsafe_code)] // Signals, terminals and namespaces: the C library's calls, each with its reason.

mod abort;
mod dump;
mod ends;
mod frameworks;
mod holders;
mod hooks;
mod leaks;
mod outside;
mod races;
mod random;
mod signals;
mod support;
