//! What a report is made of: what became of each resource, how long it took, and why some were left alone.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::error::CleanupError;
use crate::id::{Label, ResourceId};
use crate::report::text;
use crate::resource::Category;

/// What a teardown hands in for each resource that it selected.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: ResourceId,
    pub(crate) label: Label,
    pub(crate) category: Category,
    pub(crate) created_at: &'static Location<'static>,
    /// Its age when its cleanup started.
    pub(crate) lived: Duration,
    pub(crate) outcome: ResourceOutcome,
    /// Since the start of the teardown.
    pub(crate) started: Duration,
    pub(crate) duration: Duration,
    pub(crate) error: Option<CleanupError>,
    pub(crate) skipped: Option<SkipReason>,
    /// A dependent of it that failed before it was cleaned.
    pub(crate) after_failed: Option<Label>,
    pub(crate) note: Option<String>,
    /// Of the records of the dependents that it waited for, the one at the end of the longest chain.
    pub(crate) waited_for: Option<usize>,
}

/// What became of one resource in a teardown. Each selected resource has exactly one.
///
/// # Examples
/// ```
/// use castoff::{ResourceManager, ResourceOutcome};
///
/// let manager = ResourceManager::new("outcomes");
/// let _guard = manager.guard("wobbly", || panic!("no"));
/// let report = manager.cleanup();
/// assert_eq!(report.timeline()[0].outcome, ResourceOutcome::Panicked);
/// assert_eq!(report.timeline()[0].outcome.to_string(), "panicked");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ResourceOutcome {
    /// Its cleanup succeeded.
    Cleaned,
    /// Its cleanup returned an error.
    Failed,
    /// Its cleanup panicked.
    Panicked,
    /// Its cleanup had not ended in time, and was given up: left with its thread or, if it awaits, cancelled.
    TimedOut,
    /// Its cleanup was stopped before its end.
    Cancelled,
    /// Its cleanup was not started; the resource is still live.
    Skipped,
}

impl fmt::Display for ResourceOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ResourceOutcome::Cleaned => "cleaned",
            ResourceOutcome::Failed => "failed",
            ResourceOutcome::Panicked => "panicked",
            ResourceOutcome::TimedOut => "timed out",
            ResourceOutcome::Cancelled => "cancelled",
            ResourceOutcome::Skipped => "skipped",
        })
    }
}

/// Why a teardown did not touch a resource that it selected.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager, SkipReason};
///
/// let manager = ResourceManager::new("reasons");
/// let pool = manager.guard("pool", || ());
/// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
/// let report = manager.cleanup_batch(&[ResourceGuard::id(&pool)]);
/// let reason = &report.skipped()[0].reason;
/// assert_eq!(*reason, SkipReason::DependentOutside { dependents: vec!["server".into()] });
/// assert_eq!(reason.to_string(), "its dependent `server` is live and no part of this teardown");
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum SkipReason {
    /// Live resources depend on it that the teardown did not select. [`force`](crate::Teardown::force) cleans
    /// it anyway.
    DependentOutside {
        /// Their labels.
        dependents: Vec<Label>,
    },
    /// The deadline came before its turn.
    DeadlinePassed,
    /// A cleanup before it went wrong, and the teardown was to [stop there](crate::Teardown::stop_on_error).
    StoppedOnError,
    /// Resources that depend on it were skipped themselves.
    BehindSkipped {
        /// Their labels.
        dependents: Vec<Label>,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = |dependents: &[Label]| dependents.len() != 1;
        match self {
            SkipReason::DependentOutside { dependents } => {
                let (plural, are) = if several(dependents) { ("s", "are") } else { ("", "is") };
                write!(
                    f,
                    "its dependent{plural} {} {are} live and no part of this teardown",
                    text::names(dependents, "`")
                )
            }
            SkipReason::DeadlinePassed => f.write_str("the deadline came first"),
            SkipReason::StoppedOnError => f.write_str("the teardown stopped at the first error"),
            SkipReason::BehindSkipped { dependents } => {
                let (plural, were) = if several(dependents) { ("s", "were") } else { ("", "was") };
                write!(f, "its dependent{plural} {} {were} skipped", text::names(dependents, "`"))
            }
        }
    }
}

