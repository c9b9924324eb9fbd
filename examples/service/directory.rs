//! The data directory: a type that knows its own cleanup. The service goes there, and a lock keeps others out.

use std::fs;
use std::path::{Path, PathBuf};

use castoff::adapters::{CurrentDirectory, FileLock};
use castoff::{Category, Cleanup, Label, Resource, ResourceGuard, ResourceManager};

use crate::Result;

/// A directory that is removed with everything in it.
pub(crate) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Resource for DataDirectory {
    const CATEGORY: Category = Category::File;

    fn label(&self) -> Label {
        "data directory".into()
    }

    fn cleanup(&mut self) -> Cleanup {
        let path = self.path.clone();
        Cleanup::sync(move || fs::remove_dir_all(path))
    }
}

pub(crate) fn create(manager: &ResourceManager) -> Result<ResourceGuard<DataDirectory>> {
    // tempfile finds a name that nobody else has; `keep` takes the removal out of its hands, so that the
    // directory stays until the last of those who use it has gone.
    let path = tempfile::Builder::new().prefix("orders-").tempdir()?.keep();
    Ok(manager.adopt(DataDirectory { path }))
}

/// What is dumped or named without a path belongs there. Before it can be removed the service has to have left.
pub(crate) fn enter(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
) -> Result<ResourceGuard<CurrentDirectory>> {
    let there = CurrentDirectory::change(directory.path())?;
    Ok(manager.resource("current directory").depends_on(directory).adopt(there)?)
}

/// Held until all that writes here has gone.
pub(crate) fn lock(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
) -> Result<ResourceGuard<FileLock>> {
    let path = directory.path().join("lock");
    #[cfg(target_os = "linux")]
    let lock = FileLock::try_exclusive(path)?.ok_or("another service has this directory")?;
    // Elsewhere it is just a file that is open.
    #[cfg(not(target_os = "linux"))]
    let lock = FileLock::new(&path, fs::File::create(&path)?);
    Ok(manager.resource("directory lock").depends_on(directory).adopt(lock)?)
}
