//! Children, threads, tasks and signal handlers.

#[cfg(all(target_os = "linux", feature = "process"))]
mod child;
#[cfg(all(feature = "testcontainers", feature = "hyper"))]
mod container;
#[cfg(all(target_os = "linux", feature = "process", feature = "signal-hook"))]
mod interrupted;
#[cfg(all(target_os = "linux", feature = "process"))]
mod monitor;
#[cfg(all(unix, feature = "signal-hook"))]
mod signal;
#[cfg(feature = "tokio")]
mod task;
#[cfg(feature = "tokio")]
mod tasks;
mod worker;
