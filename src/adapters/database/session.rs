//! Connections of a pool that have something on them that their next user must not find.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Error, Executor, Pool};
use tokio::runtime::{Builder, Handle, Runtime};

use super::pool::{address, is_gone};
use crate::adapters::slot::{Borrowed, Gone, Slot};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// What a session of a database has been told, and is made to forget: a prepared statement, a temporary table, a setting,
/// what it listens to, a database that is attached.
///
/// A pool hands a connection to the next user as the one before has left it. This takes one out of its pool, tells it
/// what `set` says, and lends it. Its cleanup waits for who has it in hand, tells it what `undo` says, and gives it back
/// to the pool, which it depends on. If that fails, or is given up, the connection is closed: nothing outlives its session.
/// A session that is lost has nothing to undo, and neither has one of PostgreSQL whose prepared statement somebody has
/// deallocated; otherwise an `undo` should not fail when there is nothing to undo (`IF EXISTS`, `DEALLOCATE ALL`,
/// `UNLISTEN`, `RESET`).
///
/// Statements that sqlx prepares by itself need none of this: they belong to the connection, which keeps the last
/// hundred and closes them with itself.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::adapters::SessionState;
/// use castoff::{ResourceGuard, ResourceManager};
/// use sqlx::sqlite::SqlitePoolOptions;
///
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let (set, undo) = ("CREATE TEMP TABLE basket (text TEXT)", "DROP TABLE IF EXISTS temp.basket");
/// let basket = ResourceManager::new("shop").adopt(SessionState::set(&pool, "basket", set, undo).await?);
/// sqlx::query("INSERT INTO basket VALUES ('tea')").execute(&mut **basket.get().await?).await?;
///
/// ResourceGuard::close_async(basket).await?;
/// assert!(sqlx::query("SELECT * FROM basket").fetch_optional(&pool).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionState<DB: Database> {
    label: Label,
    undo: String,
    slot: Arc<Slot<Session<DB>>>,
}

impl<DB: Database> SessionState<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Takes a connection of the pool and has it execute `set`: one statement, or several.
    ///
    /// # Errors
    /// Those of the pool and the database. The connection is closed then.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the connection is closed.
    pub async fn set(
        pool: &Pool<DB>,
        what: impl Into<Label>,
        set: &str,
        undo: impl Into<String>,
    ) -> Result<SessionState<DB>, Error> {
        let mut session = Session::of(pool).await?;
        session.execute(sqlx::raw_sql(set)).await?;
        let label = Label::from(format!("{} in a session of {}", what.into(), address(pool)));
        Ok(SessionState { label, undo: undo.into(), slot: Arc::new(Slot::new(session)) })
    }

    /// The session, to be used; the connection for a query is `&mut **session`. Waits while somebody else has it.
    ///
    /// # Errors
    /// When it was cleaned up.
    ///
    /// # Cancel safety
    /// Nothing happens when this is dropped before it is done.
    pub async fn get(&self) -> Result<Borrowed<'_, Session<DB>>, Gone> {
        poll_fn(|cx| self.slot.poll_borrow(cx)).await
    }

    /// The connection itself, with whatever it was told. `None` after its cleanup.
    pub fn into_inner(self) -> Option<PoolConnection<DB>> {
        self.slot.close().map(Session::give_back)
    }
}

impl<DB: Database> Resource for SessionState<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (slot, undo) = (Arc::clone(&self.slot), self.undo.clone());
        Cleanup::future(move || async move {
            let Some(mut session) = poll_fn(|cx| slot.poll_close(cx)).await else { return Ok(()) };
            match session.execute(sqlx::raw_sql(&undo)).await {
                Ok(_) => drop(session.give_back()),
                Err(error) if is_gone(&error) => (),
                // PostgreSQL knows no prepared statement of this name.
                Err(Error::Database(error)) if error.code().as_deref() == Some("26000") => {
                    drop(session.give_back());
                }
                Err(error) => return Err(error),
            }
            Ok(())
        })
    }
}

impl<DB: Database> fmt::Debug for SessionState<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionState").field("label", &self.label).field("slot", &self.slot).finish()
    }
}

/// A connection that is closed, and not given back to its pool, unless its cleanup went well: whatever its session knows
/// must not go back with it.
pub struct Session<DB: Database>(Option<PoolConnection<DB>>);

const THERE: &str = "a session has its connection until it hands it on, which ends it";

impl<DB: Database> Session<DB> {
    pub(super) async fn of(pool: &Pool<DB>) -> Result<Session<DB>, Error> {
        Ok(Session(Some(pool.acquire().await?)))
    }

    /// What goes back to its pool when it is dropped.
    pub(super) fn give_back(mut self) -> PoolConnection<DB> {
        self.0.take().expect(THERE)
    }
}

impl<DB: Database> Deref for Session<DB> {
    type Target = DB::Connection;
    fn deref(&self) -> &DB::Connection {
        self.0.as_ref().expect(THERE)
    }
}

impl<DB: Database> DerefMut for Session<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect(THERE)
    }
}

impl<DB: Database> Drop for Session<DB> {
    fn drop(&mut self) {
        let Some(connection) = self.0.take() else { return };
        // A pool that keeps a minimum spawns a task now to fill it up again, and panics where there is no runtime: it gets
        // one that never runs it. The pool looks after its minimum again when the next connection comes back.
        let aside = Handle::try_current().is_err().then(|| Builder::new_current_thread().build());
        match aside.transpose() {
            Ok(aside) => {
                let _entered = aside.as_ref().map(Runtime::enter);
                drop(connection.detach());
            }
            // Without descriptors there is no runtime. The server keeps the session until the process ends.
            Err(_) => std::mem::forget(connection),
        }
    }
}

impl<DB: Database> fmt::Debug for Session<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
