//! The office, the third part of the service: it reports on the orders, and answers who asks how things stand.
//!
//! It has a little of everything that the rest does without: files that are buffered, mapped, watched or there for a while,
//! sessions in databases, sockets of other kinds, an action at a signal. All of it is adopted by castoff's adapters.
//!
//! ```text
//! watcher of reports ─> scratch directory (a temporary one: reports are put out there)
//!   ├─> seen reports (a stream of what the watcher saw)
//!   └─> windows (tasks, each of which tells one viewer at a time) <─ entrance (a listener of tokio's)
//! admin socket (a Unix socket in the scratch directory) ─> admin clerk (a thread)
//! signal handler (SIGUSR1) ─> signal clerk (a thread)
//!   clerks ─> view of parcels (rusqlite) ─> tracking pool
//! reading room (a pool of r2d2's) ─> orders database
//! open bill (a transaction), worksheet (a temporary table) ─> books (a pool of sqlx's) ─> inventory
//! map of the index ─> index file ─> inventory
//! summary (buffered) ─────────────> inventory (looks what was written) ─> data directory
//! feed to udp socket ─> udp socket ─> count keeper (a thread)
//! ```

pub(crate) mod proof;
pub(crate) mod traffic;

mod books;
mod clerks;
mod index;
mod inventory;
mod meter;
mod paper;
mod reading;
mod watcher;
mod windows;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use castoff::{ResourceGuard, ResourceManager};

use crate::Result;
use crate::database::Database;
use crate::directory::DataDirectory;
use crate::tracking::Tracking;

use books::Books;
use clerks::Clerks;
use index::Index;
use inventory::Inventory;
use meter::Meter;
use paper::Paper;
use reading::Reading;
use watcher::ReportWatcher;
use windows::Windows;

/// Who needs whom, as in [`crate::stack::NEEDS`].
pub(crate) const NEEDS: [(&str, &str); 20] = [
    ("watcher of reports", "scratch directory"),
    ("watcher of reports", "seen reports"),
    ("watcher of reports", "windows"),
    ("entrance", "windows"),
    ("admin socket", "admin clerk"),
    ("admin socket", "scratch directory"),
    ("admin clerk", "view of parcels"),
    ("signal handler", "signal clerk"),
    ("signal clerk", "view of parcels"),
    ("view of parcels", "tracking pool"),
    ("reading room", "orders database"),
    ("open bill", "books"),
    ("worksheet", "books"),
    ("books", "inventory"),
    ("map of the index", "index file"),
    ("index file", "inventory"),
    ("summary", "inventory"),
    ("inventory", "data directory"),
    ("feed to udp socket", "udp socket"),
    ("udp socket", "count keeper"),
];

/// The guards of the office, in the order in which it was started: again the worst for dropping.
pub(crate) struct Office {
    inventory: ResourceGuard<Arc<OnceLock<Inventory>>>,
    paper: Paper,
    reading: Reading,
    books: Books,
    index: Index,
    windows: Windows,
    watcher: ReportWatcher,
    clerks: Clerks,
    meter: Meter,
}

impl Office {
    pub(crate) async fn start(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        database: &ResourceGuard<Arc<Database>>,
        tracking: &Tracking,
    ) -> Result<Office> {
        let inventory = inventory::arrange(manager, directory)?;
        let paper = Paper::start(manager, directory, &inventory)?;
        let reading = Reading::open(manager, directory, database, tracking)?;
        let books = Books::open(manager, directory, &inventory).await?;
        let index = Index::map(manager, directory, &inventory)?;
        let windows = Windows::open(manager).await?;
        let watcher = ReportWatcher::start(manager, &paper.scratch, &windows)?;
        let clerks = Clerks::hire(manager, &paper.scratch, &reading.view)?;
        let meter = Meter::start(manager, tracking.updates.subscribe())?;
        Ok(Office { inventory, paper, reading, books, index, windows, watcher, clerks, meter })
    }

    /// Makes the next report, and waits until it was seen. Who asks for it is the traffic.
    pub(crate) async fn report(&self) -> Result<()> {
        let number = self.clerks.state.reports.fetch_add(1, Ordering::SeqCst) + 1;
        let (orders, parcels) = (self.reading.orders()?, reading::parcels(&self.reading.view)?);
        let new = self.books.enter(number, orders).await?;
        self.index.note(number, orders)?;
        self.paper.put_out(number, &format!("{number},{orders},{new},{parcels}"))?;
        self.watcher.wait_for(number).await
    }
}
