//! The public behaviour, one binary: each module takes one theme, and holds what the documentation says
//! against what happens.

#[cfg(feature = "tokio")]
mod asynchronous;
mod deferral;
#[cfg(unix)]
mod end;
mod events;
mod foreign;
mod graph;
mod guard;
mod leaks;
mod managers;
mod model;
mod registration;
mod report;
mod shown;
mod storm;
mod support;
mod teardown;
mod testing;
mod token;
