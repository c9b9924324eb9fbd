//! Finds what should not be alive, and says why.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::Coarse;
use crate::finding::{LeakReason, ResourceLeak};
use crate::id::Label;
use crate::leak::follow::follow;
use crate::registry::entry::{Entry, Phase};
use crate::registry::pile::{PART, Pile};
use crate::registry::tree::Node;
use crate::registry::{Seen, registry};

/// When somebody looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// At any time.
    Now,
    /// The process is ending.
    Exit,
}

/// Everything live below this manager that should not be: the surest reason first, then the most of them, then the
/// oldest. What is ending anyway (deferred, being cleaned) is no leak of its own.
pub(crate) fn detect(within: &Arc<Node>, moment: Moment) -> Vec<ResourceLeak> {
    let now = Coarse::now();
    let mut found = Pile::new();
    for node in within.subtree() {
        let look = Look::new(&node, moment, now);
        let judge = |seen: Seen<'_>| {
            if let Some(leak) = look.judge(&seen) {
                found.push(leak);
            }
        };
        match look.leak_after {
            Some(limit) => registry().scan_aged(&node, now, limit, judge),
            None => registry().scan(&node, judge),
        }
    }
    let mut leaks = found.into_vec();
    // A few at a time, as the scan: others wait for the graph.
    for leaks in leaks.chunks_mut(PART) {
        let graph = within.tree.graph.lock();
        leaks.iter_mut().for_each(|leak| leak.dependents = graph.dependents(leak.id));
    }
    leaks.sort_by_key(ResourceLeak::rank);
    within.found_leaks(leaks.len());
    follow(&leaks);
    leaks
}

/// The innermost scope around a manager that has ended.
fn ended_scope(node: &Arc<Node>) -> Option<Label> {
    node.upwards().find(|node| node.scope_over.load(Relaxed)).map(|node| node.name.clone())
}

/// One look at one manager.
struct Look<'a> {
    node: &'a Node,
    scope: Option<Label>,
    moment: Moment,
    now: Coarse,
    /// What is younger is no leak, unless it has a limit of its own. `None` where age is not what counts.
    leak_after: Option<Duration>,
}

impl Look<'_> {
    fn new(node: &Arc<Node>, moment: Moment, now: Coarse) -> Look<'_> {
        let scope = ended_scope(node);
        let by_age_alone = moment == Moment::Now && scope.is_none();
        let leak_after = Some(node.config.leak_after).filter(|_| by_age_alone);
        Look { node, scope, moment, now, leak_after }
    }

    /// Not inlined: what it gives is large, and would be moved about for each that is no leak.
    #[inline(never)]
    fn judge(&self, seen: &Seen<'_>) -> Option<ResourceLeak> {
        let entry = seen.entry;
        let meant = entry.extra.as_ref().is_some_and(|extra| extra.long_lived || extra.leaked);
        if meant || entry.phase != Phase::Live || !seen.is_ours() {
            return None;
        }
        let age = self.now.since(entry.created);
        let reasons = self.reasons(seen, age);
        (!reasons.is_empty()).then(|| self.describe(seen, age, reasons))
    }

    fn describe(&self, seen: &Seen<'_>, age: Duration, reasons: Vec<LeakReason>) -> ResourceLeak {
        let entry = seen.entry;
        let extra = entry.extra.as_ref();
        ResourceLeak {
            id: seen.id,
            label: entry.label.clone(),
            category: entry.category(),
            age,
            reasons,
            created_at: entry.created_at,
            thread: seen
                .thread
                .map_or_else(|| Label::from("a thread that was ending"), |it| it.label.clone()),
            manager: self.node.name.clone(),
            tags: entry.tags().to_vec(),
            metadata: extra.map(|extra| extra.metadata.clone()).unwrap_or_default(),
            dependents: Vec::new(),
            touches: extra
                .and_then(|extra| extra.touches.as_ref())
                .map_or_else(Vec::new, |log| log.told(self.now)),
            backtrace: extra.and_then(|extra| extra.backtrace.clone()),
        }
    }

    /// Certain ones hold at any age, suspected ones from the limit on.
    fn reasons(&self, seen: &Seen<'_>, age: Duration) -> Vec<LeakReason> {
        let mut reasons = Vec::new();
        if self.moment == Moment::Exit {
            reasons.push(LeakReason::HeldAtExit);
        }
        if let Some(scope) = &self.scope {
            reasons.push(LeakReason::ScopeEnded { scope: scope.clone() });
        }
        let extra = seen.entry.extra.as_ref();
        let limit = extra.and_then(|extra| extra.leak_after).unwrap_or(self.node.config.leak_after);
        if age < limit {
            return reasons;
        }
        if let Some(owner) = seen.thread.filter(|thread| thread.ended && !seen.entry.roams) {
            reasons.push(LeakReason::OwnerThreadEnded { thread: owner.label.clone() });
        }
        if !limit.is_zero() {
            reasons.push(LeakReason::Overdue { limit });
            reasons.extend(unused(seen.entry, limit));
        }
        if reasons.is_empty() {
            reasons.push(LeakReason::StillLive);
        }
        reasons
    }
}

fn unused(entry: &Entry, limit: Duration) -> Option<LeakReason> {
    let since = entry.extra.as_ref()?.touches.as_ref()?.idle(Coarse::now())?;
    (since >= limit).then_some(LeakReason::Unused { since })
}
