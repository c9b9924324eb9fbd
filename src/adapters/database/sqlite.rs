//! Connections of rusqlite.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, InterruptHandle};

use crate::adapters::slot::{Borrowed, Gone, Slot};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A connection to an SQLite database, for one thread at a time. A clone is the same connection.
///
/// Its cleanup waits for who has it in hand, and closes it: a transaction that is open is rolled back, and the last
/// connection to a database in write-ahead mode writes its log back. In the last resort the query that runs is
/// interrupted; the connection is closed when it comes back.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::SqliteConnection;
/// use rusqlite::Connection;
///
/// let manager = ResourceManager::new("shop");
/// let connection = manager.adopt(SqliteConnection::new(Connection::open_in_memory()?));
/// connection.get()?.execute_batch("CREATE TABLE orders (text TEXT)")?;
/// assert!(manager.cleanup().is_success());
/// assert!(connection.get().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteConnection {
    label: Label,
    slot: Arc<Slot<Connection>>,
    interrupt: Arc<InterruptHandle>,
}

impl SqliteConnection {
    /// Takes the connection.
    pub fn new(connection: Connection) -> SqliteConnection {
        let file = connection.path().filter(|path| !path.is_empty()).unwrap_or("in memory");
        let label = Label::from(format!("sqlite connection {file}"));
        let interrupt = Arc::new(connection.get_interrupt_handle());
        SqliteConnection { label, slot: Arc::new(Slot::new(connection)), interrupt }
    }

    /// The connection, to be used; its cleanup waits until it is given back. Waits while another thread has it; a thread
    /// that has it already waits for itself.
    ///
    /// # Errors
    /// When it was closed.
    pub fn get(&self) -> Result<Borrowed<'_, Connection>, Gone> {
        self.slot.borrow()
    }

    /// The connection itself, for this and all clones: waits for who has it in hand. `None` after its cleanup.
    pub fn into_inner(self) -> Option<Connection> {
        self.slot.close()
    }
}

impl Resource for SqliteConnection {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (slot, interrupt) = (Arc::clone(&self.slot), Arc::clone(&self.interrupt));
        let close = Cleanup::sync(move || {
            let Some(connection) = slot.close() else { return Ok(()) };
            // An interrupt stays with a connection until its next statement, and would keep the log from being written
            // back.
            connection.execute_batch("SELECT 1").ok();
            connection.close().map_err(|(_, error)| error)
        });
        close.last_resort(move || interrupt.interrupt())
    }
}

impl fmt::Debug for SqliteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConnection").field("label", &self.label).field("slot", &self.slot).finish()
    }
}
