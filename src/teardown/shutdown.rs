//! The last teardown: wave by wave, what registers meanwhile included, until the manager is sealed.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::after;
use crate::id::ResourceId;
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::report::{ResourceOutcome, TeardownReport};
#[cfg(feature = "tokio")]
use crate::teardown::away::{Cancel, away};
use crate::teardown::choose::Selection;
use crate::teardown::run::Options;
use crate::teardown::{Entry, ask, pass};

/// Waves that new registrations are taken along in before the manager is sealed.
const OPEN_WAVES: usize = 2;

/// How often a wave that ended nothing is followed by another, for who had begun to register before the seal.
const LATE_WAVES: usize = 100;

/// Cleans everything in this manager and below, then seals it.
pub(crate) fn shutdown(node: &Arc<Node>, reason: CleanupReason) -> TeardownReport {
    shutdown_within(node, reason, node.config.shutdown_deadline)
}

/// The same within another deadline than the manager's.
pub(crate) fn shutdown_within(node: &Arc<Node>, reason: CleanupReason, deadline: Duration) -> TeardownReport {
    shut_down(node, Options { deadline: Some(deadline), ..Options::plain(reason) })
}

/// The same within the manager's, without blocking the thread that awaits.
///
/// # Cancel safety
/// As [`Teardown::run_async`](crate::Teardown::run_async): what runs goes on, the rest stays live, and the manager is
/// not sealed unless it had been by then.
#[cfg(feature = "tokio")]
pub(crate) async fn shutdown_async(node: &Arc<Node>, reason: CleanupReason) -> TeardownReport {
    let (node, cancel) = (node.clone(), Cancel::default());
    let options = Options { blocks_runtime: false, cancel: Some(cancel.clone()), ..Options::plain(reason) };
    away(cancel, move || shut_down(&node, options)).await
}

fn shut_down(node: &Arc<Node>, options: Options) -> TeardownReport {
    ask(node, move |node, start, entry| waves(node, &options, start, entry))
}

fn waves(node: &Arc<Node>, options: &Options, start: Instant, mut entry: Entry) -> TeardownReport {
    let deadline = options.deadline.unwrap_or(node.config.shutdown_deadline);
    let half = after(start, deadline / 2);
    let mut skip: HashSet<ResourceId> = entry.inside.iter().copied().collect();
    let mut report: Option<TeardownReport> = None;
    let mut wave = 0;
    let (mut sealed_wave, mut late_waves) = (false, 0);
    loop {
        let now = if wave == 0 { start } else { Instant::now() };
        let offset = now.duration_since(start);
        let selection = Selection { not_ids: skip.clone(), ..Selection::default() };
        let pass_options =
            Options { deadline: Some(deadline.saturating_sub(offset)), seal_at: half, ..options.clone() };
        // The turn stays for the next waves: who else waits, waits until the last.
        let later = pass(node, &selection, pass_options, now, &mut entry);
        if options.is_cancelled() {
            return later;
        }
        wave += 1;
        let ended = later.started();
        // What was given up may live on with somebody else. What was cleaned does not, and is no list to keep.
        let given_up = later.timeline().iter().filter(|entry| entry.outcome != ResourceOutcome::Cleaned);
        skip.extend(given_up.map(|entry| entry.id));
        match &mut report {
            None => report = Some(later),
            Some(report) => report.append(later, offset),
        }
        let late = half.is_some_and(|half| Instant::now() >= half);
        let is_last = wave >= OPEN_WAVES || late || ended == 0 || is_empty(node, &skip);
        let was_sealed = std::mem::replace(&mut sealed_wave, is_last);
        if sealed_wave {
            seal(node);
        }
        let over = start.elapsed() >= deadline;
        // Empty after the seal: before it, the next may be registering already.
        if over || (sealed_wave && is_empty(node, &skip)) {
            break;
        }
        // After the seal a wave that ends nothing is the last, unless somebody is about to be done with registering,
        // or with dropping what held others back.
        if was_sealed && ended == 0 {
            late_waves += 1;
            if late_waves > LATE_WAVES || !is_about_to_end(node, &skip) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    node.seal();
    drop(entry.turn);
    for node in node.subtree().iter().rev() {
        registry().retire(node);
    }
    report.unwrap_or_else(|| TeardownReport::new(node.name.clone(), Vec::new(), Duration::ZERO))
}

/// Seals it, and waits for who has found it open and registers by name, with a dependency, or many at once: that is done
/// under the names' lock. Who registers one looks again.
fn seal(node: &Arc<Node>) {
    node.seal();
    for node in node.subtree() {
        drop(node.names.lock());
    }
}

/// Whether there is something that another wave could clean, or will be able to when it has entered.
fn is_about_to_end(node: &Arc<Node>, skip: &HashSet<ResourceId>) -> bool {
    let mut left = Vec::new();
    for node in node.subtree() {
        registry().scan(&node, |seen| {
            if seen.is_ours() && !skip.contains(&seen.id) {
                left.push(seen.id);
            }
        });
    }
    let graph = node.tree.graph.lock();
    left.iter().any(|id| graph.dependents(*id).is_empty())
}

fn is_empty(node: &Arc<Node>, skip: &HashSet<ResourceId>) -> bool {
    node.subtree().iter().all(|node| {
        let mut empty = true;
        registry().scan(node, |seen| empty &= skip.contains(&seen.id) || !seen.is_ours());
        empty
    })
}
