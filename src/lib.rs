#![doc = include_str!("../docs/crate.md")]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]
// For scripts/verify alone: what runs in a signal handler is checked for what may not be done there.
#![cfg_attr(castoff_realtime, feature(sanitize))]

// What people hold, ready to adopt.
pub mod adapters;

// Drivers: they start things, and look.
mod exit;
mod leak;
mod manager;
#[cfg(feature = "tokio")]
pub mod task;
pub mod testing;
pub mod thread;

// The pipeline: guard -> registry -> graph -> teardown -> report.
mod graph;
mod guard;
mod registration;
mod registry;
mod report;
mod teardown;

// What it runs on.
mod clock;
mod config;
mod events;
mod fork;
mod memory;
mod runtime;
mod stats;
mod sync;
mod touch;
mod unwind;
mod usage;
mod work;

// The vocabulary.
mod cleanup;
mod error;
mod finding;
mod foreign;
mod id;
mod resource;
#[cfg(feature = "serde")]
mod serialize;

/// Makes a function a test that fails when it leaks: [`testing::scope`] with arguments, over functions that block and
/// that await.
///
/// The function may take the test's manager (`manager: &ResourceManager`, or by value), and return nothing or whatever
/// `main` may return. Other attributes stay, `#[should_panic]` and `#[ignore]` too; beside `#[tokio::test]` or its like
/// it makes no runtime of its own.
///
/// | argument | what it does |
/// |---|---|
/// | `leaks = "off"`, `"count"`, `"warn"`, `"fail"` | how severe a leak is; `CASTOFF_LEAKS` goes before it |
/// | `keep_on_failure` | a test that fails leaves what is live alone, and says where it was made |
/// | `deadline = "5s"` | a test that takes longer fails, and says what is live; also `ms` and `min` |
/// | `exit_hooks` | a signal, such as nextest's at the end of a test's time, tears down before the process dies by it |
/// | `footprint` | what comes to the process by it and stays (descriptors, threads, children) fails it; Linux |
/// | `flavor = "multi_thread"` | for an `async` function, with the feature `tokio`; else `"current_thread"` |
/// | `worker_threads = 2` | with that flavour |
/// | `crate = "renamed"` | where castoff has another name |
///
/// A test with `#[should_panic]` that panics as it should, and leaks, fails as one that did not panic, with the report
/// on stderr.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// #[castoff::test(deadline = "5s")]
/// fn an_order_is_stored(manager: &ResourceManager) -> Result<(), std::io::Error> {
///     let _table = manager.guard("orders table", || ());
///     Ok(())
/// }
/// # #[cfg(feature = "tokio")]
/// # mod asynchronous {
///
/// #[castoff::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn an_order_is_sent() {
///     let _session = castoff::ResourceManager::current().guard_async("session", || async { castoff::done() });
/// }
/// # }
/// ```
#[cfg(feature = "macros")]
pub use castoff_macros::test;

pub use crate::cleanup::{Cleanup, CleanupContext, CleanupReason, Outcome, done};
pub use crate::config::{Backtraces, LeakSeverity, ManagerConfig};
pub use crate::error::{
    AlreadyInitialized, CleanupError, CleanupErrorKind, DependencyError, ExitHookError, FootprintError,
    RegisterError, UnregisterError,
};
pub use crate::events::{ResourceEvent, Subscription};
#[cfg(unix)]
pub use crate::exit::{DumpError, LeakDump, dump_on};
pub use crate::exit::{ExitHooks, ExitOptions, ExitReporting, ExitSignal, ShutdownToken, run};
pub use crate::finding::{LeakReason, ResourceLeak, Touches};
pub use crate::foreign::{ForeignRegistry, ForeignRegistryError};
pub use crate::guard::{Always, OnSuccess, OnUnwind, ResourceGuard, Strategy};
pub use crate::id::{Label, ResourceId};
pub use crate::leak::footprint::{Footprint, FootprintDelta};
pub use crate::leak::{AllowListError, LeakAllowList, LeakBaseline, LeakGroup, LeakReport, StaleRule};
pub use crate::leak::{CategoryGrowth, MemoryGrowth, MemoryWatch, SiteGrowth, Trend};
pub use crate::manager::ResourceManager;
pub use crate::registration::{Registration, ResourceDefinition};
pub use crate::report::{
    CategorySummary, ResourceOutcome, SkipReason, SkippedResource, TeardownError, TeardownReport,
    TimelineEntry,
};
pub use crate::resource::{
    Category, CategoryCounts, Metadata, MetadataValue, Priority, Resource, ResourceInfo, ResourceState,
};
pub use crate::stats::{Latency, ResourceGrowth, ResourceStats};
pub use crate::teardown::Teardown;
pub use crate::teardown::plan::TeardownPlan;
pub use crate::usage::MemoryUsage;

// Their examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../docs/adapters.md")]
extern crate self as adapters_guide;
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../docs/async.md")]
extern crate self as asynchronous;
#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../docs/footprint.md")]
extern crate self as footprint;
#[cfg(doctest)]
#[doc = include_str!("../docs/leaks.md")]
extern crate self as leaks;
#[cfg(doctest)]
#[doc = include_str!("../docs/migration.md")]
extern crate self as migration;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
extern crate self as readme;
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
extern crate self as tests_that_leak;
