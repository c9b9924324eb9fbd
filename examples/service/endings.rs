//! The three ways in which the service ends, each with what has to be true of it.

use castoff::{CleanupError, CleanupErrorKind, Label, ResourceInfo, ResourceManager, TeardownReport};

use crate::checklist::{Checklist, Finding};
use crate::journal::Journal;
use crate::stack::Stack;
use crate::{checksums, database};

/// One call cleans everything, while all guards are still held; dropping them later does nothing more.
pub(crate) fn batch(manager: &ResourceManager, stack: Stack, checklist: &mut Checklist) {
    let report = manager.shutdown();
    drop(stack);
    println!("{report}");
    checklist.check("everything cleaned", clean(&report));
}

/// No call at all: the guards go, dependencies first, and each cleanup waits for its turn.
pub(crate) fn wrong_order(live: &[ResourceInfo], stack: Stack, journal: &Journal, checklist: &mut Checklist) {
    // The fields of the stack and the resources are both in the order in which they were started.
    println!(
        "Dropping the guards in the worst order:\n  {}",
        list(live.iter().map(|resource| &resource.label))
    );
    drop(stack);
    println!("They were cleaned in this order:\n  {}\n", list(&journal.ended(live)));
    checklist.check("put off until their dependents had gone", journal.deferrals_of(live));
    checklist.check("no cleanup failed", journal.failures());
}

fn list<'l>(labels: impl IntoIterator<Item = &'l Label>) -> String {
    labels.into_iter().map(|label| &**label).collect::<Vec<_>>().join(", ")
}

/// The same call as for [`batch`], with three cleanups that go wrong.
pub(crate) fn faulty(manager: &ResourceManager, stack: Stack, checklist: &mut Checklist) {
    let report = manager.shutdown();
    drop(stack);
    println!("{report}");
    checklist.check("report names the three faults", three_faults(&report));
    checklist.check("everything else cleaned", all_but(3, &report));
}

fn clean(report: &TeardownReport) -> Finding {
    if report.is_success() { all_but(0, report) } else { Err(format!("{} errors", report.errors().len())) }
}

fn all_but(faults: usize, report: &TeardownReport) -> Finding {
    let counts = format!("{} of {}", report.cleaned(), report.processed());
    if report.cleaned() + faults == report.processed() { Ok(counts) } else { Err(counts) }
}

fn three_faults(report: &TeardownReport) -> Finding {
    let mut found: Vec<String> = report.errors().iter().map(fault).collect();
    found.sort();
    let wanted = [
        format!("failed: {}", database::LABEL),
        "panicked: a worker".to_owned(),
        format!("timed out: {}", checksums::LABEL),
    ];
    if found == wanted { Ok(found.join("; ")) } else { Err(format!("found {found:?}")) }
}

fn fault(error: &CleanupError) -> String {
    let label = &*error.label;
    match &error.kind {
        CleanupErrorKind::Failed(_) => format!("failed: {label}"),
        // Whichever worker took that request.
        CleanupErrorKind::Panicked(_) if label.starts_with("worker ") => "panicked: a worker".to_owned(),
        CleanupErrorKind::TimedOut(_) => format!("timed out: {label}"),
        other => format!("{other:?}: {label}"),
    }
}
