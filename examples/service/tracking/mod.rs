//! The asynchronous half of the service: every order becomes a parcel, and is scanned on its way.
//!
//! It runs on tokio, in the same process and the same manager as the threads: one plan, one teardown, one
//! report for both. Its parts depend on parts of the other half, and the other way round.
//!
//! ```text
//! courier (a WebSocket client)
//!   └─> tracking server (axum: HTTP and WebSocket)
//!         ├─> tally (hears of every parcel and scan)
//!         └─> tracking pool (sqlx, SQLite)
//!               └─> stocktaking ─> data directory
//! workers 1 to 4 ─> packer (a parcel for every order) ─> tally, tracking pool
//! heartbeat (an interval) ─> tracking pool
//! ```

pub(crate) mod faults;
pub(crate) mod proof;
pub(crate) mod traffic;

mod background;
mod courier;
mod heartbeat;
mod lines;
mod packer;
mod pool;
mod routes;
mod server;
mod stocktaking;
mod tally;

use std::sync::{Arc, OnceLock};

use castoff::{ResourceGuard, ResourceId, ResourceManager};
use sqlx::SqlitePool;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;

use crate::Result;
use crate::audit::Feed;
use crate::directory::DataDirectory;

use courier::Courier;
use heartbeat::Heartbeat;
use server::Server;
use stocktaking::Stock;
use tally::Tally;
use traffic::Scans;

/// Who needs whom, as in [`crate::stack::NEEDS`].
pub(crate) const NEEDS: [(&str, &str); 9] = [
    ("courier", "tracking server"),
    ("tracking server", "tally"),
    ("tracking server", "tracking pool"),
    ("worker", "packer"),
    ("packer", "tally"),
    ("packer", "tracking pool"),
    ("heartbeat", "tracking pool"),
    ("tracking pool", "stocktaking"),
    ("stocktaking", "data directory"),
];

/// Updates that a slow subscriber may lag behind before it misses some: more than there ever are.
const UPDATES: usize = 4096;

/// What an update tells: one more of these has been stored.
#[derive(Clone, Copy)]
enum Update {
    Parcel,
    Scan,
}

/// The guards of what runs on tokio, in the order in which it was started: the worst for dropping.
pub(crate) struct Tracking {
    stock: ResourceGuard<Arc<OnceLock<Stock>>>,
    pool: ResourceGuard<Arc<SqlitePool>>,
    tally: ResourceGuard<Arc<Tally>>,
    packer: ResourceGuard<()>,
    heartbeat: ResourceGuard<Heartbeat>,
    server: ResourceGuard<Server>,
    courier: ResourceGuard<Arc<Courier>>,
    /// What the traffic was told has been stored.
    acknowledged: OnceLock<Scans>,
}

/// The service's own runtime: not a resource, but what its tasks and sockets live on.
pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).thread_name("tracking").enable_all().build()?;
    Ok(Arc::new(runtime))
}

impl Tracking {
    pub(crate) fn start(
        runtime: &Runtime,
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        feed: &Arc<Feed>,
    ) -> Result<Tracking> {
        runtime.block_on(async {
            let started = Tracking::start_here(manager, directory, feed).await;
            if started.is_err() {
                // On the way out of it the guards were dropped, and here a drop can't wait. The runtime can.
                manager.settle_async().await;
            }
            started
        })
    }

    async fn start_here(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        feed: &Arc<Feed>,
    ) -> Result<Tracking> {
        let (updates, _) = broadcast::channel(UPDATES);
        let stock = stocktaking::arrange(manager, directory)?;
        let pool = pool::open(manager, directory, &stock).await?;
        let tally = tally::start(manager, updates.subscribe())?;
        let packer = packer::start(manager, feed, &pool, &tally, updates.clone())?;
        let heartbeat = heartbeat::start(manager, &pool)?;
        let server = server::start(manager, &pool, &tally, updates).await?;
        let courier = courier::connect(manager, &server).await?;
        let acknowledged = OnceLock::new();
        Ok(Tracking { stock, pool, tally, packer, heartbeat, server, courier, acknowledged })
    }

    /// What the workers feed with orders.
    pub(crate) fn packer(&self) -> ResourceId {
        ResourceGuard::id(&self.packer)
    }
}
