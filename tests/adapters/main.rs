//! Adapters on the real thing: each is cleaned by drop, by close, by a teardown while its guard is held, once, when it
//! is gone already, by somebody else or by a cleanup before, when it hangs, and on another thread; and leaves nothing
//! behind.
//!
//! A process's descriptors, threads and children belong to all tests in it, so each test runs in a process of its own,
//! within a time limit.

#[macro_use]
mod contract;
mod alone;
mod support;

mod critical;
mod custom;
mod database;
mod event;
mod file;
mod had_back;
mod network;
mod process;
mod timer;
