//! A file that is mapped into memory.

use std::io;

use memmap2::MmapMut;

use crate::adapters::held::{Held, closed};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A writable memory map: the cleanup writes what was changed to the file, tells if that fails, and unmaps it.
///
/// Unmapping alone leaves the changes to the kernel, which writes them when it likes and tells nobody of an error. The
/// bytes are used through [`with`](MemoryMap::with), as a map that a teardown has unmapped is there no more.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::MemoryMap;
///
/// let manager = ResourceManager::new("index");
/// // Of a file: `unsafe { MmapMut::map_mut(&file) }`, with memmap2's conditions.
/// let map = manager.adopt(MemoryMap::new("index", memmap2::MmapMut::map_anon(4096)?));
/// map.with(|bytes| bytes[0] = 7)?;
///
/// assert!(manager.cleanup().is_success());
/// assert!(map.with(|bytes| bytes[0]).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryMap {
    label: Label,
    map: Held<MmapMut>,
}

impl MemoryMap {
    /// Takes a map, and what people call it.
    pub fn new(label: impl Into<Label>, map: MmapMut) -> MemoryMap {
        MemoryMap { label: label.into(), map: Held::new(map) }
    }

    /// Uses the bytes. A cleanup waits meanwhile.
    ///
    /// # Errors
    /// After the cleanup, that it is closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> io::Result<R> {
        self.map.with(|map| f(map)).ok_or_else(|| closed(&self.label))
    }

    /// The map itself. `None` after its cleanup.
    pub fn into_inner(self) -> Option<MmapMut> {
        self.map.take()
    }
}

impl Resource for MemoryMap {
    const CATEGORY: Category = Category::File;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let map = self.map.clone();
        Cleanup::sync(move || map.take().map_or(Ok(()), |map| map.flush()))
    }
}
