//! A report against what the naive model said beforehand: each selected resource has one outcome, the right one, and
//! every view of the report tells the same story.

use std::collections::BTreeMap;

use castoff::{
    Category, CleanupErrorKind, Label, ResourceId, ResourceOutcome, SkipReason, SkippedResource,
    TeardownReport,
};

use super::history::Ending;
use super::naive::{Naive, Plan, Skipped};
use super::probe::failure;

/// A report, and what it is compared with.
pub(crate) struct Comparison<'c> {
    pub(crate) report: &'c TeardownReport,
    pub(crate) plan: &'c Plan,
    pub(crate) naive: &'c Naive,
    pub(crate) ids: &'c [Option<ResourceId>],
}

impl Comparison<'_> {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_starts()?;
        self.check_unordered()
    }

    /// What holds for a teardown with any concurrency.
    pub(crate) fn check_unordered(&self) -> Result<(), String> {
        self.check_counts()?;
        self.check_timeline()?;
        self.check_errors()?;
        self.check_skipped()?;
        self.check_categories()
    }

    fn id(&self, resource: usize) -> ResourceId {
        self.ids[resource].expect("what is selected has an id")
    }

    fn ending(&self, resource: usize) -> Ending {
        self.naive.resources[resource].profile.ending
    }

    fn failing(&self) -> Vec<usize> {
        self.plan.order.iter().copied().filter(|&one| self.ending(one) != Ending::Ends).collect()
    }

    fn check_counts(&self) -> Result<(), String> {
        let Comparison { report, plan, .. } = self;
        let failed = self.failing().len();
        same("processed()", &report.processed(), &plan.selected.len())?;
        same("cleaned()", &report.cleaned(), &(plan.order.len() - failed))?;
        same("failed()", &report.failed(), &failed)?;
        same("timed_out()", &report.timed_out(), &0)?;
        same("is_success()", &report.is_success(), &(report.cleaned() == plan.selected.len()))?;
        same("is_handed_over()", &report.is_handed_over(), &false)
    }

    /// One entry for each that ran, with its outcome; those that were skipped may have one too.
    fn check_timeline(&self) -> Result<(), String> {
        let entries = self.report.timeline();
        let started = entries.iter().filter(|entry| entry.outcome != ResourceOutcome::Skipped);
        let mut seen: Vec<_> = started.map(|entry| (entry.id, entry.outcome)).collect();
        let mut wanted: Vec<_> =
            self.plan.order.iter().map(|&one| (self.id(one), self.outcome(one))).collect();
        seen.sort_by_key(|entry| entry.0);
        wanted.sort_by_key(|entry| entry.0);
        same("timeline()", &seen, &wanted)?;

        let stray =
            self.report.critical_path().iter().find(|step| !wanted.iter().any(|(id, _)| *id == step.id));
        stray.map_or(Ok(()), |step| Err(format!("critical_path() has {step:?}, which did not run")))
    }

    /// One after the other, as planned.
    fn check_starts(&self) -> Result<(), String> {
        let entries = self.report.timeline();
        let start =
            |&one: &usize| entries.iter().find(|entry| entry.id == self.id(one)).map(|entry| entry.started);
        let starts: Vec<_> = self.plan.order.iter().filter_map(start).collect();
        if starts.is_sorted() {
            Ok(())
        } else {
            Err(format!("timeline(), in the planned order, starts at {starts:?}"))
        }
    }

    fn outcome(&self, resource: usize) -> ResourceOutcome {
        match self.ending(resource) {
            Ending::Ends => ResourceOutcome::Cleaned,
            Ending::Fails => ResourceOutcome::Failed,
            Ending::Panics => ResourceOutcome::Panicked,
        }
    }

    fn check_errors(&self) -> Result<(), String> {
        let mut wrong = self.failing();
        for error in self.report.errors() {
            let Some(position) = wrong.iter().position(|&one| self.id(one) == error.id) else {
                return Err(format!("errors() has {error:?}, which should not be there, or not twice"));
            };
            let resource = wrong.remove(position);
            check_kind(&error.kind, resource, self.ending(resource))?;
            same("an error's label", &*error.label, label(resource).as_str())?;
        }
        same("failed, but not in errors()", &wrong, &Vec::new())
    }

    fn check_skipped(&self) -> Result<(), String> {
        let mut wanted: Vec<&Skipped> = self.plan.skipped.iter().collect();
        for seen in self.report.skipped() {
            let Some(position) = wanted.iter().position(|skip| self.id(skip.resource) == seen.id) else {
                return Err(format!("skipped() has {seen:?}, which should not be there, or not twice"));
            };
            check_reason(seen, wanted.remove(position))?;
        }
        same("missing in skipped()", &wanted, &Vec::new())
    }

    fn check_categories(&self) -> Result<(), String> {
        let mut wanted: BTreeMap<Category, (usize, usize, usize)> = BTreeMap::new();
        let category = |one: usize| self.naive.resources[one].profile.category;
        for &one in &self.plan.order {
            let counts = wanted.entry(category(one)).or_default();
            if self.ending(one) == Ending::Ends { counts.0 += 1 } else { counts.1 += 1 }
        }
        for skip in &self.plan.skipped {
            wanted.entry(category(skip.resource)).or_default().2 += 1;
        }
        let summaries = self.report.by_category().iter();
        let seen =
            summaries.map(|one| (one.category, (one.cleaned, one.failed + one.timed_out, one.skipped)));
        let mut seen: Vec<_> = seen.filter(|(_, counts)| *counts != (0, 0, 0)).collect();
        seen.sort_unstable();
        same("by_category()", &seen, &wanted.into_iter().collect::<Vec<_>>())
    }
}

/// The label under which a resource is registered.
pub(crate) fn label(resource: usize) -> String {
    format!("r{resource}")
}

/// The error of a cleanup carries what the cleanup returned, or its panic's message.
pub(crate) fn check_kind(kind: &CleanupErrorKind, resource: usize, ending: Ending) -> Result<(), String> {
    let (ended, message) = match kind {
        CleanupErrorKind::Failed(error) => (Ending::Fails, error.to_string()),
        CleanupErrorKind::Panicked(message) => (Ending::Panics, message.clone()),
        other => return Err(format!("r{resource} ended in {other:?}, not as {ending:?}")),
    };
    same("how a cleanup ended", &ended, &ending)?;
    same("what a cleanup said", &message, &failure(resource))
}

/// Where several reasons hold, any of them will do.
fn check_reason(seen: &SkippedResource, skip: &Skipped) -> Result<(), String> {
    let fits = match &seen.reason {
        SkipReason::DependentOutside { dependents } => names(dependents, &skip.outside, &skip.behind),
        SkipReason::BehindSkipped { dependents } => names(dependents, &skip.behind, &skip.outside),
        SkipReason::StoppedOnError => skip.stopped,
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("skipped() gives {:?} for {skip:?}", seen.reason)) }
}

/// Whether a list names all that it has to, and nothing besides that but what it may.
pub(crate) fn names(labels: &[Label], all_of: &[usize], perhaps: &[usize]) -> bool {
    let named = |&one: &usize| labels.iter().any(|seen| **seen == *label(one));
    let known = |seen: &Label| all_of.iter().chain(perhaps).any(|&one| **seen == *label(one));
    !all_of.is_empty() && all_of.iter().all(named) && labels.iter().all(known)
}

/// Says what differs, and how.
pub(crate) fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    seen: &T,
    wanted: &T,
) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{what}: saw {seen:?}, wanted {wanted:?}")) }
}
