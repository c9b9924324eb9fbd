//! A teardown under memory pressure: in slices, where memory for the whole at once is refused.
//!
//! A refused allocation ends the process, with everything still live. So the memory that a teardown will need is
//! asked for before it chooses anything, and given back at once; where the answer is no, it takes as many of the
//! newest as it can have memory for, runs those as a teardown of their own, and goes on.
//!
//! Invariants:
//! 1. A slice is closed: nothing live outside it depends on anything in it (by force: nothing live that is
//!    selected). So dependencies hold across slices.
//! 2. Only what was registered before the first slice is in any: resources that cleanups register meanwhile can't
//!    keep it going for ever.
//! 3. Nothing here grows with what is live, but what the report lists, and that is asked for as it grows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::graph::Graph;
use crate::id::{ResourceId, Stamp};
use crate::memory::has_room;
use crate::registry::queue::Turn;
use crate::registry::tree::Node;
use crate::registry::{Seen, registry};
use crate::report::{ResourceOutcome, SkipReason, SkippedResource, TeardownReport, TimelineEntry};
use crate::teardown::choose::{Choice, Item, Selection};
use crate::teardown::inbox::Inbox;
use crate::teardown::order;
use crate::teardown::run::{Options, labels, run};
use crate::teardown::state::ItemResult;

/// The smallest slice: done without asking.
const LEAST: usize = 256;

/// What a teardown takes per resource at its peak, which is when the report is made of all that the run still has.
/// The items of a filtered one stand in a vector that grew by doubling; the run's map from ids to items, where one is
/// needed, has 16 bytes an entry, up to 2.3 times for what is free in it; order, state and report count in numbers of
/// 4 bytes, 12 without edges and 6 more for each edge, of which two are allowed for.
const BYTES: usize =
    2 * size_of::<Item>() + size_of::<ItemResult>() + size_of::<TimelineEntry>() + 38 + 24 * size_of::<u32>();

/// Whether there is memory to do all of it in one order.
pub(super) fn has_room_for_all(node: &Arc<Node>, selection: &Selection) -> bool {
    let live = registry().live_count(node);
    can_do(selection.ids.as_ref().map_or(live, |ids| ids.len().min(live)))
}

pub(super) fn can_do(resources: usize) -> bool {
    resources <= LEAST || has_room(resources.saturating_mul(BYTES))
}

/// Does it slice by slice, and reports the whole. The turn has been waited for.
pub(super) fn in_slices(
    node: &Arc<Node>,
    selection: &Selection,
    options: &Options,
    start: Instant,
    turn: &mut Option<Turn>,
) -> TeardownReport {
    let mut slicer =
        Slicer { node, selection: selection.clone(), force: options.force, horizon: registry().horizon() };
    let mut report = TeardownReport::new(node.name.clone(), Vec::new(), Duration::ZERO);
    loop {
        let inbox = Inbox::open();
        let choice = slicer.slice();
        if choice.items.is_empty() {
            slicer.list_rest(&mut report, None);
            break;
        }
        let order = order(node, &choice, options.force);
        let mut slice = run(node, choice, order, options.clone(), inbox, start, turn);
        let stuck = slice.started() == 0 || slicer.give_up(&slice).is_err();
        let stopped = stopped(&mut slice, options.stop_on_error);
        // Every slice counts from the same start.
        report.append(slice, Duration::ZERO);
        if stuck || stopped.is_some() {
            slicer.list_rest(&mut report, stopped);
            break;
        }
    }
    report.end(start.elapsed());
    report
}

/// The largest slice that fits, by halves of all.
pub(super) fn largest(all: usize, fits: impl Fn(usize) -> bool) -> usize {
    let halves = std::iter::successors(Some(all), |most| Some(most / 2));
    halves.take_while(|most| *most > LEAST).find(|most| fits(*most)).unwrap_or(LEAST)
}

/// Why no other slice begins. What this one skipped comes again otherwise, and is taken out in any case.
pub(super) fn stopped(slice: &mut TeardownReport, stop_on_error: bool) -> Option<SkipReason> {
    // The last of a slice may have failed: then nothing was skipped for it.
    let failed = stop_on_error && slice.failed() + slice.timed_out() > 0;
    let said = slice.take_skipped().into_iter().find_map(|one| stops(one.reason));
    said.or(failed.then_some(SkipReason::StoppedOnError))
}

/// The reasons that hold for all that is left as well.
fn stops(reason: SkipReason) -> Option<SkipReason> {
    matches!(reason, SkipReason::DeadlinePassed | SkipReason::StoppedOnError).then_some(reason)
}

pub(super) struct Slicer<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) selection: Selection,
    pub(super) force: bool,
    pub(super) horizon: Vec<u64>,
}

