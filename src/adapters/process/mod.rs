//! Children, threads and tasks: what runs beside the program, and is told to stop.

#[cfg(all(unix, feature = "process"))]
mod child;
#[cfg(all(unix, feature = "process"))]
mod leader;

#[cfg(all(unix, feature = "process"))]
pub use child::{ChildError, ChildProcess};
