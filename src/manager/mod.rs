//! The front door: [`ResourceManager`] hands every call to the room that does it.

#[cfg(feature = "tokio")]
mod asynchronous;
mod process;
#[cfg(feature = "metrics")]
mod publish;
mod scope;
mod watching;

pub(crate) use self::scope::{Entered, innermost};

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use once_cell::sync::OnceCell;

use crate::cleanup::{CleanupReason, Outcome, work};
use crate::config::{LeakSeverity, ManagerConfig};
use crate::error::{AlreadyInitialized, DependencyError, RegisterError, UnregisterError};
use crate::events::{ResourceEvent, Subscription};
use crate::exit;
use crate::finding::ResourceLeak;
use crate::guard::ResourceGuard;
use crate::id::{Label, ResourceId};
use crate::leak::footprint::Footprint;
use crate::leak::{self, LeakBaseline, LeakReport, Moment};
use crate::registration::{Registration, ResourceDefinition, register_batch, register_short};
use crate::registry::evidence::Evidence;
use crate::registry::registry;
use crate::registry::tree::{Node, Seed};
use crate::report::TeardownReport;
use crate::resource::{Category, CategoryCounts, Resource, ResourceInfo};
use crate::stats::ResourceStats;
use crate::teardown::plan::TeardownPlan;
use crate::teardown::{Teardown, shutdown};
use crate::work::conclude_release;

/// Owns a set of resources: registers them, knows what is live, and tears it down in order.
///
/// A handle: cheap to clone, and dropping one cleans nothing. Managers form trees: [`global`](Self::global) is the
/// root of the process's own, [`new`](Self::new) makes a child of it, [`child`](Self::child) of any. What is live in
/// a child is visible from above, and a teardown reaches into children; each child is one place in its parent's
/// order. [`isolated`](Self::isolated) makes a tree of its own.
///
/// A manager ends by [`shutdown`](Self::shutdown), or when its last handle and its last resource are gone; then its
/// parent forgets it but for its totals.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("service");
/// let pool = manager.guard("pool", || println!("pool closed"));
/// let server = manager.resource("server").depends_on(&pool).guard(|| println!("server stopped"))?;
/// drop(pool); // not yet: the server needs it
/// assert_eq!(manager.resource_count(), 2);
/// drop(server); // the server, then the pool
/// assert_eq!(manager.resource_count(), 0);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct ResourceManager {
    handle: Arc<Handle>,
}

struct Handle {
    node: Arc<Node>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.node.abandoned.store(true, Relaxed);
        registry().retire(&self.node);
    }
}

static GLOBAL: OnceCell<ResourceManager> = OnceCell::new();

impl ResourceManager {
    fn make(
        name: Label,
        created_at: &'static Location<'static>,
        config: ManagerConfig,
        parent: Option<Arc<Node>>,
    ) -> ResourceManager {
        let node = registry().new_node(Seed { name, created_at, config, parent });
        ResourceManager { handle: Arc::new(Handle { node }) }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.handle.node
    }

    pub(crate) fn name(&self) -> &str {
        &self.node().name
    }

