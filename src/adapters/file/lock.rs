//! A file that is locked.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::adapters::held::{Held, closed};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A lock on a file, between processes: the cleanup releases it and closes the file, which stays where it is.
///
/// [`new`](FileLock::new) takes a file on which somebody holds a lock, however it was taken: `File::lock` (Rust 1.89), fs4,
/// fcntl. On Linux [`exclusive`](FileLock::exclusive), [`shared`](FileLock::shared) and
/// [`try_exclusive`](FileLock::try_exclusive) take one by `flock`.
///
/// On Linux the lock is released although a duplicate of the descriptor is open somewhere, in a child for one; elsewhere
/// by closing the file, which then leaves it with the duplicate. The path is for people: it is shown, and never opened
/// again.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")] {
/// use castoff::ResourceManager;
/// use castoff::adapters::FileLock;
///
/// let path = std::env::temp_dir().join(format!("castoff-doc-lock-{}", std::process::id()));
/// let manager = ResourceManager::new("batch");
/// let _one_at_a_time = manager.adopt(FileLock::exclusive(&path)?);
/// assert!(FileLock::try_exclusive(&path)?.is_none());
///
/// assert!(manager.cleanup().is_success());
/// assert!(FileLock::try_exclusive(&path)?.is_some());
/// # std::fs::remove_file(path)?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a lock that is dropped is released: adopt it"]
pub struct FileLock {
    path: PathBuf,
    file: Held<File>,
}

impl FileLock {
    /// Takes a file that is locked, and where it is.
    pub fn new(path: impl Into<PathBuf>, file: File) -> FileLock {
        FileLock { path: path.into(), file: Held::new(file) }
    }

    /// Waits for a lock that nobody shares. A file that is not there is created.
    ///
    /// # Errors
    /// If it can't be opened for reading and writing, or its file system has no locks.
    #[cfg(target_os = "linux")]
    pub fn exclusive(path: impl Into<PathBuf>) -> io::Result<FileLock> {
        FileLock::take(path.into(), rustix::fs::FlockOperation::LockExclusive)
    }

    /// Waits for a lock that others may share. A file that is not there is created.
    ///
    /// # Errors
    /// As [`exclusive`](FileLock::exclusive).
    #[cfg(target_os = "linux")]
    pub fn shared(path: impl Into<PathBuf>) -> io::Result<FileLock> {
        FileLock::take(path.into(), rustix::fs::FlockOperation::LockShared)
    }

    /// The same as [`exclusive`](FileLock::exclusive) without waiting: `None` if somebody has it.
    ///
    /// # Errors
    /// As [`exclusive`](FileLock::exclusive).
    #[cfg(target_os = "linux")]
    pub fn try_exclusive(path: impl Into<PathBuf>) -> io::Result<Option<FileLock>> {
        match FileLock::take(path.into(), rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    #[cfg(target_os = "linux")]
    fn take(path: PathBuf, operation: rustix::fs::FlockOperation) -> io::Result<FileLock> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        while let Err(error) = rustix::fs::flock(&file, operation) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        Ok(FileLock::new(path, file))
    }

    /// Uses the file itself. A cleanup waits meanwhile.
    ///
    /// # Errors
    /// Those of `f`; and after the cleanup, that it is closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut File) -> io::Result<R>) -> io::Result<R> {
        self.file.with(f).unwrap_or_else(|| Err(closed(&self.label())))
    }

    /// The file itself, still locked. `None` after its cleanup.
    pub fn into_inner(self) -> Option<File> {
        self.file.take()
    }
}

/// Closing the file releases a lock, but not one that a duplicate of its descriptor holds too.
#[cfg(target_os = "linux")]
fn release(file: File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock)?)
}

#[cfg(not(target_os = "linux"))]
fn release(file: File) -> io::Result<()> {
    drop(file);
    Ok(())
}

impl Resource for FileLock {
    const CATEGORY: Category = Category::File;

    /// `lock on` and the path.
    fn label(&self) -> Label {
        Label::from(format!("lock on {}", self.path.display()))
    }

    fn cleanup(&mut self) -> Cleanup {
        let file = self.file.clone();
        Cleanup::sync(move || file.take().map_or(Ok(()), release))
    }
}
