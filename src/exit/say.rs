//! What an ending process says, on stderr alone: reports, what is waited for, what was left.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Instant;

use crate::events::{ResourceEvent, Subscription};
use crate::exit::options::{ExitOptions, ExitReporting};
use crate::exit::sys;
use crate::id::{Label, ResourceId};
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::report::{TeardownReport, text};
use crate::sync::Lock;

/// Resources that are named before the rest is only counted.
const NAMED: usize = 8;

static REPORTING: AtomicU8 = AtomicU8::new(ExitReporting::OnFailure as u8);
static PROGRESS: AtomicBool = AtomicBool::new(true);

/// What options want said.
pub(super) struct Manner {
    reporting: ExitReporting,
    progress: bool,
}

impl Manner {
    pub(super) fn of(options: &ExitOptions) -> Manner {
        Manner { reporting: options.reporting, progress: options.progress }
    }

    /// From now on it is said like this.
    pub(super) fn set(&self) {
        REPORTING.store(self.reporting as u8, Relaxed);
        PROGRESS.store(self.progress, Relaxed);
    }
}

/// The report, if it is wanted, in one write. Displays foreign errors, and may wait for who reads it.
pub(super) fn report(why: &str, report: &TeardownReport) {
    if is_wanted(REPORTING.load(Relaxed), report.is_success()) {
        sys::write_stderr(&format!("castoff: {why}: {report}\n"));
    }
}

fn is_wanted(reporting: u8, is_success: bool) -> bool {
    match reporting {
        never if never == ExitReporting::Never as u8 => false,
        always if always == ExitReporting::Always as u8 => true,
        _ => !is_success,
    }
}

/// What is left in these managers: "2 resources were not cleaned: `a` (src/a.rs:1:2), ...".
pub(super) fn left(nodes: &[Arc<Node>]) -> String {
    let (mut seen, mut named) = (HashSet::new(), Vec::new());
    for node in nodes.iter().flat_map(Node::subtree) {
        registry().scan(&node, |found| {
            if found.is_ours() && seen.insert(found.id) && named.len() < NAMED {
                named.push((found.entry.label.clone(), found.entry.created_at));
            }
        });
    }
    let names: Vec<String> =
        named.iter().map(|(label, site)| format!("`{}` ({site})", text::label(label))).collect();
    let more = match seen.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match seen.len() {
        0 => String::from("everything was cleaned"),
        1 => format!("1 resource was not cleaned: {}", names.join("")),
        count => format!("{count} resources were not cleaned: {}{more}", names.join(", ")),
    }
}

/// While it lives, a teardown of this tree that waits long for one cleanup says so.
pub(super) fn progress(node: &Arc<Node>) -> Option<Subscription> {
    let root = node.upwards().last().unwrap_or(node).clone();
    let waits: Lock<Option<Wait>> = Lock::new(None);
    let listener = {
        let root = root.clone();
        move |event: &ResourceEvent| {
            if let ResourceEvent::SlowCleanup { id, label } = event
                && let Some(line) = waiting(&root, &waits, *id, label)
            {
                // Told by the thread that watches the teardown: it must not wait for a reader.
                sys::write_stderr_if_ready(&line);
            }
        }
    };
    PROGRESS.load(Relaxed).then(|| root.listeners.subscribe(Arc::new(listener)))
}

/// What is waited for, and when that was first told.
struct Wait {
    id: ResourceId,
    told: Instant,
}

/// `None` where it has ended meanwhile.
fn waiting(root: &Arc<Node>, waits: &Lock<Option<Wait>>, id: ResourceId, label: &Label) -> Option<String> {
    let slow_after = registry().node_of(id)?.config.slow_after;
    let created_at = registry().info(root, id)?.created_at;
    let told = {
        let mut wait = waits.lock();
        if wait.as_ref().is_none_or(|wait| wait.id != id) {
            *wait = Some(Wait { id, told: Instant::now() });
        }
        wait.as_ref().map(|wait| wait.told)?
    };
    let (label, waited) = (text::label(label), text::duration(told.elapsed().saturating_add(slow_after)));
    let behind = match behind(root, id) {
        0 => String::new(),
        1 => String::from("; 1 waits behind it"),
        count => format!("; {count} wait behind it"),
    };
    Some(format!("castoff: waiting {waited} for `{label}` ({created_at}){behind}\n"))
}