/// A resource that a teardown selected and did not touch. It is still live.
///
/// # Examples
/// ```
/// use castoff::{ResourceManager, SkipReason};
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("late");
/// let _guard = manager.guard("journal", || ());
/// let report = manager.teardown().deadline(Duration::ZERO).run();
/// assert_eq!(report.skipped()[0].label, "journal");
/// assert_eq!(report.skipped()[0].reason, SkipReason::DeadlinePassed);
/// assert_eq!(manager.resource_count(), 1);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SkippedResource {
    /// The resource.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// Its kind.
    pub category: Category,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// Why it was not touched.
    pub reason: SkipReason,
}

/// How the resources of one category fared.
///
/// # Examples
/// ```
/// use castoff::{Category, ResourceManager};
///
/// let manager = ResourceManager::new("summaries");
/// let _socket = manager.resource("socket").category(Category::Network).guard(|| Err("reset"))?;
/// let report = manager.cleanup();
/// let summary = &report.by_category()[0];
/// assert_eq!((summary.category, summary.cleaned, summary.failed), (Category::Network, 0, 1));
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CategorySummary {
    /// The category.
    pub category: Category,
    /// How many were cleaned.
    pub cleaned: usize,
    /// How many failed, panicked or were cancelled.
    pub failed: usize,
    /// How many were given up at their limit.
    pub timed_out: usize,
    /// How many were not touched.
    pub skipped: usize,
    /// How long their cleanups took, added up; longer than the teardown itself where they ran side by side.
    pub duration: Duration,
}

impl CategorySummary {
    pub(super) fn new(category: Category) -> CategorySummary {
        CategorySummary {
            category,
            cleaned: 0,
            failed: 0,
            timed_out: 0,
            skipped: 0,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, other: &CategorySummary) {
        self.cleaned += other.cleaned;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.skipped += other.skipped;
        self.duration = self.duration.saturating_add(other.duration);
    }

    pub(super) fn count(&mut self, outcome: ResourceOutcome, duration: Duration) {
        self.duration = self.duration.saturating_add(duration);
        *match outcome {
            ResourceOutcome::Cleaned => &mut self.cleaned,
            ResourceOutcome::Failed | ResourceOutcome::Panicked | ResourceOutcome::Cancelled => {
                &mut self.failed
            }
            ResourceOutcome::TimedOut => &mut self.timed_out,
            ResourceOutcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// One cleanup that a teardown started: when, for how long, and how it went.
///
/// # Examples
/// ```
/// use castoff::{ResourceManager, ResourceOutcome};
///
/// let manager = ResourceManager::new("timeline");
/// let _guard = manager.guard("index", || ());
/// let report = manager.cleanup();
/// let entry = &report.timeline()[0];
/// assert_eq!((&*entry.label, entry.outcome), ("index", ResourceOutcome::Cleaned));
/// assert_eq!(entry.created_at.file(), file!());
/// assert!(entry.started + entry.duration <= report.duration());
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TimelineEntry {
    /// The resource.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// Its kind.
    pub category: Category,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// Its age when its cleanup started.
    pub lived: Duration,
    /// When its cleanup started, since the start of the teardown.
    pub started: Duration,
    /// How long its cleanup took, until it ended or was given up.
    pub duration: Duration,
    /// What became of it.
    pub outcome: ResourceOutcome,
    /// A resource that depends on it and did not end well before it, if there is one.
    pub after_failed: Option<Label>,
    /// What else there is to say, such as that its last resort ran.
    pub note: Option<String>,
    /// The place in the timeline of the dependent whose end let this one start.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) waited_for: Option<usize>,
}

impl TimelineEntry {
    /// The same in a timeline that has `before` other entries first and started `offset` earlier.
    pub(super) fn shifted(self, before: usize, offset: Duration) -> TimelineEntry {
        TimelineEntry {
            started: self.started.saturating_add(offset),
            waited_for: self.waited_for.map(|at| at + before),
            ..self
        }
    }
}
