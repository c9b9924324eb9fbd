//! The orders database: an SQLite file in the data directory, in write-ahead mode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::adapters::FileLock;
use castoff::{Category, ResourceGuard, ResourceManager};
use rusqlite::{Connection, OptionalExtension};

use crate::Result;
use crate::directory::DataDirectory;

pub(crate) const LABEL: &str = "orders database";

const SCHEMA: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT NOT NULL, checksum TEXT NOT NULL);
    CREATE TABLE ticks (id INTEGER PRIMARY KEY, orders INTEGER NOT NULL);
";

/// SQLite's own limit: the pages of log after which it copies them into the database file.
pub(crate) const USUAL_CHECKPOINT: u32 = 1000;

/// One connection for all threads, and none after [`Database::close`].
pub(crate) struct Database {
    file: PathBuf,
    connection: Mutex<Option<Connection>>,
}

pub(crate) fn open(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
    lock: &ResourceGuard<FileLock>,
) -> Result<ResourceGuard<Arc<Database>>> {
    let database = Database::create(&directory.path().join("orders.db"))?;
    let guard = manager
        .resource(LABEL)
        .named("orders-db")
        .category(Category::Database)
        .description(database.file.display().to_string())
        .depends_on(lock)
        .timeout(Duration::from_secs(5))
        .guard_value(database, Database::close)?;
    Ok(guard)
}

impl Database {
    fn create(file: &Path) -> Result<Database> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Database { file: file.to_owned(), connection: Mutex::new(Some(connection)) })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn insert_order(&self, text: &str, checksum: &str) -> Result<i64> {
        self.with(|connection| {
            connection.execute("INSERT INTO orders (text, checksum) VALUES (?1, ?2)", (text, checksum))?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// The text and the checksum of an order.
    pub(crate) fn order(&self, id: i64) -> Result<Option<(String, String)>> {
        self.with(|connection| {
            let query = "SELECT text, checksum FROM orders WHERE id = ?1";
            connection.query_row(query, [id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
    }

    /// Every order's text by its id.
    pub(crate) fn orders(&self) -> Result<BTreeMap<i64, String>> {
        self.with(|connection| {
            connection
                .prepare("SELECT id, text FROM orders")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    pub(crate) fn insert_tick(&self) -> Result<()> {
        self.with(|connection| {
            connection.execute("INSERT INTO ticks (orders) SELECT count(*) FROM orders", [])
        })?;
        Ok(())
    }

    pub(crate) fn ticks(&self) -> Result<i64> {
        self.with(|connection| connection.query_row("SELECT count(*) FROM ticks", [], |row| row.get(0)))
    }

    /// Copies the log into the database file whenever it has so many pages; 0 means never.
    pub(crate) fn checkpoint_every(&self, pages: u32) -> Result<()> {
        self.with(|connection| connection.pragma_update(None, "wal_autocheckpoint", pages))
    }

    /// The cleanup: brings the file up to date, then closes it, whether or not the first succeeded.
    fn close(&self) -> Result<()> {
        let connection = self.connection.lock().expect("no query panics").take();
        let connection = connection.ok_or("the database was closed twice")?;
        let checkpoint = checkpoint(&connection);
        connection.close().map_err(|(_, error)| error)?;
        checkpoint
    }

    fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock().expect("no query panics");
        let connection = connection.as_ref().ok_or("the database is closed")?;
        Ok(query(connection)?)
    }
}

fn checkpoint(connection: &Connection) -> Result<()> {
    connection.busy_timeout(Duration::from_millis(100))?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err("somebody still reads it, so its log could not be written back".into()) } else { Ok(()) }
}
