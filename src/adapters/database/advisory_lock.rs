//! Advisory locks of PostgreSQL.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Error, PgPool, Postgres};

use super::pool::is_gone;
use super::session::Session;
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
/// // Nobody else migrates now. (Not run: it needs a server.)
/// drop(migrating);
/// # Ok(())
/// # }
/// ```
pub struct AdvisoryLock {
    key: i64,
    slot: Arc<Slot<Session<Postgres>>>,
}

impl AdvisoryLock {
    /// Waits until nobody has it.
    ///
    /// # Errors
    /// Those of the pool and the database.
    pub async fn acquire(pool: &PgPool, key: i64) -> Result<AdvisoryLock, Error> {
        let mut session = Session::of(pool).await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut *session).await?;
        Ok(AdvisoryLock::held(key, session))
    }

    /// `None` if somebody has it.
    ///
    /// # Errors
    /// Those of the pool and the database.
    pub async fn try_acquire(pool: &PgPool, key: i64) -> Result<Option<AdvisoryLock>, Error> {
        let mut session = Session::of(pool).await?;
        let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)");
        let locked: bool = query.bind(key).fetch_one(&mut *session).await?;
        if locked {
            return Ok(Some(AdvisoryLock::held(key, session)));
        }
        drop(session.give_back());
        Ok(None)
    }

    fn held(key: i64, session: Session<Postgres>) -> AdvisoryLock {
        AdvisoryLock { key, slot: Arc::new(Slot::new(session)) }
    }

    /// What is locked.
    pub fn key(&self) -> i64 {
        self.key
    }

    /// The connection itself, with the lock. `None` after its cleanup.
    pub fn into_inner(self) -> Option<PoolConnection<Postgres>> {
        self.slot.close().map(Session::give_back)
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
            let Some(mut session) = poll_fn(|cx| slot.poll_close(cx)).await else { return Ok(()) };
            match sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut *session).await {
                Ok(_) => drop(session.give_back()),
                Err(error) if is_gone(&error) => (),
                Err(error) => return Err(error),
            }
            Ok(())
        })
    }
}

impl fmt::Debug for AdvisoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvisoryLock").field("key", &self.key).field("slot", &self.slot).finish()
    }
}
