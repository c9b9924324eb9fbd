//! Files and what is made of them: descriptors, buffered writers, locks, temporary ones, watchers and maps.

mod lock;
#[cfg(feature = "memmap2")]
mod map;
mod open;
#[cfg(feature = "tempfile")]
mod temporary;
#[cfg(feature = "notify")]
mod watcher;
mod writer;

pub use lock::FileLock;
#[cfg(feature = "memmap2")]
pub use map::MemoryMap;
pub use open::OpenFile;
#[cfg(feature = "tempfile")]
pub use temporary::{TemporaryDirectory, TemporaryFile};
#[cfg(feature = "notify")]
pub use watcher::FileWatcher;
pub use writer::Writer;
