//! From the records of a teardown, and of its later waves, to a report.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use crate::id::{Label, ResourceId};
use crate::report::TeardownReport;
use crate::report::entry::{CategorySummary, Record, ResourceOutcome, SkippedResource, TimelineEntry};

impl TeardownReport {
    /// The report of these records: in the order in which the cleanups started, those that were skipped last.
    pub(crate) fn new(manager: Label, records: Vec<Record>, duration: Duration) -> TeardownReport {
        let mut report = TeardownReport {
            manager,
            handed_over: false,
            duration,
            timeline: Vec::with_capacity(records.len()),
            skipped: Vec::new(),
            errors: Vec::new(),
            by_category: Vec::new(),
            critical_path: OnceLock::new(),
        };
        for record in records {
            report.enter(record);
        }
        report.summarize();
        report
    }

    /// The empty report of a teardown that was asked for from inside a cleanup, and that the running one
    /// does.
    pub(crate) fn handed_over(manager: Label) -> TeardownReport {
        TeardownReport { handed_over: true, ..TeardownReport::new(manager, Vec::new(), Duration::ZERO) }
    }

    /// Adds what a later wave did, `offset` after this teardown had started. What was skipped here and was
    /// selected again there has the later outcome alone.
    pub(crate) fn append(&mut self, later: TeardownReport, offset: Duration) {
        if !self.skipped.is_empty() {
            let again: HashSet<ResourceId> = later
                .timeline
                .iter()
                .map(|entry| entry.id)
                .chain(later.skipped.iter().map(|one| one.id))
                .collect();
            self.skipped.retain(|one| !again.contains(&one.id));
        }
        let before = self.timeline.len();
        self.timeline.extend(later.timeline.into_iter().map(|entry| entry.shifted(before, offset)));
        self.skipped.extend(later.skipped);
        self.errors.extend(later.errors);
        self.duration = offset.saturating_add(later.duration);
        self.handed_over |= later.handed_over;
        self.summarize();
    }

    fn enter(&mut self, record: Record) {
        debug_assert_eq!(
            record.skipped.is_some(),
            record.outcome == ResourceOutcome::Skipped,
            "{}",
            record.label
        );
        let Record { id, label, category, created_at, .. } = record;
        if let Some(reason) = record.skipped {
            self.skipped.push(SkippedResource { id, label, category, created_at, reason });
            return;
        }
        // `waited_for` counts records: it fits the timeline because no skipped one stands before a started
        // one.
        debug_assert!(self.skipped.is_empty(), "`{label}` was started and stands behind a skipped one");
        if record.outcome != ResourceOutcome::Cleaned {
            self.errors.extend(record.error);
        }
        self.timeline.push(TimelineEntry {
            id,
            label,
            category,
            created_at,
            lived: record.lived,
            started: record.started,
            duration: record.duration,
            outcome: record.outcome,
            after_failed: record.after_failed,
            note: record.note,
            waited_for: record.waited_for,
        });
    }

    fn summarize(&mut self) {
        let mut summaries: Vec<CategorySummary> = Vec::new();
        let started = self.timeline.iter().map(|entry| (entry.category, entry.outcome, entry.duration));
        let skipped = self.skipped.iter().map(|one| (one.category, ResourceOutcome::Skipped, Duration::ZERO));
        for (category, outcome, duration) in started.chain(skipped) {
            let at = summaries.binary_search_by_key(&category, |known| known.category).unwrap_or_else(|at| {
                summaries.insert(at, CategorySummary::new(category));
                at
            });
            summaries[at].count(outcome, duration);
        }
        self.by_category = summaries;
        self.critical_path = OnceLock::new();
    }
}
