//! Advisory locks of PostgreSQL.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Error, PgPool, Postgres};

use super::pool::is_gone;
use crate::adapters::slot::Slot;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// An advisory lock of PostgreSQL that a session holds: one connection of a pool, until the lock is given back.
///
/// Its cleanup unlocks it and gives the connection back to the pool, which it depends on. If that fails or is given up
/// the connection is closed, and the server unlocks what its session held. A connection that is lost holds no lock, and
/// one that somebody has unlocked by hand is no error.
///
/// # Examples
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), sqlx::Error> {
/// use castoff::ResourceManager;
/// use castoff::adapters::AdvisoryLock;
///
/// let migrating = ResourceManager::current().adopt(AdvisoryLock::acquire(&pool, 20_261_123).await?);
/// // Nobody else migrates now.
/// drop(migrating);
/// # Ok(())
/// # }
/// ```
pub struct AdvisoryLock {
    key: i64,
    slot: Arc<Slot<PoolConnection<Postgres>>>,
}

impl AdvisoryLock {
    /// Waits until nobody has it.
    ///
    /// # Errors
    /// Those of the pool and the database.
    pub async fn acquire(pool: &PgPool, key: i64) -> Result<AdvisoryLock, Error> {
        let mut connection = Session::of(pool).await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(connection.get()).await?;
        Ok(connection.hold(key))
    }

    /// `None` if somebody has it.
    ///
    /// # Errors
    /// Those of the pool and the database.
    pub async fn try_acquire(pool: &PgPool, key: i64) -> Result<Option<AdvisoryLock>, Error> {
        let mut connection = Session::of(pool).await?;
        let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)");
        let locked: bool = query.bind(key).fetch_one(connection.get()).await?;
        Ok(if locked { Some(connection.hold(key)) } else { connection.give_back() })
    }

    /// What is locked.
    pub fn key(&self) -> i64 {
        self.key
    }
}

impl Resource for AdvisoryLock {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        Label::from(format!("advisory lock {}", self.key))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (slot, key) = (Arc::clone(&self.slot), self.key);
        Cleanup::future(move || async move {
            let Some(connection) = poll_fn(|cx| slot.poll_close(cx)).await else { return Ok(()) };
            let mut session = Session(Some(connection));
            match sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(session.get()).await {
                Ok(_) => session.give_back::<()>(),
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(error),
            };
            Ok(())
        })
    }
}

/// A connection that is closed unless all went well: whatever it has locked must not go back to the pool with it.
struct Session(Option<PoolConnection<Postgres>>);

const THERE: &str = "a session has its connection until it hands it on, which ends it";

impl Session {
    async fn of(pool: &PgPool) -> Result<Session, Error> {
        Ok(Session(Some(pool.acquire().await?)))
    }

    fn get(&mut self) -> &mut sqlx::PgConnection {
        self.0.as_mut().expect(THERE)
    }

    fn hold(mut self, key: i64) -> AdvisoryLock {
        AdvisoryLock { key, slot: Arc::new(Slot::new(self.0.take().expect(THERE))) }
    }

    fn give_back<R>(mut self) -> Option<R> {
        drop(self.0.take());
        None
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl fmt::Debug for AdvisoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvisoryLock").field("key", &self.key).field("slot", &self.slot).finish()
    }
}
