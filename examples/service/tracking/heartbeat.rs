//! The heartbeat: a task that writes a row every few milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};
use sqlx::SqlitePool;
use tokio::task::AbortHandle;

use crate::Result;
use crate::tracking::background;

const INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Heartbeat {
    /// How many rows were written.
    pub(crate) written: Arc<AtomicU64>,
    pub(crate) task: AbortHandle,
}

pub(crate) fn start(
    manager: &ResourceManager,
    pool: &ResourceGuard<SqlitePool>,
) -> Result<ResourceGuard<Heartbeat>> {
    let registration = manager
        .resource("heartbeat")
        .category(Category::Timer)
        .description(format!("every {INTERVAL:?}"))
        .depends_on(pool)
        .timeout(Duration::from_secs(5));
    let written = Arc::new(AtomicU64::new(0));
    let (pool, rows) = (SqlitePool::clone(pool), Arc::clone(&written));
    background::start(
        registration,
        |stop| async move {
            let mut interval = tokio::time::interval(INTERVAL);
            loop {
                tokio::select! {
                    _ = interval.tick() => {}
                    () = stop.cancelled() => break,
                }
                // Outside of the `select!`: a row that is being written is finished.
                let row = sqlx::query("INSERT INTO heartbeats DEFAULT VALUES").execute(&pool).await;
                row.unwrap_or_else(|error| panic!("the heartbeat can't be written: {error}"));
                rows.fetch_add(1, Ordering::SeqCst);
            }
        },
        |task| Heartbeat { written, task },
    )
}
