//! Databases: pools, transactions, connections and what they hold.

#[cfg(feature = "sqlx-postgres")]
mod advisory_lock;
mod connection_pool;
#[cfg(feature = "sqlx")]
mod pool;
#[cfg(feature = "redis")]
mod redis_connection;
#[cfg(feature = "sqlx-postgres")]
mod schema;
#[cfg(feature = "sqlx")]
mod session;
#[cfg(feature = "rusqlite")]
mod sqlite;
#[cfg(feature = "sqlx-postgres")]
mod temporary;
#[cfg(feature = "sqlx")]
mod transaction;

#[cfg(feature = "sqlx-postgres")]
pub use advisory_lock::AdvisoryLock;
pub use connection_pool::{ConnectionPool, StillLent};
#[cfg(feature = "redis")]
pub use redis_connection::RedisConnection;
#[cfg(feature = "sqlx-postgres")]
pub use schema::{SchemaInUse, TempSchema};
#[cfg(feature = "sqlx")]
pub use session::{Session, SessionState};
#[cfg(feature = "rusqlite")]
pub use sqlite::SqliteConnection;
#[cfg(feature = "sqlx-postgres")]
pub use temporary::TempDatabase;
#[cfg(feature = "sqlx")]
pub use transaction::{CommitError, OpenTransaction};
