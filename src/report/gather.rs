//! From the records of a teardown, and of its later waves, to a report.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use crate::id::{Label, ResourceId};
use crate::report::TeardownReport;
use crate::report::entry::{CategorySummary, Record, ResourceOutcome, SkippedResource, TimelineEntry};
use crate::resource::Category;

impl TeardownReport {
    /// The report of these records: in the order in which the cleanups started, those that were skipped last.
    pub(crate) fn new(
        manager: Label,
        records: impl IntoIterator<Item = Record>,
        duration: Duration,
    ) -> TeardownReport {
        let records = records.into_iter();
        let mut report = TeardownReport {
            manager,
            handed_over: false,
            duration,
            timeline: Vec::with_capacity(records.size_hint().0),
            skipped: Vec::new(),
            errors: Vec::new(),
            by_category: Vec::new(),
            unlisted: Vec::new(),
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
            let ids =
                || later.timeline.iter().map(|entry| entry.id).chain(later.skipped.iter().map(|one| one.id));
            let mut again: HashSet<ResourceId> = HashSet::new();
            if again.try_reserve(later.timeline.len() + later.skipped.len()).is_ok() {
                again.extend(ids());
                self.skipped.retain(|one| !again.contains(&one.id));
            } else {
                self.skipped.retain(|one| ids().all(|id| id != one.id));
            }
        }
        self.extend_timeline(later.timeline, offset);
        for one in later.skipped {
            self.list_skipped(one);
        }
        for one in later.unlisted {
            summary(&mut self.unlisted, one.category).add(&one);
        }
        if self.errors.try_reserve(later.errors.len()).is_ok() {
            self.errors.extend(later.errors);
        }
        self.duration = offset.saturating_add(later.duration);
        self.handed_over |= later.handed_over;
        self.summarize();
    }

    /// Adds entries; where memory for all of them is refused, those that are not cleaned, and counts the others.
    fn extend_timeline(&mut self, later: Vec<TimelineEntry>, offset: Duration) {
        let before = self.timeline.len();
        let room = self.timeline.try_reserve(later.len()).is_ok();
        for entry in later {
            let keep =
                room || entry.outcome != ResourceOutcome::Cleaned && self.timeline.try_reserve(1).is_ok();
            if !keep {
                self.count_unlisted(entry.category, entry.outcome, entry.duration);
                continue;
            }
            let mut entry = entry.shifted(before, offset);
            if !room {
                // The places that it counts by are no longer those of its own list.
                entry.waited_for = None;
            }
            self.timeline.push(entry);
        }
    }

    /// Forgets those of the skipped that have ended since.
    pub(crate) fn forget_skipped(&mut self, has_ended: impl Fn(ResourceId) -> bool) {
        self.skipped.retain(|one| !has_ended(one.id));
        self.summarize();
    }

    /// Takes the skipped out: their turn comes again.
    pub(crate) fn take_skipped(&mut self) -> Vec<SkippedResource> {
        let skipped = std::mem::take(&mut self.skipped);
        self.summarize();
        skipped
    }

    /// Lists a skipped resource, or only counts it where memory for that is refused. The figures follow with
    /// [`summarize`](TeardownReport::summarize).
    pub(crate) fn list_skipped(&mut self, one: SkippedResource) {
        match self.skipped.try_reserve(1) {
            Ok(()) => self.skipped.push(one),
            Err(_) => self.count_skipped(one.category),
        }
    }

    /// Counts a skipped resource that can't be listed.
    pub(crate) fn count_skipped(&mut self, category: Category) {
        self.count_unlisted(category, ResourceOutcome::Skipped, Duration::ZERO);
    }

    /// How long it took in the end.
    pub(crate) fn end(&mut self, duration: Duration) {
        self.duration = duration;
    }

    fn count_unlisted(&mut self, category: Category, outcome: ResourceOutcome, duration: Duration) {
        summary(&mut self.unlisted, category).count(outcome, duration);
    }

    /// How many cleanups were started.
    pub(crate) fn started(&self) -> usize {
        self.cleaned() + self.failed() + self.timed_out()
    }

    #[inline(always)] // a record is large, and would be moved about on the way
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

    /// Reckons the figures anew.
    pub(crate) fn summarize(&mut self) {
        let mut summaries = self.unlisted.clone();
        // Most stand beside one of their category.
        for alike in self.timeline.chunk_by(|one, next| one.category == next.category) {
            let summary = summary(&mut summaries, alike[0].category);
            alike.iter().for_each(|entry| summary.count(entry.outcome, entry.duration));
        }
        for one in &self.skipped {
            summary(&mut summaries, one.category).count(ResourceOutcome::Skipped, Duration::ZERO);
        }
        self.by_category = summaries;
        self.critical_path = OnceLock::new();
    }
}

/// The summary of a category, made where there is none.
fn summary(summaries: &mut Vec<CategorySummary>, category: Category) -> &mut CategorySummary {
    let at = summaries.binary_search_by_key(&category, |known| known.category).unwrap_or_else(|at| {
        summaries.insert(at, CategorySummary::new(category));
        at
    });
    &mut summaries[at]
}
