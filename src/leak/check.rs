//! The checks that nobody has to ask for: at the end of the process and of a test, before anything is cleaned and as
//! severely as they were told; and whenever a signal asks.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::LeakSeverity;
use crate::leak::detect::{Moment, detect};
#[cfg(unix)]
use crate::leak::footprint::Footprint;
use crate::leak::report::LeakReport;
use crate::leak::{AllowListError, LeakAllowList};
use crate::registry::entry::Phase;
use crate::registry::registry;
use crate::registry::tree::Node;

/// How often a check looks whether what is ending has ended, and for how long.
const TRIES: u32 = 20;
const GRACE: Duration = Duration::from_millis(500);

/// How severe a check is: what the environment says, else what the manager was told, else this.
fn severity(node: &Node, otherwise: LeakSeverity) -> LeakSeverity {
    let said = std::env::var("CASTOFF_LEAKS").ok();
    said.as_deref().and_then(LeakSeverity::named).or(node.config.leaks).unwrap_or(otherwise)
}

/// What is live at the end of the process, as severely as asked for. `None` where nobody wants to know.
pub(crate) fn at_exit(root: &Arc<Node>) -> Option<(LeakSeverity, LeakReport)> {
    check(root, Moment::Exit, LeakSeverity::Count)
}

/// The same for a test and its own manager. A rule of the allow-list that matched nothing is no news: it may be for
/// another test.
pub(crate) fn at_end_of_test(node: &Arc<Node>) -> Option<(LeakSeverity, LeakReport)> {
    let (severity, report) = check(node, Moment::Now, LeakSeverity::Fail)?;
    Some((severity, report.without_unmatched()))
}

/// Whether something here is ending, or beginning: who looks for leaks now may look too early.
pub(crate) fn is_settling(node: &Arc<Node>) -> bool {
    let mut settling = false;
    for node in node.subtree() {
        let passing = |phase| matches!(phase, Phase::Entering | Phase::Cleaning);
        registry().scan(&node, |seen| settling |= passing(seen.entry.phase) && seen.is_ours());
    }
    settling
}

/// Gives what is ending the time to end, so that what it frees is not taken for a leak. Not long: what takes longer is
/// no leak either, and a teardown waits for it.
pub(crate) fn settle(node: &Arc<Node>) {
    let start = Instant::now();
    // Each pause is longer than the last, and all of them are GRACE: what ends soon is seen to end soon.
    let step = GRACE * 2 / (TRIES * (TRIES + 1));
    for pause in 1..=TRIES {
        if !is_settling(node) || start.elapsed() >= GRACE {
            return;
        }
        thread::sleep(step * pause);
    }
}

fn check(root: &Arc<Node>, moment: Moment, otherwise: LeakSeverity) -> Option<(LeakSeverity, LeakReport)> {
    let severity = severity(root, otherwise);
    if severity == LeakSeverity::Off {
        return None;
    }
    Some((severity, look(root, moment)))
}

/// What is live now and should not be, less what the environment allows.
#[cfg(unix)]
pub(crate) fn now(root: &Arc<Node>) -> LeakReport {
    look(root, Moment::Now).with_footprint(Footprint::capture().ok())
}

fn look(root: &Arc<Node>, moment: Moment) -> LeakReport {
    let report = LeakReport::new(root.name.clone(), detect(root, moment));
    match allowed() {
        Ok(Some(list)) => report.allow(&list),
        Ok(None) => report,
        Err(error) => report.with_note(error.to_string()),
    }
}

/// The list that the environment names.
fn allowed() -> Result<Option<LeakAllowList>, AllowListError> {
    match std::env::var_os("CASTOFF_LEAKS_ALLOW") {
        Some(path) if !path.is_empty() => LeakAllowList::read(path).map(Some),
        _ => Ok(None),
    }
}
