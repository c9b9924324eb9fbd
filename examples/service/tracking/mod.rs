//! The asynchronous half of the service: every order becomes a parcel, and is scanned on its way.
//!
//! Most of its parts are adopted by castoff's adapters. Those that `--faulty` makes go wrong have cleanups written by hand,
//! to show how that looks, too: the courier and the heartbeat.
//!
//! It runs on tokio, in the same process and the same manager as the threads: one plan, one teardown, one
//! report for both. Its parts depend on parts of the other half, and the other way round.
//!
//! ```text
//! courier (a WebSocket client), health probe ─> client of the probe (reqwest)
//!   └─> tracking server (axum: HTTP and WebSocket)
//!         ├─> tally (hears of every parcel and scan)
//!         ├─> request log ───> stocktaking
//!         └─> tracking pool (sqlx, SQLite)
//!               └─> stocktaking ─> data directory
//! courier ─> farewell (a word to all other WebSockets) ─> tracking server
//! workers 1 to 4 ─> feed to packer ─> packer (a parcel for every order) ─> tally, tracking pool, sealer
//! monitor of the sealer ─> sealer (a child process) ─> data directory
//! heartbeat (an interval) ─> tracking pool
//! ```

pub(crate) mod faults;
pub(crate) mod pool;
pub(crate) mod proof;
pub(crate) mod traffic;

mod background;
mod courier;
mod heartbeat;
mod log;
mod packer;
mod probe;
mod routes;
mod sealer;
mod server;
mod stocktaking;
mod tally;

use std::sync::{Arc, OnceLock};

use castoff::adapters::{LogWriter, Task};
use castoff::{ResourceGuard, ResourceId, ResourceManager};
use sqlx::SqlitePool;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast::{self, Sender};

use crate::Result;
use crate::audit::Feed;
use crate::directory::DataDirectory;

use courier::Courier;
use heartbeat::Heartbeat;
use packer::Packer;
use probe::Probe;
use sealer::Sealer;
use server::Server;
use stocktaking::Stock;
use tally::Tally;
use traffic::Scans;

/// Who needs whom, as in [`crate::stack::NEEDS`].
pub(crate) const NEEDS: [(&str, &str); 18] = [
    ("courier", "tracking server"),
    ("courier", "farewell"),
    ("health probe", "client of the probe"),
    ("client of the probe", "tracking server"),
    ("farewell", "tracking server"),
    ("tracking server", "tally"),
    ("tracking server", "tracking pool"),
    ("tracking server", "request log"),
    ("worker", "feed to packer"),
    ("feed to packer", "packer"),
    ("packer", "tally"),
    ("packer", "tracking pool"),
    ("packer", "sealer"),
    ("monitor of the sealer", "sealer"),
    ("sealer", "data directory"),
    ("heartbeat", "tracking pool"),
    ("tracking pool", "stocktaking"),
    ("request log", "stocktaking"),
];

/// Updates that a slow subscriber may lag behind before it misses some: more than there ever are.
const UPDATES: usize = 4096;

/// What an update tells: one more of these has been stored.
#[derive(Clone, Copy)]
pub(crate) enum Update {
    Parcel,
    Scan,
}

/// The guards of what runs on tokio, in the order in which it was started: the worst for dropping.
pub(crate) struct Tracking {
    stock: ResourceGuard<Arc<OnceLock<Stock>>>,
    pub(crate) pool: ResourceGuard<SqlitePool>,
    /// What the office subscribes to, too.
    pub(crate) updates: Sender<Update>,
    _log: ResourceGuard<LogWriter>,
    _tally: ResourceGuard<Task>,
    counted: Arc<Tally>,
    sealer: Sealer,
    packer: Packer,
    heartbeat: ResourceGuard<Heartbeat>,
    server: Server,
    courier: ResourceGuard<Arc<Courier>>,
    probe: Probe,
    /// What the traffic was told has been stored.
    acknowledged: OnceLock<Scans>,
}

/// The service's own runtime: not a resource, but what its tasks and sockets live on.
pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).thread_name("tracking").enable_all().build()?;
    Ok(Arc::new(runtime))
}

/// Waits on it for what is being started. On the way out of a failure guards are dropped, and there a drop can't wait: the
/// runtime can.
pub(crate) fn started<T>(
    runtime: &Runtime,
    manager: &ResourceManager,
    starting: impl Future<Output = Result<T>>,
) -> Result<T> {
    runtime.block_on(async {
        let started = starting.await;
        if started.is_err() {
            manager.settle_async().await;
        }
        started
    })
}

impl Tracking {
    pub(crate) async fn start(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        feed: &Arc<Feed>,
    ) -> Result<Tracking> {
        let (updates, _) = broadcast::channel(UPDATES);
        let stock = stocktaking::arrange(manager, directory)?;
        let pool = pool::open(manager, directory, &stock).await?;
        let (lines, log) = log::open(manager, directory, &stock)?;
        let (tally, counted) = tally::start(manager, updates.subscribe())?;
        let heard_by = ResourceGuard::id(&tally);
        let sealer = sealer::start(manager, directory)?;
        let packer = packer::start(manager, feed, &pool, &sealer, heard_by, updates.clone())?;
        let heartbeat = heartbeat::start(manager, &pool)?;
        let server = server::start(manager, &pool, (lines, &log), heard_by, updates.clone()).await?;
        let courier = courier::connect(manager, &server).await?;
        let probe = probe::start(manager, &server)?;
        let acknowledged = OnceLock::new();
        Ok(Tracking {
            stock,
            pool,
            updates,
            _log: log,
            _tally: tally,
            counted,
            sealer,
            packer,
            heartbeat,
            server,
            courier,
            probe,
            acknowledged,
        })
    }

    /// What the workers feed with orders.
    pub(crate) fn packer(&self) -> ResourceId {
        ResourceGuard::id(&self.packer.subscription)
    }
}
