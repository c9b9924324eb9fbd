//! The plain data of a finished teardown, and how it is shown.
//!
//! A teardown hands in one [`Record`] for each resource that it selected; out come the figures, the timeline
//! and the table of a [`TeardownReport`]. Nothing here runs, waits or locks.
//!
//! 1. Each selected resource is in the timeline (its cleanup was started) or among the skipped, never both.
//! 2. The timeline is in the order of starting, the errors in the order of the timeline.
//! 3. Every figure follows from these; none is kept beside them that could disagree. Only what could not be listed,
//!    because memory for that was refused, is counted: by category, and in `unlisted` alone.

mod entry;
mod error;
mod gather;
#[cfg(feature = "serde")]
mod serialize;
mod table;
pub(crate) mod text;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use entry::Record;
pub use entry::{CategorySummary, ResourceOutcome, SkipReason, SkippedResource, TimelineEntry};
pub use error::TeardownError;

use crate::error::CleanupError;
use crate::id::Label;

/// A finished teardown: what became of each resource, how long it took, and what went wrong.
///
/// Displayed, it is a table for people: a row for each resource, every error with the line that registered
/// the resource, a summary by category, and the critical path.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("orders");
/// let _pool = manager.guard("pool", || ());
/// let _journal = manager.guard("journal", || Err("disk full"));
/// let report = manager.cleanup();
/// assert!(!report.is_success());
/// assert_eq!((report.processed(), report.cleaned(), report.failed()), (2, 1, 1));
///
/// let table = report.to_string();
/// assert!(table.starts_with("teardown of `orders`: 1 cleaned, 1 failed, in "));
/// assert!(table.contains("failed: disk full (made at "));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a teardown that failed says so only here"]
pub struct TeardownReport {
    manager: Label,
    handed_over: bool,
    duration: Duration,
    timeline: Vec<TimelineEntry>,
    skipped: Vec<SkippedResource>,
    errors: Vec<CleanupError>,
    by_category: Vec<CategorySummary>,
    /// What is in neither list.
    unlisted: Vec<CategorySummary>,
    // Made when asked for: it may be as long as the timeline, and most reports are only asked whether all
    // went well.
    critical_path: OnceLock<Vec<TimelineEntry>>,
}

impl TeardownReport {
    fn total(&self, count: impl Fn(&CategorySummary) -> usize) -> usize {
        self.by_category.iter().map(count).sum()
    }

    /// The manager that was torn down.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(castoff::ResourceManager::new("orders").cleanup().manager(), "orders");
    /// ```
    pub fn manager(&self) -> &Label {
        &self.manager
    }

    /// Whether every selected resource was cleaned. True where there was none.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("successes");
    /// assert!(manager.cleanup().is_success());
    /// let _guard = manager.guard("journal", || Err("disk full"));
    /// assert!(!manager.cleanup().is_success());
    /// ```
    pub fn is_success(&self) -> bool {
        self.cleaned() == self.processed()
    }

    /// For `?`: the report where every selected resource was cleaned.
    ///
    /// # Errors
    /// The report again, as an error that displays its table, where any was not.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("results");
    /// let _guard = manager.guard("pool", || ());
    /// let report = manager.cleanup().into_result()?;
    /// assert_eq!(report.cleaned(), 1);
    /// # Ok::<(), castoff::TeardownError>(())
    /// ```
    pub fn into_result(self) -> Result<TeardownReport, TeardownError> {
        if self.is_success() { Ok(self) } else { Err(TeardownError::new(self)) }
    }

    /// Whether the teardown was asked for from inside a cleanup: the teardown that runs does it before it
    /// ends, its report tells of it, and this one is empty.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use std::sync::mpsc;
    ///
    /// let manager = ResourceManager::new("inside");
    /// let (tell, told) = mpsc::channel();
    /// let inside = manager.clone();
    /// let _guard = manager.guard("asks again", move || tell.send(inside.cleanup().is_handed_over()));
    /// assert!(!manager.cleanup().is_handed_over());
    /// assert_eq!(told.recv(), Ok(true));
    /// ```
    pub fn is_handed_over(&self) -> bool {
        self.handed_over
    }

    /// How many resources were selected, those that were skipped too.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("processed");
    /// let _guards = [manager.guard("a", || ()), manager.guard("b", || Err("no"))];
    /// assert_eq!(manager.cleanup().processed(), 2);
    /// ```
    pub fn processed(&self) -> usize {
        self.timeline.len() + self.skipped.len() + self.unlisted()
    }

    /// How many of these are only counted, neither in the [`timeline`](TeardownReport::timeline) nor among the
    /// [`skipped`](TeardownReport::skipped), because memory for the lists was refused. What was not cleaned is
    /// listed before what was.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("lists");
    /// let _guard = manager.guard("pool", || ());
    /// let report = manager.cleanup();
    /// assert_eq!((report.timeline().len(), report.unlisted()), (1, 0));
    /// ```
    pub fn unlisted(&self) -> usize {
        self.unlisted.iter().map(|one| one.cleaned + one.failed + one.timed_out + one.skipped).sum()
    }

