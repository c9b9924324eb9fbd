//! What the office looks at: the orders, over a pool of connections that anybody in the house can borrow from, and the
//! parcels, over a connection that the clerks share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use castoff::adapters::{ConnectionPool, SqliteConnection};
use castoff::{ResourceGuard, ResourceManager};
use r2d2::{ManageConnection, Pool};
use rusqlite::{Connection, OpenFlags};

use crate::Result;
use crate::database::Database;
use crate::directory::DataDirectory;
use crate::tracking::{self, Tracking};

const CONNECTIONS: u32 = 2;

pub(crate) struct Reading {
    room: ResourceGuard<ConnectionPool<Pool<Orders>>>,
    pub(crate) view: ResourceGuard<SqliteConnection>,
}

impl Reading {
    pub(crate) fn open(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        database: &ResourceGuard<Arc<Database>>,
        tracking: &Tracking,
    ) -> Result<Reading> {
        // With a limit for the age of a connection the pool's threads would end half a minute after it.
        let room = Pool::builder().max_size(CONNECTIONS).max_lifetime(None).idle_timeout(None);
        let room = ConnectionPool::from(room.build(Orders(database.file().to_owned()))?);
        let room = manager.resource("reading room").depends_on(database).adopt(room)?;
        let view = SqliteConnection::new(read_only(&tracking::pool::file(directory))?);
        let view = manager.resource("view of parcels").depends_on(&tracking.pool).adopt(view)?;
        Ok(Reading { room, view })
    }

    /// Waits for a connection if all are out. The handle goes at once, and the connection comes back at the end.
    pub(crate) fn orders(&self) -> Result<u64> {
        count(&*self.room.handle()?.get()?, "SELECT count(*) FROM orders")
    }
}

pub(crate) fn parcels(view: &SqliteConnection) -> Result<u64> {
    count(&*view.get()?, "SELECT count(*) FROM parcels")
}

/// How r2d2 connects to a database of orders.
struct Orders(PathBuf);

impl ManageConnection for Orders {
    type Connection = Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Connection> {
        read_only(&self.0)
    }

    fn is_valid(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.execute_batch("SELECT 1")
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

fn read_only(file: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn count(connection: &Connection, query: &str) -> Result<u64> {
    Ok(connection.query_row(query, [], |row| row.get::<_, u32>(0))?.into())
}