    /// The process's own manager, the root of all that is not isolated. Made on first use, and shut down when the
    /// process ends by the return of `main` or by [`std::process::exit`].
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// let _guard = ResourceManager::global().guard("socket", || ());
    /// assert_eq!(ResourceManager::global().resource_count(), 1);
    /// ```
    #[track_caller]
    pub fn global() -> &'static ResourceManager {
        let site = Location::caller();
        GLOBAL.get_or_init(|| ResourceManager::make_global(site, ManagerConfig::default()))
    }

    fn make_global(created_at: &'static Location<'static>, config: ManagerConfig) -> ResourceManager {
        let manager = ResourceManager::make("global".into(), created_at, config, None);
        exit::watch_over(manager.node());
        manager
    }

    /// Configures the global manager. Call it first thing in `main`.
    ///
    /// # Errors
    /// When the global manager exists already: by [`global`](Self::global), or by the first [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use castoff::{ManagerConfig, ResourceManager};
    /// use std::time::Duration;
    ///
    /// let config = ManagerConfig::default().shutdown_deadline(Duration::from_secs(30));
    /// let manager = ResourceManager::init_global(config)?;
    /// assert_eq!(manager.resource_count(), 0);
    /// # Ok::<(), castoff::AlreadyInitialized>(())
    /// ```
    #[track_caller]
    pub fn init_global(config: ManagerConfig) -> Result<&'static ResourceManager, AlreadyInitialized> {
        let mut first = false;
        let site = Location::caller();
        let manager = GLOBAL.get_or_init(|| {
            first = true;
            ResourceManager::make_global(site, config)
        });
        if first { Ok(manager) } else { Err(AlreadyInitialized) }
    }

    /// A child of the global manager.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// let manager = ResourceManager::new("orders service");
    /// let _guard = manager.guard("pool", || ());
    /// assert_eq!(ResourceManager::global().resource_count(), 1);
    /// ```
    #[track_caller]
    pub fn new(name: impl Into<Label>) -> ResourceManager {
        ResourceManager::global().child(name)
    }

    /// A child of the global manager with its own configuration.
    #[track_caller]
    pub fn with_config(name: impl Into<Label>, config: ManagerConfig) -> ResourceManager {
        let parent = ResourceManager::global().node().clone();
        ResourceManager::make(name.into(), Location::caller(), config, Some(parent))
    }

    /// A manager in no tree but its own: the global one neither sees it nor tears it down. For tests of what is
    /// built on castoff.
    #[track_caller]
    pub fn isolated(name: impl Into<Label>, config: ManagerConfig) -> ResourceManager {
        ResourceManager::make(name.into(), Location::caller(), config, None)
    }

    /// The manager of a test: below this one, or in a tree of its own that the end of the process does not clean.
    pub(crate) fn for_test(
        &self,
        name: Label,
        site: &'static Location<'static>,
        leaks: Option<LeakSeverity>,
        keeps: bool,
    ) -> ResourceManager {
        let config = self.node().config.for_child();
        let config = ManagerConfig { leaks: leaks.or(config.leaks), ..config };
        let parent = (!keeps).then(|| self.node().clone());
        let manager = ResourceManager::make(name, site, config, parent);
        manager.node().evidence.get_or_init(|| Evidence::new(keeps));
        manager
    }

    /// A manager below this one, with the same configuration.
    ///
    /// # Examples
    /// ```
    /// let service = castoff::ResourceManager::new("service");
    /// let workers = service.child("workers");
    /// let _worker = workers.guard("worker 1", || ());
    /// assert_eq!(service.resource_count(), 1);
    /// assert_eq!(service.cleanup().cleaned(), 1);
    /// ```
    #[track_caller]
    pub fn child(&self, name: impl Into<Label>) -> ResourceManager {
        self.child_at(name.into(), Location::caller())
    }

    pub(crate) fn child_at(&self, name: Label, site: &'static Location<'static>) -> ResourceManager {
        let config = self.node().config.for_child();
        ResourceManager::make(name, site, config, Some(self.node().clone()))
    }

    /// Registers a cleanup, which runs when the guard is dropped, or a teardown comes first. Never refused: an
    /// empty label becomes "unnamed", and a limit or a shut-down manager is an event.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// let path = std::env::temp_dir().join(format!("castoff-doc-guard-{}", std::process::id()));
    /// std::fs::write(&path, "lock")?;
    /// let manager = ResourceManager::new("locks");
    /// let guard = manager.guard("lock file", { let path = path.clone(); move || std::fs::remove_file(path) });
    /// drop(guard);
    /// assert!(!path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    #[cfg_attr(not(castoff_bare), track_caller)]
    pub fn guard<F, O>(&self, label: impl Into<Label>, cleanup: F) -> ResourceGuard<()>
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        let (label, site) = (label.into(), Location::caller());
        ResourceGuard::new((), register_short(self.node(), label, site, None, None, work(cleanup)))
    }

    /// Registers a value that the guard and the cleanup share. Never refused, as [`guard`](Self::guard).
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// let manager = ResourceManager::new("values");
    /// let open = manager.guard_value("gate", AtomicBool::new(true), |gate| gate.store(false, Ordering::Relaxed));
    /// assert!(open.load(Ordering::Relaxed));
    /// ```
    #[track_caller]
    pub fn guard_value<T, F, O>(&self, label: impl Into<Label>, value: T, cleanup: F) -> ResourceGuard<Arc<T>>
    where
        T: Send + Sync + 'static,
        F: FnOnce(&T) -> O + Send + 'static,
        O: Outcome,
    {
        let value = Arc::new(value);
        let shared = value.clone();
        let work = work(move || cleanup(&shared));
        ResourceGuard::new(
            value,
            register_short(self.node(), label.into(), Location::caller(), None, None, work),
        )
    }

    /// Registers a value that knows its own cleanup. Never refused, as [`guard`](Self::guard).
    ///
    /// # Panics
    /// When the resource's `label` or `cleanup` does; then nothing is registered.
    #[track_caller]
    pub fn adopt<R: Resource>(&self, mut resource: R) -> ResourceGuard<R> {
        let site = Location::caller();
        let (label, cleanup) = (resource.label(), resource.cleanup());
        let extra = cleanup.last_resort.map(|force| Box::new(crate::registry::entry::Extra::forced(force)));
        let id = register_short(self.node(), label, site, Some(R::CATEGORY), extra, cleanup.graceful);
        ResourceGuard::new(resource, id)
    }

    /// Registers with every option; may be refused. See [`Registration`].
    #[inline]
    #[track_caller]
    pub fn resource(&self, label: impl Into<Label>) -> Registration<'_> {
        Registration::new(self.node(), label.into(), Location::caller())
    }

    /// Registers all of these, or none: names may refer to later ones. The guards come back in the order of the
    /// definitions.
    ///
    /// # Errors
    /// What stands in the way of any of them. Then each cleanup has run once, the newest definition's first.
    pub fn register_batch(
        &self,
        definitions: impl IntoIterator<Item = ResourceDefinition>,
    ) -> Result<Vec<ResourceGuard<()>>, RegisterError> {
        // Collected first: an iterator is foreign code.
        register_batch(self.node(), definitions.into_iter().collect())
    }

    /// All that is known of a resource of this manager or below. `None` once it has ended.
    pub fn get(&self, id: ResourceId) -> Option<ResourceInfo> {
        registry().info(self.node(), id)
    }

    /// The live resource of this name in this manager.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("names");
    /// let pool = manager.resource("orders pool").named("db").guard(|| ())?;
    /// assert_eq!(manager.find("db"), Some((&pool).into()));
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn find(&self, name: &str) -> Option<ResourceId> {
        let id = self.node().names.lock().get(name).copied()?;
        registry().is_live(id).then_some(id)
    }

    /// What is live in this manager and below, oldest first.
    pub fn resources(&self) -> Vec<ResourceInfo> {
        registry().infos(self.node())
    }

    /// How many are live in this manager and below: deferred ones and those being cleaned count too. With other
    /// threads at work it is a snapshot.
    pub fn resource_count(&self) -> usize {
        registry().live_count(self.node())
    }

    /// How many are live of each category.
    pub fn count_by_category(&self) -> CategoryCounts {
        registry().counts(self.node())
    }

    /// What this manager and those below hold and have held.
    pub fn stats(&self) -> ResourceStats {
        registry().stats(self.node())
    }

    /// What is alive here that should not be: every live resource of this manager and below that is not declared
    /// [`long_lived`](Registration::long_lived) or leaked on purpose, and is at least as old as its
    /// [`leak_after`](ManagerConfig::leak_after): zero unless set, for who asks at the end of a test. Those with the
    /// most reasons first, then the oldest. What waits for a dependent, or is being cleaned, is no leak.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("test");
    /// let guard = manager.guard("connection", || ());
    /// assert_eq!(manager.detect_leaks()[0].label, "connection");
    /// drop(guard);
    /// assert!(manager.detect_leaks().is_empty());
    /// ```
    pub fn detect_leaks(&self) -> Vec<ResourceLeak> {
        leak::detect(self.node(), Moment::Now)
    }

    /// [`detect_leaks`](Self::detect_leaks), grouped by the line that made each, with what the operating system holds,
    /// for people. Asking the system takes some milliseconds.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("night shift");
    /// let _guard = manager.guard("held", || ());
    /// println!("{}", manager.leak_report());
    /// # assert!(manager.leak_report().to_string().contains("still live"));
    /// ```
    pub fn leak_report(&self) -> LeakReport {
        let report = LeakReport::new(self.node().name.clone(), self.detect_leaks());
        report.with_footprint(Footprint::capture().ok())
    }

    /// What is live here and below now, to be left out of later [reports](LeakReport::without).
    pub fn leak_baseline(&self) -> LeakBaseline {
        LeakBaseline::new(self.resources().into_iter().map(|info| info.id))
    }

    /// Calls `listener` with everything that happens in this manager and below, while the subscription lives. See
    /// [`ResourceEvent`].
    pub fn subscribe(&self, listener: impl Fn(&ResourceEvent) + Send + Sync + 'static) -> Subscription {
        self.node().listeners.subscribe(Arc::new(listener))
    }

    /// Forgets a resource without its cleanup; its guard does nothing any more. `Ok(false)` when it is not live, or
    /// is being cleaned.
    ///
    /// # Errors
    /// When others depend on it; [`ResourceGuard::release`] does it all the same.
    pub fn unregister(&self, id: ResourceId) -> Result<bool, UnregisterError> {
        let Some(finished) = registry().unregister(self.node(), id)? else { return Ok(false) };
        conclude_release(id, finished);
        Ok(true)
    }

    /// Makes one live resource depend on another: it will be cleaned before it. Again is no error.
    ///
    /// # Errors
    /// When that would make a circle, or one of them is not live in this tree of managers.
    pub fn add_dependency(
        &self,
        dependent: ResourceId,
        dependency: ResourceId,
    ) -> Result<(), DependencyError> {
        registry().add_dependency(self.node(), dependent, dependency)
    }

    /// Checks the whole dependency graph of this tree of managers. Circles are refused where they would arise, so
    /// this finds none.
    ///
    /// # Errors
    /// A circle, with its path.
    pub fn validate(&self) -> Result<(), DependencyError> {
        registry().validate(self.node())
    }

    /// What [`cleanup`](Self::cleanup) would do, as things stand now.
    pub fn plan(&self) -> TeardownPlan {
        self.teardown().plan()
    }

    /// A teardown of this manager and those below: choose what and how, then run it.
    pub fn teardown(&self) -> Teardown<'_> {
        Teardown::new(self.node())
    }

    /// Cleans everything that is live now, in order.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("everything");
    /// let _guard = manager.guard("cache", || ());
    /// let report = manager.cleanup();
    /// assert!(report.is_success());
    /// assert_eq!(report.processed(), 1);
    /// ```
    pub fn cleanup(&self) -> TeardownReport {
        self.teardown().run()
    }

    /// Cleans what is live now of this category.
    pub fn cleanup_by_category(&self, category: Category) -> TeardownReport {
        self.teardown().category(category).run()
    }

    /// Cleans these.
    pub fn cleanup_batch(&self, ids: &[ResourceId]) -> TeardownReport {
        self.teardown().ids(ids).run()
    }

    /// The last teardown: cleans everything, also what registers meanwhile, within
    /// [`ManagerConfig::shutdown_deadline`]. Then the manager is sealed, with those below: a builder is refused, a
    /// short form still gives a guard that cleans on drop.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("ending");
    /// let _guard = manager.guard("cache", || ());
    /// assert!(manager.shutdown().is_success());
    /// assert!(manager.resource("too late").guard(|| ()).is_err());
    /// ```
    pub fn shutdown(&self) -> TeardownReport {
        shutdown(self.node(), CleanupReason::Teardown)
    }
}

impl fmt::Debug for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManager")
            .field("name", &self.node().name)
            .field("live", &self.resource_count())
            .finish_non_exhaustive()
    }
}
