//! The three ways in which the service ends, each with what has to be true of it.

#[cfg(feature = "full")]
use std::{sync::Arc, time::Duration};

use castoff::{CleanupError, CleanupErrorKind, Label, ResourceManager, TeardownReport};

use crate::checklist::{Checklist, Finding};
use crate::faults;
use crate::gate;
use crate::journal::Journal;
use crate::stack::Stack;

/// One call cleans everything, while all guards are still held; dropping them later does nothing more.
pub(crate) fn batch(manager: &ResourceManager, stack: Stack, checklist: &mut Checklist) {
    let report = tear_down(manager, &stack);
    drop(stack);
    println!("{report}");
    checklist.check("everything cleaned", clean(&report));
    checklist.check("what is critical went first", gate_first(&report));
}

/// No call at all: the guards go, dependencies first, and each cleanup waits for its turn.
pub(crate) fn wrong_order(
    manager: &ResourceManager,
    stack: Stack,
    journal: &Journal,
    checklist: &mut Checklist,
) {
    let live = &manager.resources()[..];
    // The fields of the stack and the resources are both in the order in which they were started.
    println!(
        "Dropping the guards in the worst order:\n  {}",
        list(live.iter().map(|resource| &resource.label))
    );
    let_go(manager, stack);
    println!("They were cleaned in this order:\n  {}\n", list(&journal.ended(live)));
    checklist.check("put off until their dependents had gone", journal.deferrals_of(live));
    checklist.check("no cleanup failed", journal.failures());
}

/// The same call as for [`batch`], while some cleanups go wrong.
pub(crate) fn faulty(manager: &ResourceManager, stack: Stack, checklist: &mut Checklist) {
    let report = tear_down(manager, &stack);
    drop(stack);
    println!("{report}");
    let wanted = faults::wanted();
    checklist.check(&format!("report names the {} faults", faults::COUNT), faults_in(&report, &wanted));
    checklist.check("everything else cleaned", all_but(wanted.len(), &report));
    checklist.check("what is critical went first", gate_first(&report));
}

#[cfg(not(feature = "full"))]
fn tear_down(manager: &ResourceManager, _: &Stack) -> TeardownReport {
    manager.shutdown()
}

/// Both halves in one teardown, along the same dependencies: futures and functions, up to eight at a time. The
/// service's runtime goes on meanwhile, and serves what the cleanups await.
#[cfg(feature = "full")]
fn tear_down(manager: &ResourceManager, stack: &Stack) -> TeardownReport {
    let teardown = manager.teardown().concurrency(8).deadline(Duration::from_secs(10));
    stack.runtime.block_on(teardown.run_async())
}

#[cfg(not(feature = "full"))]
fn let_go(_: &ResourceManager, stack: Stack) {
    drop(stack);
}

/// On the runtime, where a drop can't wait: a cleanup that awaits is handed over, and holds back what it needs
/// until it has ended.
#[cfg(feature = "full")]
fn let_go(manager: &ResourceManager, stack: Stack) {
    // It has to outlive the stack: a runtime must not be dropped on itself.
    let runtime = Arc::clone(&stack.runtime);
    runtime.block_on(async {
        drop(stack);
        println!("Dropped: {} of them have not ended yet", manager.resource_count());
        manager.settle_async().await;
    });
}

fn list<'l>(labels: impl IntoIterator<Item = &'l Label>) -> String {
    labels.into_iter().map(|label| &**label).collect::<Vec<_>>().join(", ")
}

fn clean(report: &TeardownReport) -> Finding {
    if report.is_success() { all_but(0, report) } else { Err(format!("{} errors", report.errors().len())) }
}

fn all_but(faults: usize, report: &TeardownReport) -> Finding {
    let counts = format!("{} of {}", report.cleaned(), report.processed());
    if report.cleaned() + faults == report.processed() { Ok(counts) } else { Err(counts) }
}

/// It was among the first to be started, and so would have been one of the last to go.
fn gate_first(report: &TeardownReport) -> Finding {
    match &report.timeline()[0].label {
        first if **first == *gate::LABEL => Ok(gate::LABEL.to_owned()),
        other => Err(format!("{other} went first")),
    }
}

fn faults_in(report: &TeardownReport, wanted: &[String]) -> Finding {
    let mut found: Vec<String> = report.errors().iter().map(fault).collect();
    found.sort();
    if found == wanted { Ok(found.join("; ")) } else { Err(format!("found {found:?}")) }
}

fn fault(error: &CleanupError) -> String {
    let label = &*error.label;
    match &error.kind {
        CleanupErrorKind::Failed(_) => format!("failed: {label}"),
        // Whichever worker took that request.
        CleanupErrorKind::Panicked(_) if label.starts_with("worker ") => "panicked: a worker".to_owned(),
        CleanupErrorKind::Panicked(_) => format!("panicked: {label}"),
        CleanupErrorKind::TimedOut(_) => format!("timed out: {label}"),
        other => format!("{other:?}: {label}"),
    }
}
