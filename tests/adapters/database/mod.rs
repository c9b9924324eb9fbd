//! SQLite always; PostgreSQL where Debian's package is installed, and with CASTOFF_REQUIRE_SERVICES=1 in any case.

#[cfg(feature = "sqlx-postgres")]
mod postgres;
#[cfg(feature = "sqlx-postgres")]
mod server;
#[cfg(feature = "rusqlite")]
mod sqlite;
#[cfg(feature = "sqlx")]
mod sqlx_sqlite;
