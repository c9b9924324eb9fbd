//! The directory that relative paths start from.

use std::env;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// The current directory, changed now and changed back by the cleanup.
///
/// It belongs to the whole process, so a test that changes it needs a process of its own, as under nextest. The cleanup
/// goes back to the very directory that was current (Unix: by device and inode): if that is gone, or its path leads to
/// another one now, it fails and changes nothing.
///
/// Its category is `Custom("state")`; it has no last resort.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::CurrentDirectory;
///
/// let before = std::env::current_dir()?;
/// let there = ResourceManager::new("build").adopt(CurrentDirectory::change("/")?);
/// assert_eq!(std::env::current_dir()?, std::path::Path::new("/"));
/// drop(there);
/// assert_eq!(std::env::current_dir()?, before);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "only a cleanup changes it back: adopt it"]
pub struct CurrentDirectory {
    before: PathBuf,
    identity: Identity,
    now: PathBuf,
}

#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {}

impl CurrentDirectory {
    /// Changes to this directory, and keeps which was current.
    ///
    /// # Errors
    /// If the one that is current has no path any more, or the new one can't be entered.
    pub fn change(to: impl Into<PathBuf>) -> io::Result<CurrentDirectory> {
        let (before, now) = (env::current_dir()?, to.into());
        let identity = identity(&before.metadata()?);
        env::set_current_dir(&now)?;
        Ok(CurrentDirectory { before, identity, now })
    }

    /// The directory that was current before.
    pub fn before(&self) -> &Path {
        &self.before
    }
}

impl Resource for CurrentDirectory {
    const CATEGORY: Category = Category::Custom("state");

    /// `current directory` and the path that was changed to.
    fn label(&self) -> Label {
        Label::from(format!("current directory {}", self.now.display()))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (before, was) = (self.before.clone(), self.identity);
        Cleanup::sync(move || change_back(&before, was))
    }
}

fn change_back(before: &Path, was: Identity) -> io::Result<()> {
    if identity(&before.metadata()?) == was {
        return env::set_current_dir(before);
    }
    let path = before.display();
    Err(io::Error::other(format!("`{path}` is another directory than the one to go back to")))
}
