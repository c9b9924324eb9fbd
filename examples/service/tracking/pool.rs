//! The tracking pool: connections to an SQLite file in the data directory, for whoever runs on tokio.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::Result;
use crate::directory::DataDirectory;
use crate::tracking::stocktaking::Stock;

const CONNECTIONS: u32 = 4;

const SCHEMA: &str = "
    CREATE TABLE parcels (id INTEGER PRIMARY KEY, seal TEXT NOT NULL);
    CREATE TABLE scans (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE heartbeats (id INTEGER PRIMARY KEY);
";

pub(crate) fn file(directory: &DataDirectory) -> PathBuf {
    directory.path().join("tracking.db")
}

pub(crate) async fn open(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
    stock: &ResourceGuard<Arc<OnceLock<Stock>>>,
) -> Result<ResourceGuard<SqlitePool>> {
    let options = SqliteConnectOptions::new()
        .filename(file(directory))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    let guard = manager
        .resource("tracking pool")
        .description(format!("up to {CONNECTIONS} connections to {}", file(directory).display()))
        .depends_on(stock)
        .timeout(Duration::from_secs(5))
        // It waits until every connection has come back, so it must not run before those who hold one have
        // ended.
        .adopt(pool)?;
    Ok(guard)
}
