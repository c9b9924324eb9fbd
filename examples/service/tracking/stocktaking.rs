//! The stocktaking: a cleanup whose only job is to look, at the one moment when everything has been written and
//! nothing has been removed. It depends on the directory, and the pool and the log depend on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};
use rusqlite::{Connection, OpenFlags};

use crate::Result;
use crate::directory::DataDirectory;
use crate::tracking::{log, pool};

/// What is on disk when the pool and the log have been closed.
pub(crate) struct Stock {
    pub(crate) parcels: BTreeMap<i64, String>,
    pub(crate) scans: BTreeMap<i64, String>,
    pub(crate) heartbeats: u64,
    /// Lines of the request log.
    pub(crate) logged: usize,
}

pub(crate) fn arrange(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
) -> Result<ResourceGuard<Arc<OnceLock<Stock>>>> {
    let (file, log) = (pool::file(directory), log::file(directory));
    let guard = manager
        .resource("stocktaking")
        .category(Category::File)
        .description("reads what is on disk when all has been written")
        .depends_on(directory)
        .timeout(Duration::from_secs(5))
        .guard_value(OnceLock::new(), move |stock| {
            let found = Stock::read(&file, &log)?;
            stock.set(found).map_err(|_| "the stock was taken twice")?;
            castoff::done()
        })?;
    Ok(guard)
}

impl Stock {
    /// Not through the pool, and by another library: what this finds is in the file.
    fn read(file: &Path, log: &Path) -> Result<Stock> {
        let file = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Stock {
            parcels: file
                .prepare("SELECT id, seal FROM parcels")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?,
            scans: file
                .prepare("SELECT id, text FROM scans")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?,
            heartbeats: file
                .query_row("SELECT count(*) FROM heartbeats", [], |row| row.get::<_, u32>(0))?
                .into(),
            logged: std::fs::read_to_string(log)?.lines().count(),
        })
    }
}