    /// How many were cleaned.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("cleaned");
    /// let _guards = [manager.guard("a", || ()), manager.guard("b", || Err("no"))];
    /// assert_eq!(manager.cleanup().cleaned(), 1);
    /// ```
    pub fn cleaned(&self) -> usize {
        self.total(|summary| summary.cleaned)
    }

    /// How many cleanups returned an error, panicked or were cancelled. Those that timed out are not among
    /// them.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("failed");
    /// let _first = manager.guard("a", || Err("no"));
    /// let _second = manager.guard("b", || panic!("no"));
    /// assert_eq!(manager.cleanup().failed(), 2);
    /// ```
    pub fn failed(&self) -> usize {
        self.total(|summary| summary.failed)
    }

    /// How many cleanups had not ended within their limit, and were given up.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let manager = ResourceManager::new("timed out");
    /// let (end, ended) = mpsc::channel::<()>();
    /// let stuck = manager.resource("stuck").timeout(Duration::from_millis(20));
    /// let _guard = stuck.guard(move || ended.recv().unwrap_or_default())?;
    /// assert_eq!(manager.cleanup().timed_out(), 1);
    /// drop(end);
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn timed_out(&self) -> usize {
        self.total(|summary| summary.timed_out)
    }

    /// What was selected and not touched, each with the reason. These are still live.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let manager = castoff::ResourceManager::new("skipped");
    /// let _guard = manager.guard("journal", || ());
    /// let report = manager.teardown().deadline(Duration::ZERO).run();
    /// assert_eq!(report.skipped()[0].reason, castoff::SkipReason::DeadlinePassed);
    /// ```
    pub fn skipped(&self) -> &[SkippedResource] {
        &self.skipped
    }

    /// How long the teardown took, from the call to its return.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("durations");
    /// let _guard = manager.guard("pool", || ());
    /// let report = manager.cleanup();
    /// assert!(report.duration() >= report.timeline()[0].duration);
    /// ```
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// What went wrong: an error for each cleanup that failed, panicked, timed out or was cancelled, in the
    /// order in which they had started.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("errors");
    /// let _guard = manager.guard("journal", || Err("disk full"));
    /// let report = manager.cleanup();
    /// assert_eq!(report.errors()[0].label, "journal");
    /// assert_eq!(report.errors()[0].kind.to_string(), "failed: disk full");
    /// ```
    pub fn errors(&self) -> &[CleanupError] {
        &self.errors
    }

    /// A summary for each category that occurs, in the order of [`Category`](crate::Category).
    ///
    /// # Examples
    /// ```
    /// use castoff::{Category, ResourceManager};
    ///
    /// let manager = ResourceManager::new("categories");
    /// let _socket = manager.resource("socket").category(Category::Network).guard(|| ())?;
    /// let _pool = manager.resource("pool").category(Category::Database).guard(|| ())?;
    /// let report = manager.cleanup();
    /// let seen: Vec<_> = report.by_category().iter().map(|summary| summary.category).collect();
    /// assert_eq!(seen, [Category::Database, Category::Network]);
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn by_category(&self) -> &[CategorySummary] {
        &self.by_category
    }

    /// Every cleanup that was started, in the order of starting, but for what is
    /// [`unlisted`](TeardownReport::unlisted).
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("timelines");
    /// let _older = manager.guard("older", || ());
    /// let _newer = manager.guard("newer", || ());
    /// let report = manager.cleanup();
    /// let order: Vec<&str> = report.timeline().iter().map(|entry| &*entry.label).collect();
    /// assert_eq!(order, ["newer", "older"]);
    /// ```
    pub fn timeline(&self) -> &[TimelineEntry] {
        &self.timeline
    }

    /// The longest chain of cleanups that had to wait for each other, in the order in which they ran. More
    /// concurrency does not shorten it.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("paths");
    /// let pool = manager.guard("pool", || ());
    /// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
    /// let report = manager.cleanup();
    /// let path: Vec<&str> = report.critical_path().iter().map(|entry| &*entry.label).collect();
    /// assert_eq!(path, ["server", "pool"]);
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn critical_path(&self) -> &[TimelineEntry] {
        self.critical_path.get_or_init(|| {
            // A dependent started earlier: asking for that means that no input makes this go round for ever.
            let before = |at: usize| self.timeline[at].waited_for.filter(|before| *before < at);
            let mut took: Vec<Duration> = Vec::with_capacity(self.timeline.len());
            for (at, entry) in self.timeline.iter().enumerate() {
                let behind = before(at).map_or(Duration::ZERO, |before| took[before]);
                took.push(behind.saturating_add(entry.duration));
            }
            // The later of two that are as long: it has the longer path.
            let last = (0..took.len()).max_by_key(|at| (took[*at], *at));
            let chain = std::iter::successors(last, |at| before(*at));
            let mut path: Vec<TimelineEntry> = chain.map(|at| self.timeline[at].clone()).collect();
            path.reverse();
            path
        })
    }
}
