//! Open transactions of sqlx.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sqlx::{Database, Error, Pool, Transaction};

use super::pool::{address, is_gone};
use crate::adapters::slot::{Borrowed, Gone, Slot};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A transaction that is rolled back unless it was committed.
///
/// Its cleanup waits for who has it in hand, rolls it back, and gives the connection back to its pool, which it depends
/// on. A transaction that was committed, or whose connection is lost, has nothing left to roll back. Given up, it is
/// lent to nobody any more. There is no last resort: the database rolls back when the connection ends.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::ResourceManager;
/// use castoff::adapters::OpenTransaction;
/// use sqlx::sqlite::SqlitePoolOptions;
///
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// sqlx::query("CREATE TABLE orders (text TEXT)").execute(&pool).await?;
///
/// let manager = ResourceManager::new("shop");
/// let order = manager.adopt(OpenTransaction::begin(&pool).await?);
/// sqlx::query("INSERT INTO orders VALUES ('tea')").execute(&mut **order.get().await?).await?;
/// assert!(manager.teardown().run_async().await.is_success()); // the guard is still held
///
/// assert!(order.commit().await.is_err());
/// assert!(sqlx::query("SELECT * FROM orders").fetch_optional(&pool).await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OpenTransaction<DB: Database> {
    label: Label,
    slot: Arc<Slot<Transaction<'static, DB>>>,
}

/// Why a transaction was not committed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// It was committed before, or rolled back by its cleanup.
    #[error("cannot commit the {label}: it is over")]
    Over {
        /// Which transaction.
        label: Label,
    },
    /// The database refused, or did not answer: nothing is known of the outcome then.
    #[error("cannot commit the {label}")]
    Refused {
        /// Which transaction.
        label: Label,
        /// What sqlx said.
        source: Error,
    },
}

impl<DB: Database> OpenTransaction<DB> {
    /// Begins one.
    ///
    /// # Errors
    /// Those of the pool and the database.
    pub async fn begin(pool: &Pool<DB>) -> Result<OpenTransaction<DB>, Error> {
        let transaction = pool.begin().await?;
        Ok(OpenTransaction::new(format!("transaction in {}", address(pool)), transaction))
    }

    /// Takes one that has begun.
    pub fn new(label: impl Into<Label>, transaction: Transaction<'static, DB>) -> OpenTransaction<DB> {
        OpenTransaction { label: label.into(), slot: Arc::new(Slot::new(transaction)) }
    }

    /// The transaction, to be used; the connection for a query is `&mut **transaction`. Waits while somebody else has
    /// it.
    ///
    /// # Errors
    /// When it was committed or rolled back.
    ///
    /// # Cancel safety
    /// Nothing happens when this is dropped before it is done.
    pub async fn get(&self) -> Result<Borrowed<'_, Transaction<'static, DB>>, Gone> {
        poll_fn(|cx| self.slot.poll_borrow(cx)).await
    }

    /// Commits it. The cleanup has nothing left to do then.
    ///
    /// # Errors
    /// When it is over, or the database refuses.
    ///
    /// # Cancel safety
    /// Dropped while the database is at it, the transaction is committed or rolled back, and over.
    pub async fn commit(&self) -> Result<(), CommitError> {
        let label = || self.label.clone();
        let transaction = self.get().await.map_err(|Gone| CommitError::Over { label: label() })?.take();
        transaction.commit().await.map_err(|source| CommitError::Refused { label: label(), source })
    }

    /// The transaction itself, open. `None` when it was committed or rolled back.
    pub fn into_inner(self) -> Option<Transaction<'static, DB>> {
        self.slot.close()
    }
}

impl<DB: Database> Resource for OpenTransaction<DB> {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let slot = Arc::clone(&self.slot);
        Cleanup::future(move || async move {
            let Some(transaction) = poll_fn(|cx| slot.poll_close(cx)).await else { return Ok(()) };
            match transaction.rollback().await {
                Err(error) if is_gone(&error) => Ok(()),
                result => result,
            }
        })
    }
}

impl<DB: Database> fmt::Debug for OpenTransaction<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransaction").field("label", &self.label).field("slot", &self.slot).finish()
    }
}
