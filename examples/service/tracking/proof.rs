//! The proof at the end for the asynchronous half: nothing lost, and nothing left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::runtime::Runtime;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::checksums::checksum;
use crate::leftovers::eventually;
use crate::stack::Stack;
use crate::tracking::probe::Answers;
use crate::tracking::routes::Answered;
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
    pool: SqlitePool,
    sealer: u32,
    sealer_ended_early: Arc<AtomicBool>,
    probes: Arc<Answers>,
    answered: Arc<Answered>,
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
            tally: Arc::clone(&tracking.counted),
            heartbeats: Arc::clone(&tracking.heartbeat.written),
            pool: SqlitePool::clone(&tracking.pool),
            sealer: tracking.sealer.process.id(),
            sealer_ended_early: Arc::clone(&tracking.sealer.ended_early),
            probes: Arc::clone(&tracking.probe.answers),
            answered: Arc::clone(&tracking.server.answered),
            address: tracking.server.address(),
            runtime: Arc::clone(&stack.runtime),
        })
    }

    /// The runtime ends with this.
    pub(crate) fn check(self, checklist: &mut Checklist) {
        checklist.check("nothing lost: stocktaking", self.all_on_disk());
        checklist.check("nothing lost: tally", self.all_heard());
        checklist.check("nothing lost: request log", self.all_logged());
        checklist.check("sealer and probe", self.watched_well());
        checklist.check("nothing left: tracking server", self.no_server());
        checklist.check("nothing left: sealer", self.no_sealer());
        checklist.check("nothing left: tracking pool", self.no_pool());
        checklist.check("nothing left: tasks", self.no_tasks());
    }

    /// Whether every write that was acknowledged was in the file before the directory went, and nothing else.
    fn all_on_disk(&self) -> Finding {
        let stock = self.stock.get().ok_or("the stock was not taken")?;
        let (parcels, scans) = (stock.parcels.len(), stock.scans.len());
        let heartbeats = self.heartbeats.load(Ordering::SeqCst);
        let found = format!("{parcels} parcels, {scans} scans, {} heartbeats", stock.heartbeats);
        let sealed: BTreeMap<_, _> = self.orders.iter().map(|id| (*id, checksum(&id.to_string()))).collect();
        if (&stock.parcels, &stock.scans, stock.heartbeats) == (&sealed, &self.acknowledged, heartbeats) {
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

    fn all_logged(&self) -> Finding {
        let logged = self.stock.get().ok_or("the stock was not taken")?.logged;
        let answered =
            self.answered.requests.load(Ordering::SeqCst) + self.answered.messages.load(Ordering::SeqCst);
        let found = format!("{logged} lines for {answered} answers");
        if logged == answered { Ok(found) } else { Err(found) }
    }

    /// The sealer's monitor and the probe had nothing bad to tell.
    fn watched_well(&self) -> Finding {
        let (well, not) = (self.probes.well.load(Ordering::SeqCst), self.probes.not.load(Ordering::SeqCst));
        let early = self.sealer_ended_early.load(Ordering::SeqCst);
        let found = format!("{well} probes answered, {not} not");
        match (well, not, early) {
            (_, _, true) => Err("the sealer ended before its time".to_owned()),
            (1.., 0, false) => Ok(found),
            _ => Err(found),
        }
    }

    fn no_server(&self) -> Finding {
        match TcpStream::connect(self.address) {
            Ok(_) => Err(format!("{} still answers", self.address)),
            Err(refused) => Ok(format!("{}: {refused}", self.address)),
        }
    }

    /// Also not as a zombie, which still has its place in `/proc`.
    fn no_sealer(&self) -> Finding {
        let pid = self.sealer;
        match Path::new(&format!("/proc/{pid}")).exists() {
            true => Err(format!("process {pid} is still there")),
            false => Ok(format!("process {pid} has ended")),
        }
    }

    /// A connection that somebody has just let go of is on its way back by a task of the runtime's, and sqlx 0.8 does not
    /// always wait for that.
    fn no_pool(&self) -> Finding {
        eventually(TASK_LIMIT, || match (self.pool.is_closed(), self.pool.size()) {
            (true, 0) => Ok("closed, no connection".to_owned()),
            state => Err(format!("(closed, connections): {state:?}")),
        })
    }

    fn no_tasks(&self) -> Finding {
        eventually(TASK_LIMIT, || match self.runtime.metrics().num_alive_tasks() {
            0 => Ok(String::new()),
            alive => Err(format!("{alive} are alive")),
        })
    }
}
