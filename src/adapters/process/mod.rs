//! Children and who watches them, threads, tasks and signal handlers: what runs beside the program, and is told to stop.

#[cfg(all(unix, feature = "process"))]
mod child;
#[cfg(feature = "testcontainers")]
mod container;
#[cfg(all(unix, feature = "process"))]
mod end;
#[cfg(all(unix, feature = "process"))]
mod leader;
#[cfg(all(unix, feature = "process"))]
mod monitor;
#[cfg(feature = "signal-hook")]
mod signal;
#[cfg(feature = "tokio")]
mod task;
#[cfg(feature = "tokio")]
mod tasks;
mod worker;

#[cfg(all(unix, feature = "process"))]
pub use child::ChildProcess;
#[cfg(feature = "testcontainers")]
pub use container::TestContainer;
#[cfg(all(unix, feature = "process"))]
pub use end::ChildError;
#[cfg(all(unix, feature = "process"))]
pub use monitor::ProcessMonitor;
#[cfg(feature = "signal-hook")]
pub use signal::SignalHandler;
#[cfg(feature = "tokio")]
pub use task::{Task, TaskError};
#[cfg(feature = "tokio")]
pub use tasks::Tasks;
pub use worker::{StopSignal, Worker, WorkerError};
