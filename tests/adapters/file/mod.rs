//! Files and what is made of them, on the real file system.

#[cfg(target_os = "linux")]
mod hanging;
#[cfg(target_os = "linux")]
mod lock;
#[cfg(all(unix, feature = "memmap2"))]
mod map;
#[cfg(target_os = "linux")]
mod open;
#[cfg(target_os = "linux")]
mod printed;
#[cfg(feature = "tempfile")]
mod temporary;
#[cfg(feature = "notify")]
mod watcher;
mod writer;
