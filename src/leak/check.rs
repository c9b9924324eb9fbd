//! The checks of a whole process: at its end, before anything is cleaned and as severely as it was told, and whenever a
//! signal asks.

use std::sync::Arc;

use crate::config::LeakSeverity;
use crate::leak::detect::{Moment, detect};
#[cfg(unix)]
use crate::leak::footprint::Footprint;
use crate::leak::report::LeakReport;
use crate::leak::{AllowListError, LeakAllowList};
use crate::registry::tree::Node;

/// How severe a check is: what the environment says, else what the manager was told, else this.
fn severity(node: &Node, otherwise: LeakSeverity) -> LeakSeverity {
    let said = std::env::var("CASTOFF_LEAKS").ok();
    said.as_deref().and_then(LeakSeverity::named).or(node.config.leaks).unwrap_or(otherwise)
}

/// What is live at the end of the process, as severely as asked for. `None` where nobody wants to know.
pub(crate) fn at_exit(root: &Arc<Node>) -> Option<(LeakSeverity, LeakReport)> {
    let severity = severity(root, LeakSeverity::Count);
    if severity == LeakSeverity::Off {
        return None;
    }
    Some((severity, look(root, Moment::Exit)))
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