/// How many can't be cleaned before it is: what it depends on, and what these do.
fn behind(root: &Arc<Node>, id: ResourceId) -> usize {
    let graph = root.tree.graph.lock();
    let (mut found, mut next) = (HashSet::new(), vec![id]);
    while let Some(id) = next.pop() {
        next.extend(graph.dependencies(id).into_iter().filter(|id| found.insert(*id)));
    }
    found.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::entry::Phase::Live;
    use crate::registry::tests::{child, manager, registered};

    #[test]
    fn what_is_left_is_counted_once_and_the_first_few_are_named() {
        let above = manager();
        let below = child("below", &above);
        assert_eq!(left(std::slice::from_ref(&above)), "everything was cleaned");
        registered(&below, "pool", Live);
        let both = [Arc::clone(&below), above.clone()];
        let one = left(&both);
        let start = format!("1 resource was not cleaned: `pool` ({}:", file!());
        assert!(one.starts_with(&start) && one.ends_with(')'), "{one}");
        registered(&above, "server", Live);
        let two = left(&both);
        assert!(
            two.starts_with("2 resources were not cleaned: `pool` (") && two.contains("), `server` ("),
            "{two}"
        );
        for _ in 0..NAMED {
            registered(&above, "session", Live);
        }
        let many = left(&both);
        assert!(many.starts_with(&format!("{} resources were not cleaned: ", NAMED + 2)), "{many}");
        assert!(many.ends_with(") and 2 more"), "{many}");
    }

    #[test]
    fn who_waits_long_is_heard_where_that_is_wanted_and_only_as_long_as_somebody_listens() {
        let above = manager();
        let below = child("below", &above);
        assert!(above.listeners.is_empty());
        let subscription = progress(&below);
        assert_eq!((subscription.is_some(), above.listeners.is_empty()), (true, false));
        drop(subscription);
        assert!(above.listeners.is_empty());
    }

    #[test]
    fn a_report_is_said_always_never_or_where_something_has_failed() {
        let wanted = |when: ExitReporting| [true, false].map(|success| is_wanted(when as u8, success));
        assert_eq!(wanted(ExitReporting::Always), [true, true]);
        assert_eq!(wanted(ExitReporting::OnFailure), [false, true]);
        assert_eq!(wanted(ExitReporting::Never), [false, false]);
    }

    #[test]
    fn what_is_waited_for_is_said_with_how_long_and_how_many_wait_behind_it() {
        let node = manager();
        let [pool, cache, server, other] =
            ["pool", "cache", "server", "other"].map(|label| registered(&node, label, Live));
        for (above, below) in [(server, cache), (cache, pool), (server, pool)] {
            registry().add_dependency(&node, above, below).expect("both are live");
        }
        assert_eq!([server, cache, pool, other].map(|id| behind(&node, id)), [2, 1, 0, 0]);
        let waits = Lock::new(None);
        let said = |id, label| waiting(&node, &waits, id, &Label::from(label)).expect("it is live");
        let first = said(server, "server");
        assert!(first.starts_with("castoff: waiting ") && first.contains(" for `server` ("), "{first}");
        assert!(first.ends_with("); 2 wait behind it\n"), "{first}");
        let told = |id| waits.lock().as_ref().filter(|wait| wait.id == id).map(|wait| wait.told);
        let since = told(server);
        assert!(since.is_some() && said(cache, "cache").ends_with("); 1 waits behind it\n"));
        assert!(told(server).is_none() && told(cache) >= since);
        let since = told(cache);
        assert!(said(cache, "cache").contains(" for `cache` (") && told(cache) == since);
        assert!(said(pool, "pool").ends_with(")\n"));
        assert!(registry().take_back(other).is_some());
        assert_eq!(waiting(&node, &waits, other, &Label::from("other")), None);
    }
}
