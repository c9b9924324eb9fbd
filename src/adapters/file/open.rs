//! A file that is open.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::adapters::held::{Held, closed};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// An open file: the cleanup closes it, and before that writes it to the disk if [`synced`](OpenFile::synced) asks for it.
///
/// It is read and written through the guard. A call in progress holds the cleanup back; after it every call is an error
/// of the kind [`BrokenPipe`](io::ErrorKind::BrokenPipe). The path is for people: it is shown, and never opened again.
///
/// A descriptor of another kind (a pipe, a device) is a file too: `File::from(owned_fd)`. A file has no buffer of its own in
/// the program; for one in a `BufWriter` there is [`Writer`](super::Writer).
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::OpenFile;
/// use std::io::Write;
///
/// let manager = ResourceManager::new("journal");
/// let path = std::env::temp_dir().join(format!("castoff-doc-open-{}", std::process::id()));
/// let mut journal = manager.adopt(OpenFile::create(&path)?.synced());
/// writeln!(journal, "order 1")?;
///
/// assert!(manager.cleanup().is_success()); // on the disk, and closed
/// assert!(writeln!(journal, "order 2").is_err());
/// assert_eq!(std::fs::read_to_string(&path)?, "order 1\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    synced: bool,
    file: Held<File>,
}

impl OpenFile {
    /// Takes a file that is open, and where it is.
    pub fn new(path: impl Into<PathBuf>, file: File) -> OpenFile {
        OpenFile { path: path.into(), synced: false, file: Held::new(file) }
    }

    /// Opens it for reading, as [`File::open`] does.
    ///
    /// # Errors
    /// Those of [`File::open`].
    pub fn open(path: impl Into<PathBuf>) -> io::Result<OpenFile> {
        let path = path.into();
        let file = File::open(&path)?;
        Ok(OpenFile::new(path, file))
    }

    /// Creates it or empties it, for writing, as [`File::create`] does.
    ///
    /// # Errors
    /// Those of [`File::create`].
    pub fn create(path: impl Into<PathBuf>) -> io::Result<OpenFile> {
        let path = path.into();
        let file = File::create(&path)?;
        Ok(OpenFile::new(path, file))
    }

    /// Lets the cleanup wait until data and metadata are on the disk ([`File::sync_all`]), and tell if they can't be.
    pub fn synced(self) -> OpenFile {
        OpenFile { synced: true, ..self }
    }

    /// Where it is, as it was told.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Uses the file itself. A cleanup waits meanwhile.
    ///
    /// # Errors
    /// Those of `f`; and after the cleanup, that it is closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut File) -> io::Result<R>) -> io::Result<R> {
        self.file.with(f).unwrap_or_else(|| Err(closed(&self.label())))
    }

    /// The file itself. `None` after its cleanup.
    pub fn into_inner(self) -> Option<File> {
        self.file.take()
    }
}

impl Resource for OpenFile {
    const CATEGORY: Category = Category::File;

    /// The path.
    fn label(&self) -> Label {
        Label::from(self.path.display().to_string())
    }

    fn cleanup(&mut self) -> Cleanup {
        let (file, synced) = (self.file.clone(), self.synced);
        Cleanup::sync(move || match file.take() {
            Some(file) if synced => file.sync_all(),
            _ => Ok(()),
        })
    }
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|file| file.read(buffer))
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(File::flush)
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with(|file| file.seek(to))
    }
}
