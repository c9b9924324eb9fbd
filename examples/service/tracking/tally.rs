//! The tally: a task that subscribes to the broadcast of updates, and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};
use tokio::sync::broadcast::Receiver;

use crate::Result;
use crate::tracking::{Update, background};

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

pub(crate) fn start(
    manager: &ResourceManager,
    mut updates: Receiver<Update>,
) -> Result<ResourceGuard<Arc<Tally>>> {
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    let registration = manager
        .resource("tally")
        .category(Category::Event)
        .description("hears of every parcel and scan")
        .timeout(Duration::from_secs(5));
    background::start(
        registration,
        |stop| async move {
            loop {
                let update = tokio::select! {
                    update = updates.recv() => update,
                    () = stop.cancelled() => break,
                };
                // What it misses by lagging behind, the proof at the end finds missing.
                let Ok(update) = update else { continue };
                counted.count(update);
            }
            // Who sends updates has ended before this was asked to: what has come by now is all.
            while let Ok(update) = updates.try_recv() {
                counted.count(update);
            }
        },
        |_| tally,
    )
}
