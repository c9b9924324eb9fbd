//! The inventory: as the stocktaking, a cleanup that looks, when all has been written and nothing was removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use castoff::{Category, ResourceGuard, ResourceManager};
use rusqlite::{Connection, OpenFlags};

use crate::Result;
use crate::directory::DataDirectory;
use crate::office::{books, index, paper};

/// What is on disk when the office has closed its files.
pub(crate) struct Inventory {
    /// The number of orders in each report, as the summary has it.
    pub(crate) summary: Vec<u64>,
    /// The same, as the index has it.
    pub(crate) index: Vec<u64>,
    /// Lines of the bill: none, unless somebody has committed it.
    pub(crate) billed: u64,
}

pub(crate) fn arrange(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
) -> Result<ResourceGuard<Arc<OnceLock<Inventory>>>> {
    let path = directory.path().to_owned();
    let guard = manager
        .resource("inventory")
        .category(Category::File)
        .description("looks what the office has written")
        .depends_on(directory)
        .guard_value(OnceLock::new(), move |inventory| {
            inventory.set(Inventory::take(&path)?).map_err(|_| "the inventory was taken twice")?;
            castoff::done()
        })?;
    Ok(guard)
}

impl Inventory {
    fn take(directory: &Path) -> Result<Inventory> {
        let place = |name: &str| -> PathBuf { directory.join(name) };
        let books = Connection::open_with_flags(place(books::FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Inventory {
            summary: paper::orders_in(&fs::read_to_string(place(paper::FILE))?)?,
            index: index::orders_in(&fs::read(place(index::FILE))?),
            billed: books.query_row("SELECT count(*) FROM bill", [], |row| row.get::<_, u32>(0))?.into(),
        })
    }
}
