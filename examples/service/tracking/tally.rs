//! The tally: a task that subscribes to the broadcast of updates, and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use castoff::adapters::Task;
use castoff::{ResourceGuard, ResourceManager};
use tokio::sync::broadcast::Receiver;

use crate::Result;
use crate::tracking::Update;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) parcels: AtomicU64,
    pub(crate) scans: AtomicU64,
}

impl Tally {
    fn count(&self, update: Update) {
        match update {
            Update::Parcel => self.parcels.fetch_add(1, Ordering::SeqCst),
            Update::Scan => self.scans.fetch_add(1, Ordering::SeqCst),
        };
    }
}

/// The guard of the task, and what it counts.
pub(crate) fn start(
    manager: &ResourceManager,
    mut updates: Receiver<Update>,
) -> Result<(ResourceGuard<Task>, Arc<Tally>)> {
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    // A listener of castoff's would leave what is still in the channel; this has to hear of all.
    let task = Task::spawn("tally", |stop| async move {
        while let Some(update) = stop.run_until_cancelled(updates.recv()).await {
            // What it misses by lagging behind, the proof at the end finds missing.
            let Ok(update) = update else { continue };
            counted.count(update);
        }
        // Who sends updates has ended before this was asked to: what has come by now is all.
        while let Ok(update) = updates.try_recv() {
            counted.count(update);
        }
    });
    let guard = manager
        .resource("tally")
        .description("hears of every parcel and scan")
        .timeout(Duration::from_secs(5))
        .adopt(task)?;
    Ok((guard, tally))
}
