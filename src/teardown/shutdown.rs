//! The last teardown: wave by wave, what registers meanwhile included, until the manager is sealed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::after;
use crate::id::ResourceId;
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::report::{ResourceOutcome, TeardownReport};
use crate::teardown::choose::Selection;
use crate::teardown::run::Options;
use crate::teardown::{Entry, ask, pass};

/// Waves that new registrations are taken along in before the manager is sealed.
const OPEN_WAVES: usize = 2;

/// Cleans everything in this manager and below, then seals it.
pub(crate) fn shutdown(node: &Arc<Node>, reason: CleanupReason) -> TeardownReport {
    ask(node, move |node, start, entry| waves(node, reason, start, entry))
}

fn waves(node: &Arc<Node>, reason: CleanupReason, start: Instant, mut entry: Entry) -> TeardownReport {
    let deadline = node.config.shutdown_deadline;
    let half = after(start, deadline / 2);
    let mut skip: HashSet<ResourceId> = entry.inside.iter().copied().collect();
    let mut report: Option<TeardownReport> = None;
    let mut wave = 0;
    let (mut turn, mut sealed_wave) = (None, false);
    loop {
        let offset = start.elapsed();
        let selection = Selection { not_ids: skip.clone(), ..Selection::default() };
        let options = Options {
            deadline: Some(deadline.saturating_sub(offset)),
            seal_at: half,
            ..Options::plain(reason)
        };
        let now = if wave == 0 { start } else { Instant::now() };
        let later = pass(node, &selection, options, now, &mut entry);
        if !entry.has_turn {
            // The next waves are this teardown's too: who else waits, waits until the last.
            turn = node.queue.enter(after(start, deadline));
            entry.has_turn = true;
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
        let was_sealed = std::mem::replace(&mut sealed_wave, wave >= OPEN_WAVES || late || ended == 0);
        if sealed_wave {
            node.seal();
        }
        let over = start.elapsed() >= deadline;
        // The first wave after the seal that ends nothing is the last: nothing new can have come before it.
        if over || (was_sealed && ended == 0) || is_empty(node, &skip) {
            break;
        }
    }
    node.seal();
    drop(turn);
    for node in node.subtree().iter().rev() {
        registry().retire(node);
    }
    report.unwrap_or_else(|| TeardownReport::new(node.name.clone(), Vec::new(), Duration::ZERO))
}

fn is_empty(node: &Arc<Node>, skip: &HashSet<ResourceId>) -> bool {
    node.subtree().iter().all(|node| {
        let mut empty = true;
        registry().scan(node, |seen| empty &= skip.contains(&seen.id) || !seen.is_ours());
        empty
    })
}
