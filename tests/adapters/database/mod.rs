//! SQLite always; PostgreSQL and Redis where Debian's packages are installed, and with CASTOFF_REQUIRE_SERVICES=1 in any
//! case.

mod connection_pool;
#[cfg(feature = "sqlx-postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(feature = "sqlx-postgres")]
mod server;
#[cfg(feature = "rusqlite")]
mod sqlite;
#[cfg(feature = "sqlx")]
mod sqlx_sqlite;
