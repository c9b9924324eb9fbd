//! Files and directories that are there for a while.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::{NamedTempFile, TempDir};

use crate::adapters::held::{Held, closed};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// What makes a file the same one, whatever its path: device, inode, and its birth, as an inode may be used again. `None`
/// where the system does not tell.
type Identity = Option<(u64, u64, Option<SystemTime>)>;

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> Identity {
    None
}

/// Whether what is at this path now is still the one that was adopted.
fn is_there(path: &Path, adopted: Identity) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(identity(&metadata) == adopted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What went while it was looked at is gone all the same.
fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A temporary directory: the cleanup removes it with all that is in it.
///
/// A [`TempDir`] that is dropped does that too, but not in a static, not at `process::exit` or Ctrl-C, and nobody hears
/// when it fails. Another directory that somebody has put in its place (Unix: another inode) is left alone. Through the
/// guard it is its [`Path`].
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::TemporaryDirectory;
///
/// let manager = ResourceManager::new("import");
/// let scratch = manager.adopt(TemporaryDirectory::from(tempfile::tempdir()?));
/// std::fs::write(scratch.join("orders.csv"), "1;blue")?;
///
/// assert!(manager.cleanup().is_success());
/// assert!(!scratch.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TemporaryDirectory {
    path: PathBuf,
    identity: Identity,
    directory: Held<TempDir>,
}

impl TemporaryDirectory {
    /// The directory itself. `None` after its cleanup.
    pub fn into_inner(self) -> Option<TempDir> {
        self.directory.take()
    }
}

impl From<TempDir> for TemporaryDirectory {
    fn from(directory: TempDir) -> TemporaryDirectory {
        let path = directory.path().to_owned();
        // One that can't be looked at is gone already, and is never taken for another.
        let identity = path.symlink_metadata().ok().as_ref().and_then(identity);
        TemporaryDirectory { path, identity, directory: Held::new(directory) }
    }
}

impl Deref for TemporaryDirectory {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Resource for TemporaryDirectory {
    const CATEGORY: Category = Category::File;

    /// The path.
    fn label(&self) -> Label {
        Label::from(self.path.display().to_string())
    }

    fn cleanup(&mut self) -> Cleanup {
        let (directory, identity) = (self.directory.clone(), self.identity);
        Cleanup::sync(move || {
            directory.take().map_or(Ok(()), |directory| remove_directory(directory, identity))
        })
    }
}

fn remove_directory(mut directory: TempDir, adopted: Identity) -> io::Result<()> {
    // What is not ours any more must not be removed by being dropped.
    directory.disable_cleanup(true);
    match is_there(directory.path(), adopted)? {
        true => gone_is_fine(directory.close()),
        false => Ok(()),
    }
}

/// A temporary file with a name: the cleanup closes and removes it.
///
/// It is read and written through the guard; after its cleanup every call is an error of the kind
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). Another file that somebody has put in its place (Unix: another inode) is left
/// alone. To keep it after all, release the guard and [persist](NamedTempFile::persist) what
/// [`into_inner`](TemporaryFile::into_inner) gives.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager};
/// use castoff::adapters::TemporaryFile;
/// use std::io::Write;
///
/// let manager = ResourceManager::new("upload");
/// let mut part = manager.adopt(TemporaryFile::from(tempfile::NamedTempFile::new()?));
/// part.write_all(b"half of it")?;
/// let path = part.path().to_owned();
///
/// ResourceGuard::close(part)?;
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TemporaryFile {
    path: PathBuf,
    identity: Identity,
    file: Held<NamedTempFile>,
}

impl TemporaryFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Uses the file itself. A cleanup waits meanwhile.
    ///
    /// # Errors
    /// Those of `f`; and after the cleanup, that it is closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut File) -> io::Result<R>) -> io::Result<R> {
        let used = self.file.with(|file| f(file.as_file_mut()));
        used.unwrap_or_else(|| Err(closed(&self.label())))
    }

    /// The file itself, to be kept or persisted. `None` after its cleanup.
    pub fn into_inner(self) -> Option<NamedTempFile> {
        self.file.take()
    }
}

impl From<NamedTempFile> for TemporaryFile {
    fn from(file: NamedTempFile) -> TemporaryFile {
        let path = file.path().to_owned();
        let identity = file.as_file().metadata().ok().as_ref().and_then(identity);
        TemporaryFile { path, identity, file: Held::new(file) }
    }
}

impl Resource for TemporaryFile {
    const CATEGORY: Category = Category::File;

    /// The path.
    fn label(&self) -> Label {
        Label::from(self.path.display().to_string())
    }

    fn cleanup(&mut self) -> Cleanup {
        let (file, identity) = (self.file.clone(), self.identity);
        Cleanup::sync(move || file.take().map_or(Ok(()), |file| remove_file(file, identity)))
    }
}

fn remove_file(mut file: NamedTempFile, adopted: Identity) -> io::Result<()> {
    file.disable_cleanup(true);
    match is_there(file.path(), adopted)? {
        true => gone_is_fine(file.close()),
        false => Ok(()),
    }
}

impl Read for TemporaryFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|file| file.read(buffer))
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(File::flush)
    }
}

impl Seek for TemporaryFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with(|file| file.seek(to))
    }
}
