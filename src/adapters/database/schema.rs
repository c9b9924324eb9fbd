//! Schemas of PostgreSQL that live for a test.

use std::error::Error;
use std::time::Duration;

use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use super::temporary::{quoted, unique};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

const GRACE: Duration = Duration::from_secs(5);
/// How long a session that was told to end may keep its locks.
const ENDED: Duration = Duration::from_secs(2);

/// A schema of a name that nobody else uses in a database of PostgreSQL's; dropped in the end with all that is in it.
///
/// It is made and dropped faster than a [`TempDatabase`](super::TempDatabase), and needs no right to create databases.
/// What names no schema is in this one for who connects by [`options`](TempSchema::options); what names another is not
/// kept apart, and neither are extensions, roles and advisory locks.
///
/// Its cleanup connects anew, on castoff's own runtime. Who has an open transaction on what is in the schema keeps it from
/// being dropped: after the grace (5 s) the cleanup ends these sessions, drops it, and fails with [`SchemaInUse`], so let
/// the pool depend on the schema. A schema that was dropped already, or another that has its name by now, is left alone.
/// There is no last resort: it is the server that drops. What was given up while it waited it still does, within the grace.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use castoff::ResourceManager;
/// use castoff::adapters::TempSchema;
///
/// let manager = ResourceManager::current();
/// let database = "postgres://tester@localhost/shop".parse()?; // not run: it needs a server
/// let schema = manager.adopt(TempSchema::create(database, "orders").await?);
/// let pool = sqlx::PgPool::connect_with(schema.options()).await?;
/// let pool = manager.resource("pool").depends_on(&schema).adopt(pool)?;
/// sqlx::query("CREATE TABLE orders (text TEXT)").execute(&*pool).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nobody drops the schema unless it is adopted"]
pub struct TempSchema {
    name: String,
    oid: Oid,
    database: PgConnectOptions,
    grace: Duration,
}

impl TempSchema {
    /// Creates one in the database that these options name. Its name is this prefix, cut to 24 characters, and a number.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn create(database: PgConnectOptions, prefix: &str) -> Result<TempSchema, sqlx::Error> {
        let name = unique(prefix);
        let mut connection = database.connect().await?;
        sqlx::query(&format!("CREATE SCHEMA {}", quoted(&name))).execute(&mut connection).await?;
        let oid = oid_of(&mut connection, &name).await?.ok_or(sqlx::Error::RowNotFound)?;
        connection.close().await?;
        Ok(TempSchema { name, oid, database, grace: GRACE })
    }

    /// How long the cleanup waits for open transactions: 5 s unless set, and no less than a millisecond.
    pub fn grace(self, grace: Duration) -> TempSchema {
        TempSchema { grace, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect with this schema alone on the search path.
    pub fn options(&self) -> PgConnectOptions {
        self.database.clone().options([("search_path", as_option(&quoted(&self.name)))])
    }
}

impl Resource for TempSchema {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        Label::from(format!("temporary schema {}", self.name))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (label, database, grace) = (self.label(), self.database.clone(), self.grace);
        let (name, oid) = (self.name.clone(), self.oid);
        Cleanup::future(move || async move {
            let mut connection = database.connect().await?;
            let dropped = drop_schema(&mut connection, &name, oid, grace).await?;
            connection.close().await?;
            match dropped {
                0 => Ok(()),
                sessions => Err(Box::<dyn Error + Send + Sync>::from(SchemaInUse { label, sessions, grace })),
            }
        })
    }
}

/// Why the cleanup of a [`TempSchema`] failed: others still used it. It was dropped all the same.
///
/// # Examples
/// ```no_run
/// # fn example(schema: castoff::ResourceGuard<castoff::adapters::TempSchema>) {
/// use castoff::adapters::SchemaInUse;
/// use castoff::{CleanupErrorKind, ResourceGuard};
///
/// // Not run: it needs a server.
/// let Err(error) = ResourceGuard::close(schema) else { return };
/// if let CleanupErrorKind::Failed(cause) = error.kind
///     && let Some(SchemaInUse { sessions, .. }) = cause.downcast_ref()
/// {
///     println!("{sessions} transactions were still open");
/// }
/// # }
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[error(
    "{sessions} sessions still had `{label}` in use after {grace:.1?}, and were ended; let who uses it depend on it, or give \
     it a longer `grace`"
)]
#[non_exhaustive]
pub struct SchemaInUse {
    /// Which schema.
    pub label: Label,
    /// How many sessions were ended.
    pub sessions: u64,
    /// How long they had.
    pub grace: Duration,
}

/// Drops it if it still is the one of this number. How many sessions had to be ended for that.
async fn drop_schema(
    connection: &mut PgConnection,
    name: &str,
    oid: Oid,
    grace: Duration,
) -> Result<u64, sqlx::Error> {
    if oid_of(connection, name).await? != Some(oid) {
        return Ok(0);
    }
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(name));
    match within(connection, grace, &drop).await {
        Err(error) if is_locked(&error) => (),
        result => return result.map(|()| 0),
    }
    let ended = sqlx::query_scalar::<_, i64>(END_USERS).bind(oid).fetch_one(&mut *connection).await?;
    within(connection, ENDED, &drop).await?;
    Ok(ended.unsigned_abs())
}

/// Ends the sessions of this database that have a lock on a relation in the schema, but for the one that asks.
const END_USERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM (
    SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE c.relnamespace = $1 AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
) users";

/// Executes it; an error if locks hold it up for longer.
async fn within(connection: &mut PgConnection, limit: Duration, query: &str) -> Result<(), sqlx::Error> {
    // Zero is no limit at all.
    let limit = limit.as_millis().clamp(1, i32::MAX as u128);
    let set = format!("SET lock_timeout = {limit}; SET client_min_messages = warning");
    connection.execute(&*set).await?;
    // Who asked may give up meanwhile. The server drops all the same if it has nothing to say before it commits: no notice,
    // and no answer of its own, as it would have for what is prepared.
    connection.execute(query).await.map(drop)
}

fn is_locked(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("55P03"))
}

async fn oid_of(connection: &mut PgConnection, name: &str) -> Result<Option<Oid>, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT oid FROM pg_namespace WHERE nspname = $1");
    query.bind(name).fetch_optional(connection).await
}

/// As the server reads options: parted by white space, unless that has a backslash before it.
fn as_option(value: &str) -> String {
    let escaped = |c: char| (c.is_whitespace() || c == '\\').then_some('\\').into_iter().chain([c]);
    value.chars().flat_map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_keeps_its_spaces_and_backslashes() {
        assert_eq!(as_option("\"or ders\\1\""), "\"or\\ ders\\\\1\"");
    }
}
