//! The whole stack: every part is started, and registered, on top of what it uses.

use std::net::SocketAddr;
use std::sync::Arc;

use castoff::adapters::{CurrentDirectory, FileLock, Timer};
use castoff::{ResourceGuard, ResourceManager};
#[cfg(feature = "full")]
use tokio::runtime::Runtime;

use crate::Result;
use crate::audit::{Audit, Feed};
use crate::checksums::{ChecksumProcess, Manners};
use crate::database::Database;
use crate::directory::DataDirectory;
use crate::gate::Opened;
#[cfg(feature = "full")]
use crate::office::{self, Office};
#[cfg(feature = "full")]
use crate::tracking::{self, Tracking};
use crate::workers::Desk;
use crate::{audit, checksums, database, directory, gate, http_server, markers, ticker, workers};

/// Who needs whom, by the start of their labels. Written down by hand once more, so that the check of the
/// order does not ask castoff what castoff was told.
const NEEDS: [(&str, &str); 13] = [
    ("marker ready", "marker address"),
    ("marker address", "http server"),
    ("http server", "worker"),
    ("worker", "feed to audit"),
    ("feed to audit", "audit"),
    ("worker", "checksum process"),
    ("worker", "orders database"),
    ("ticker", "orders database"),
    ("marker pid", "orders database"),
    ("checksum process", "data directory"),
    ("orders database", "directory lock"),
    ("directory lock", "data directory"),
    ("current directory", "data directory"),
];

pub(crate) fn needs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let needs = NEEDS.into_iter();
    #[cfg(feature = "full")]
    let needs = needs.chain(tracking::NEEDS).chain(office::NEEDS);
    needs
}

/// The guards of everything that runs, in the order in which it was started.
///
/// Rust drops fields from the first to the last: the data directory before the database in it, the database
/// before the workers that write to it. By hand that is a bug; with the dependencies known, it is only the
/// worst case.
pub(crate) struct Stack {
    _opened: Opened,
    pub(crate) directory: ResourceGuard<DataDirectory>,
    _current: ResourceGuard<CurrentDirectory>,
    _lock: ResourceGuard<FileLock>,
    pub(crate) database: ResourceGuard<Arc<Database>>,
    pub(crate) checksums: ResourceGuard<Arc<ChecksumProcess>>,
    pub(crate) audit: Audit,
    #[cfg(feature = "full")]
    pub(crate) tracking: Tracking,
    #[cfg(feature = "full")]
    pub(crate) office: Office,
    _ticker: ResourceGuard<Timer>,
    _workers: Vec<ResourceGuard<()>>,
    pub(crate) server: ResourceGuard<SocketAddr>,
    _markers: Vec<ResourceGuard<()>>,
    /// The last field: it has to outlive every guard, also those whose cleanups are put off.
    #[cfg(feature = "full")]
    pub(crate) runtime: Arc<Runtime>,
}

impl Stack {
    /// A `?` in here is safe: the guards made so far clean up what was started so far, in order.
    pub(crate) fn start(manager: &ResourceManager, faulty: bool) -> Result<Stack> {
        #[cfg(feature = "full")]
        let runtime = tracking::runtime()?;
        let opened = gate::open(manager)?;
        let directory = directory::create(manager)?;
        let current = directory::enter(manager, &directory)?;
        let lock = directory::lock(manager, &directory)?;
        let database = database::open(manager, &directory, &lock)?;
        let manners = if faulty { Manners::Stubborn } else { Manners::Polite };
        let checksums = checksums::start(manager, &directory, manners)?;
        let feed = Arc::new(Feed::default());
        let audit = audit::start(manager, &feed)?;
        #[cfg(feature = "full")]
        let tracking = tracking::started(&runtime, manager, Tracking::start(manager, &directory, &feed))?;
        #[cfg(feature = "full")]
        let office = Office::start(manager, &directory, &database, &tracking);
        #[cfg(feature = "full")]
        let office = tracking::started(&runtime, manager, office)?;
        let ticker = ticker::start(manager, &database)?;
        let desk = Desk::new(&database, &checksums, feed, opened.gate.clone(), faulty);
        let in_use = [
            ResourceGuard::id(&database),
            ResourceGuard::id(&checksums),
            audit.subscription(),
            #[cfg(feature = "full")]
            tracking.packer(),
        ];
        let (workers, inbox) = workers::start(manager, &desk, &in_use)?;
        let server = http_server::start(manager, &workers, inbox)?;
        let markers = markers::write(manager, &directory, *server)?;
        Ok(Stack {
            _opened: opened,
            directory,
            _current: current,
            _lock: lock,
            database,
            checksums,
            audit,
            #[cfg(feature = "full")]
            tracking,
            #[cfg(feature = "full")]
            office,
            _ticker: ticker,
            _workers: workers,
            server,
            _markers: markers,
            #[cfg(feature = "full")]
            runtime,
        })
    }
}

/// What runs now, as the manager knows it: the parts did not have to tell anybody else.
pub(crate) fn print_started(manager: &ResourceManager) {
    println!("Started {} resources:", manager.resource_count());
    for resource in manager.resources() {
        let category = format!("{:?}", resource.category);
        let description = resource.description.as_deref().unwrap_or_default();
        println!("{}", format!("  {:<21} {category:<15} {description}", &*resource.label).trim_end());
    }
}