impl Slicer<'_> {
    /// As many as there is memory for: the newest that nothing holds back, with what these set free.
    pub(super) fn slice(&self) -> Choice {
        self.slice_of(largest(registry().live_count(self.node), can_do))
    }

    pub(super) fn slice_of(&self, most: usize) -> Choice {
        let nodes = self.node.subtree();
        let graph = self.node.tree.graph.lock();
        let mut ready = self.free(&graph, &nodes, most);
        let mut holders: HashMap<ResourceId, usize> = HashMap::new();
        let mut items = Vec::new();
        while items.len() < most
            && let Some((_, id)) = ready.pop()
        {
            // First this, so that its end is not missed.
            registry().watch(id);
            let item = |node: &Arc<Node>, seen: Seen<'_>| self.takes(&seen).then(|| Item::new(node, &seen));
            let Some(item) = registry().see(self.node, id, item).flatten() else { continue };
            items.push(item);
            graph.each_dependency(id, |dependency| {
                // What there is no room to note waits for a later slice.
                if holders.try_reserve(1).is_err() || ready.try_reserve(1).is_err() {
                    return;
                }
                let left =
                    holders.entry(dependency).or_insert_with(|| self.count_holders(&graph, dependency));
                *left = left.saturating_sub(1);
                if *left == 0
                    && let Some(stamp) = self.stamp(dependency)
                {
                    ready.push((stamp, dependency));
                }
            });
        }
        Choice { nodes, items }
    }

    /// The newest that nothing holds back, at most so many.
    pub(super) fn free(
        &self,
        graph: &Graph,
        nodes: &[Arc<Node>],
        most: usize,
    ) -> BinaryHeap<(Stamp, ResourceId)> {
        let mut newest = BinaryHeap::with_capacity(most + 1);
        for node in nodes {
            let mut held = Vec::new();
            registry().scan_without_memory(node, |seen| {
                let Reverse((oldest, _)) = newest.peek().copied().unwrap_or(Reverse((seen.stamp, seen.id)));
                if newest.len() == most && seen.stamp < oldest || !self.takes(&seen) {
                    return;
                }
                match graph.count_dependents(seen.id) {
                    0 => keep(&mut newest, (seen.stamp, seen.id), most),
                    // Whether their dependents are selected can't be seen while a shard is locked.
                    _ if self.force && held.try_reserve(1).is_ok() => held.push((seen.stamp, seen.id)),
                    _ => {}
                }
            });
            for (stamp, id) in held {
                if self.count_holders(graph, id) == 0 {
                    keep(&mut newest, (stamp, id), most);
                }
            }
        }
        newest.into_iter().map(|Reverse(one)| one).collect()
    }

    /// How many live dependents have to go first.
    fn count_holders(&self, graph: &Graph, id: ResourceId) -> usize {
        if !self.force {
            return graph.count_dependents(id);
        }
        let mut count = 0;
        graph.each_dependent(id, |dependent| count += usize::from(self.stamp(dependent).is_some()));
        count
    }

    /// The stamp of a resource that is selected.
    pub(super) fn stamp(&self, id: ResourceId) -> Option<Stamp> {
        registry().see(self.node, id, |_, seen| self.takes(&seen).then_some(seen.stamp)).flatten()
    }

    fn takes(&self, seen: &Seen<'_>) -> bool {
        let known =
            self.horizon.get(seen.stamp.shard as usize).is_some_and(|last| seen.stamp.number <= *last);
        known && self.selection.takes(seen)
    }

    /// What somebody else still cleans was waited for long enough: it is in no later slice. An error: there is no
    /// memory to remember that.
    pub(super) fn give_up(
        &mut self,
        slice: &TeardownReport,
    ) -> Result<(), std::collections::TryReserveError> {
        let bad = slice.timeline().iter().filter(|entry| entry.outcome != ResourceOutcome::Cleaned);
        for entry in bad.filter(|entry| registry().is_live(entry.id)) {
            self.selection.not_ids.try_reserve(1)?;
            self.selection.not_ids.insert(entry.id);
        }
        Ok(())
    }

    /// Reports what is left as skipped: for this reason, or behind what each depends on.
    pub(super) fn list_rest(&self, report: &mut TeardownReport, reason: Option<SkipReason>) {
        let mut rest: Vec<ResourceId> = Vec::new();
        for node in self.node.subtree() {
            registry().scan_without_memory(&node, |seen| {
                if self.takes(&seen) {
                    match rest.try_reserve(1) {
                        Ok(()) => rest.push(seen.id),
                        Err(_) => report.count_skipped(seen.entry.category()),
                    }
                }
            });
        }
        for id in rest {
            let reason = reason.clone().unwrap_or_else(|| self.held_back(id));
            let known =
                |seen: Seen<'_>| (seen.entry.label.clone(), seen.entry.category(), seen.entry.created_at);
            let known = registry().see(self.node, id, |_, seen| known(seen));
            if let Some((label, category, created_at)) = known {
                report.list_skipped(SkippedResource { id, label, category, created_at, reason });
            }
        }
        report.summarize();
    }

    /// Why something is left: at most [`LEAST`] of what depends on it are named.
    pub(super) fn held_back(&self, id: ResourceId) -> SkipReason {
        let (mut outside, mut behind) = (Vec::new(), Vec::new());
        self.node.tree.graph.lock().each_dependent(id, |dependent| {
            let names = if self.stamp(dependent).is_some() { &mut behind } else { &mut outside };
            if names.len() < LEAST {
                names.push(dependent);
            }
        });
        outside.sort_unstable();
        behind.sort_unstable();
        match outside.is_empty() && !behind.is_empty() {
            true => SkipReason::BehindSkipped { dependents: labels(&behind) },
            false => SkipReason::DependentOutside { dependents: labels(&outside) },
        }
    }
}

/// Keeps the newest: the oldest goes when there are too many.
pub(super) fn keep(
    newest: &mut BinaryHeap<Reverse<(Stamp, ResourceId)>>,
    one: (Stamp, ResourceId),
    most: usize,
) {
    newest.push(Reverse(one));
    if newest.len() > most {
        newest.pop();
    }
}
