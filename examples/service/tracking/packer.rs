//! The packer: a task that hears of every stored order, and makes a parcel of it. The threads of the other half
//! feed it, so they are cleaned first.

use std::sync::Arc;
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};
use sqlx::SqlitePool;
use tokio::sync::broadcast::Sender;
use tokio::sync::mpsc::unbounded_channel;

use crate::Result;
use crate::audit::Feed;
use crate::tracking::tally::Tally;
use crate::tracking::{Update, background};

pub(crate) fn start(
    manager: &ResourceManager,
    feed: &Arc<Feed>,
    pool: &ResourceGuard<Arc<SqlitePool>>,
    tally: &ResourceGuard<Arc<Tally>>,
    updates: Sender<Update>,
) -> Result<ResourceGuard<()>> {
    let (sender, mut orders) = unbounded_channel();
    feed.subscribe("packer", move |id| {
        let _ = sender.send(id);
    });
    let registration = manager
        .resource("packer")
        .category(Category::Event)
        .description("makes a parcel of every order")
        .depends_on(tally)
        .depends_on(pool)
        .timeout(Duration::from_secs(5));
    let (feed, pool) = (Arc::clone(feed), Arc::clone(pool));
    background::start(
        registration,
        |stop| async move {
            loop {
                let order = tokio::select! {
                    order = orders.recv() => order,
                    () = stop.cancelled() => break,
                };
                if let Some(id) = order {
                    pack(&pool, &updates, id).await;
                }
            }
            feed.unsubscribe("packer");
            // The workers have ended before this was asked to: what has come by now is all.
            while let Ok(id) = orders.try_recv() {
                pack(&pool, &updates, id).await;
            }
        },
        |_| (),
    )
}

async fn pack(pool: &SqlitePool, updates: &Sender<Update>, id: i64) {
    match sqlx::query("INSERT INTO parcels (id) VALUES (?1)").bind(id).execute(pool).await {
        // An error would only say that nobody listens.
        Ok(_) => drop(updates.send(Update::Parcel)),
        Err(error) => eprintln!("packer: {error}"),
    }
}
