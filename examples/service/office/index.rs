//! The index: a file with a number for each report, mapped into memory. The map is flushed and unmapped first, and then
//! the file synced and closed.

// Mapping a file is unsafe in memmap2: what the map is of can change under its readers.
#![allow(unsafe_code)]

use std::fs::File;
use std::sync::{Arc, OnceLock};

use castoff::adapters::{MemoryMap, OpenFile};
use castoff::{ResourceGuard, ResourceManager};
use memmap2::MmapMut;

use crate::Result;
use crate::directory::DataDirectory;
use crate::office::inventory::Inventory;

pub(crate) const FILE: &str = "index";

const ENTRY: usize = size_of::<u64>();
/// What there is place for.
const REPORTS: usize = 512;

pub(crate) struct Index {
    _file: ResourceGuard<OpenFile>,
    map: ResourceGuard<MemoryMap>,
}

impl Index {
    pub(crate) fn map(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        inventory: &ResourceGuard<Arc<OnceLock<Inventory>>>,
    ) -> Result<Index> {
        let path = directory.path().join(FILE);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        file.set_len((REPORTS * ENTRY) as u64)?;
        let file = OpenFile::new(path, file).synced();
        let file = manager.resource("index file").depends_on(inventory).adopt(file)?;
        // SAFETY: the file is new, and in a directory that is locked for this process, in which nobody else opens it but the
        // inventory. That looks when the map, which needs it by way of the file, is gone.
        let map = file.with(|file| unsafe { MmapMut::map_mut(&*file) })?;
        let map = MemoryMap::new("map of the index", map);
        let map = manager.resource("map of the index").depends_on(&file).adopt(map)?;
        Ok(Index { _file: file, map })
    }

    /// Notes how many orders this report tells of.
    pub(crate) fn note(&self, report: u64, orders: u64) -> Result<()> {
        let place = usize::try_from(report - 1)? * ENTRY;
        let noted = self.map.with(|bytes| {
            bytes.get_mut(place..place + ENTRY).map(|entry| entry.copy_from_slice(&orders.to_le_bytes()))
        })?;
        noted.ok_or_else(|| "the index is full".into())
    }
}

/// The entries that were made.
pub(crate) fn orders_in(file: &[u8]) -> Vec<u64> {
    let entries = file.as_chunks::<ENTRY>().0.iter().map(|entry| u64::from_le_bytes(*entry));
    entries.take_while(|orders| *orders != 0).collect()
}
