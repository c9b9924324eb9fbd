//! The interval timer: a thread that writes down the number of orders every few milliseconds.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};

use crate::Result;
use crate::database::Database;
use crate::threads;

const INTERVAL: Duration = Duration::from_millis(20);

pub(crate) fn start(
    manager: &ResourceManager,
    database: &ResourceGuard<Arc<Database>>,
) -> Result<ResourceGuard<()>> {
    let (running, stopped) = channel::<()>();
    let thread = threads::spawn("ticker", {
        let database = Arc::clone(database);
        move || {
            // The end of the channel is the signal to stop, and it is seen at once, not at the next tick.
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = database.insert_tick() {
                    eprintln!("ticker: {error}");
                }
            }
        }
    })?;
    let guard = manager
        .resource("ticker")
        .category(Category::Timer)
        .description(format!("every {INTERVAL:?}"))
        .depends_on(database)
        .timeout(Duration::from_secs(5))
        .guard(move || {
            drop(running);
            threads::join(thread);
        })?;
    Ok(guard)
}
