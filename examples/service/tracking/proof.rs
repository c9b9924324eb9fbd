//! The proof at the end for the asynchronous half: nothing lost, and nothing left.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::runtime::Runtime;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::leftovers::eventually;
use crate::stack::Stack;
use crate::tracking::stocktaking::Stock;
use crate::tracking::tally::Tally;
use crate::tracking::traffic::Scans;

/// A task that was told to end is polled once more by the runtime, in its own time.
const TASK_LIMIT: Duration = Duration::from_secs(5);

/// What has to be found, noted while everything is still up, and handles for looking.
pub(crate) struct Proof {
    orders: BTreeSet<i64>,
    acknowledged: Scans,
    stock: Arc<OnceLock<Stock>>,
    tally: Arc<Tally>,
    heartbeats: Arc<AtomicU64>,
    pool: Arc<SqlitePool>,
    address: SocketAddr,
    runtime: Arc<Runtime>,
}

impl Proof {
    pub(crate) fn of(stack: &Stack) -> Result<Proof> {
        let tracking = &stack.tracking;
        Ok(Proof {
            orders: stack.database.orders()?.into_keys().collect(),
            acknowledged: tracking.acknowledged.get().ok_or("there was no traffic")?.clone(),
            stock: Arc::clone(&tracking.stock),
            tally: Arc::clone(&tracking.tally),
            heartbeats: Arc::clone(&tracking.heartbeat.written),
            pool: Arc::clone(&tracking.pool),
            address: tracking.server.address,
            runtime: Arc::clone(&stack.runtime),
        })
    }

    /// The runtime ends with this.
    pub(crate) fn check(self, checklist: &mut Checklist) {
        checklist.check("nothing lost: stocktaking", self.all_on_disk());
        checklist.check("nothing lost: tally", self.all_heard());
        checklist.check("nothing left: tracking server", self.no_server());
        checklist.check("nothing left: tracking pool", self.no_pool());
        checklist.check("nothing left: tasks", self.no_tasks());
    }

    /// Whether every write that was acknowledged was in the file before the directory went, and nothing else.
    fn all_on_disk(&self) -> Finding {
        let stock = self.stock.get().ok_or("the stock was not taken")?;
        let (parcels, scans) = (stock.parcels.len(), stock.scans.len());
        let heartbeats = self.heartbeats.load(Ordering::SeqCst);
        let found = format!("{parcels} parcels, {scans} scans, {} heartbeats", stock.heartbeats);
        if (&stock.parcels, &stock.scans, stock.heartbeats) == (&self.orders, &self.acknowledged, heartbeats)
        {
            return Ok(found);
        }
        let (orders, scans) = (self.orders.len(), self.acknowledged.len());
        Err(format!("found {found}, not those of {orders} orders, {scans} scans, {heartbeats} heartbeats"))
    }

    fn all_heard(&self) -> Finding {
        let parcels = self.tally.parcels.load(Ordering::SeqCst);
        let scans = self.tally.scans.load(Ordering::SeqCst);
        let heard = format!("heard of {parcels} parcels and {scans} scans");
        let all = (self.orders.len() as u64, self.acknowledged.len() as u64);
        if (parcels, scans) == all { Ok(heard) } else { Err(format!("{heard}, not of {all:?}")) }
    }

    fn no_server(&self) -> Finding {
        match TcpStream::connect(self.address) {
            Ok(_) => Err(format!("{} still answers", self.address)),
            Err(refused) => Ok(format!("{}: {refused}", self.address)),
        }
    }

    fn no_pool(&self) -> Finding {
        match (self.pool.is_closed(), self.pool.size()) {
            (true, 0) => Ok("closed, no connection".to_owned()),
            state => Err(format!("(closed, connections): {state:?}")),
        }
    }

    fn no_tasks(&self) -> Finding {
        eventually(TASK_LIMIT, || match self.runtime.metrics().num_alive_tasks() {
            0 => Ok(String::new()),
            alive => Err(format!("{alive} are alive")),
        })
    }
}
