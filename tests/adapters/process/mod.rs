//! Children, threads and tasks.

#[cfg(all(target_os = "linux", feature = "process"))]
mod child;
