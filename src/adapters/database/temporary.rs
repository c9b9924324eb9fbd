//! Databases of PostgreSQL that live for a test.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error};

use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A database of PostgreSQL's, 13 or newer, of a name that nobody else uses; dropped in the end, with the sessions that
/// are still in it.
///
/// Its cleanup connects anew, on castoff's own runtime: it needs nothing of the program's. A database that was dropped
/// already, or another that has its name by now, is left alone. There is no last resort: it is the server that drops.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use castoff::ResourceManager;
/// use castoff::adapters::TempDatabase;
///
/// let manager = ResourceManager::current();
/// let server = "postgres://tester@localhost/postgres".parse()?; // not run: it needs a server
/// let database = manager.adopt(TempDatabase::create(server, "orders").await?);
/// let pool = sqlx::PgPool::connect_with(database.options()).await?;
/// let pool = manager.resource("pool").depends_on(&database).adopt(pool)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nobody drops the database unless it is adopted"]
pub struct TempDatabase {
    name: String,
    oid: Oid,
    server: PgConnectOptions,
}

impl TempDatabase {
    /// Creates one, connected to the server as these options say. Its name is this prefix, cut to 24 characters, and a
    /// number.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn create(server: PgConnectOptions, prefix: &str) -> Result<TempDatabase, Error> {
        let name = unique(prefix);
        let mut connection = server.connect().await?;
        sqlx::query(&format!("CREATE DATABASE {}", quoted(&name))).execute(&mut connection).await?;
        let oid = oid_of(&mut connection, &name).await?.ok_or(Error::RowNotFound)?;
        connection.close().await?;
        Ok(TempDatabase { name, oid, server })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }
}

impl Resource for TempDatabase {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        Label::from(format!("temporary database {}", self.name))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (server, name, oid) = (self.server.clone(), self.name.clone(), self.oid);
        Cleanup::future(move || async move {
            let mut connection = server.connect().await?;
            if oid_of(&mut connection, &name).await? == Some(oid) {
                let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&name));
                sqlx::query(&drop).execute(&mut connection).await?;
            }
            connection.close().await
        })
    }
}

async fn oid_of(connection: &mut PgConnection, name: &str) -> Result<Option<Oid>, Error> {
    let query = sqlx::query_scalar("SELECT oid FROM pg_database WHERE datname = $1");
    query.bind(name).fetch_optional(connection).await
}

/// By process, moment and turn: two test suites on one server must not meet.
pub(super) fn unique(prefix: &str) -> String {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let prefix: String = prefix.chars().take(24).collect();
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!("{prefix}_{}_{moment:x}_{}", process::id(), TURN.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_short_enough_and_quoted() {
        let (one, two) = (unique(&"x".repeat(100)), unique("x"));
        assert_ne!(one, two);
        assert!(one.len() <= 63, "PostgreSQL cuts {one:?}");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
