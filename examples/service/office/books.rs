//! The books: the bill of the day, which is a transaction for as long as the day, and a sheet to calculate on, which only
//! one session knows.

use std::sync::{Arc, OnceLock};

use castoff::adapters::{OpenTransaction, SessionState};
use castoff::{ResourceGuard, ResourceManager};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool};

use crate::Result;
use crate::directory::DataDirectory;
use crate::office::inventory::Inventory;

pub(crate) const FILE: &str = "books.db";

const SCHEMA: &str = "CREATE TABLE bill (report INTEGER PRIMARY KEY, orders INTEGER NOT NULL)";
const WORKSHEET: &str = "CREATE TEMP TABLE worksheet (report INTEGER PRIMARY KEY, orders INTEGER NOT NULL)";

pub(crate) struct Books {
    _pool: ResourceGuard<SqlitePool>,
    worksheet: ResourceGuard<SessionState<Sqlite>>,
    bill: ResourceGuard<OpenTransaction<Sqlite>>,
}

impl Books {
    pub(crate) async fn open(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        inventory: &ResourceGuard<Arc<OnceLock<Inventory>>>,
    ) -> Result<Books> {
        let options =
            SqliteConnectOptions::new().filename(directory.path().join(FILE)).create_if_missing(true);
        // One for each of the two.
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        let pool = manager.resource("books").depends_on(inventory).adopt(pool)?;
        // The connection goes back to the pool without it, or not at all.
        let worksheet =
            SessionState::set(&pool, "worksheet", WORKSHEET, "DROP TABLE IF EXISTS temp.worksheet").await?;
        let worksheet = manager.resource("worksheet").depends_on(&pool).adopt(worksheet)?;
        // Closing time is its `commit`. A service that ends before that has billed nobody.
        let bill = OpenTransaction::begin(&pool).await?;
        let bill = manager.resource("open bill").depends_on(&pool).adopt(bill)?;
        Ok(Books { _pool: pool, worksheet, bill })
    }

    /// Enters a report, and tells how many orders are new in it.
    pub(crate) async fn enter(&self, report: u64, orders: u64) -> Result<i64> {
        let (report, orders) = (i64::try_from(report)?, i64::try_from(orders)?);
        let mut session = self.worksheet.get().await?;
        let query = sqlx::query_scalar("SELECT coalesce(max(orders), 0) FROM worksheet");
        let before: i64 = query.fetch_one(&mut **session).await?;
        let note = sqlx::query("INSERT INTO worksheet VALUES (?1, ?2)").bind(report).bind(orders);
        note.execute(&mut **session).await?;
        let line = sqlx::query("INSERT INTO bill VALUES (?1, ?2)").bind(report).bind(orders - before);
        line.execute(&mut **self.bill.get().await?).await?;
        Ok(orders - before)
    }

    /// Lines that the bill has so far.
    pub(crate) async fn lines(&self) -> Result<i64> {
        let query = sqlx::query_scalar("SELECT count(*) FROM bill");
        Ok(query.fetch_one(&mut **self.bill.get().await?).await?)
    }
}
