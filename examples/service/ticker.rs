//! The interval timer: writes down the number of orders every few milliseconds.

use std::sync::Arc;
use std::time::Duration;

use castoff::adapters::Timer;
use castoff::{ResourceGuard, ResourceManager};

use crate::Result;
use crate::database::Database;

const INTERVAL: Duration = Duration::from_millis(20);

pub(crate) fn start(
    manager: &ResourceManager,
    database: &ResourceGuard<Arc<Database>>,
) -> Result<ResourceGuard<Timer>> {
    let there = Arc::clone(database);
    let ticker = Timer::every(INTERVAL, move |_| {
        if let Err(error) = there.insert_tick() {
            eprintln!("ticker: {error}");
        }
    })?;
    let guard = manager
        .resource("ticker")
        .description(format!("every {INTERVAL:?}"))
        .depends_on(database)
        .timeout(Duration::from_secs(5))
        .adopt(ticker)?;
    Ok(guard)
}
