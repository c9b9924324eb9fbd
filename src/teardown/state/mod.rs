//! Where a running teardown stands: what is ready, what runs, what became of what. Pure bookkeeping, behind the
//! run's lock; it starts no thread, runs no cleanup and reads no clock.
//!
//! Invariants:
//! 1. An item is resolved once, and `unresolved` counts those that are not.
//! 2. An item is ready when everything that it waits for has ended, was skipped, or was overtaken.
//! 3. What is in `active` is watched: it has a limit, or the run waits for it for ever on purpose.

mod line;
mod next;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::CleanupError;
use crate::graph::Ready;
use crate::id::ResourceId;
use crate::registry::Finished;
use crate::registry::entry::Kept;
use crate::report::{ResourceOutcome, SkipReason};
use crate::teardown::active::{Active, Runner, Task};
use crate::teardown::stretch::Stretch;

pub(crate) use self::line::Line;

pub(crate) const NOBODY: u32 = u32::MAX;

/// What became of one item so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Not started.
    Waiting,
    /// Started, here or elsewhere.
    Started,
    /// Over.
    Over(ResourceOutcome),
    /// Let go by somebody else without a cleanup: not counted.
    Gone,
}

/// What became of an item, for the report.
#[derive(Clone, Copy)]
pub(crate) struct ItemResult {
    pub(crate) status: Status,
    pub(crate) started: Duration,
    pub(crate) duration: Duration,
    /// Of the items that it stood behind, the one at the end of the longest chain of cleanups.
    pub(crate) waited_for: u32,
}

/// What a node stands behind.
#[derive(Clone, Copy)]
struct Wait {
    /// How many of those are not over.
    count: u32,
    /// See `waited_for`.
    behind: u32,
    /// How long the longest chain of cleanups is that ends before it or, once it is over, with it.
    chain: Duration,
}

impl Wait {
    fn of(count: u32) -> Wait {
        Wait { count, behind: NOBODY, chain: Duration::ZERO }
    }
}

pub(crate) struct State {
    /// By node of the line's steps.
    waits: Vec<Wait>,
    /// By rank.
    ready: Ready,
    ready_in_all: usize,
    /// How many of these are asynchronous: they need no thread of their own.
    ready_async: usize,
    pub(crate) results: Vec<ItemResult>,
    /// What runs, by the number of its thread or one of its own. Changed by `start`, `leave` and `end` alone.
    active: BTreeMap<u64, Active>,
    /// How many of these count against the concurrency, by class.
    busy: BTreeMap<u32, usize>,
    busy_in_all: usize,
    /// What workers do several of at once, by their numbers; each counts against the concurrency as one.
    stretches: BTreeMap<u64, Arc<Stretch>>,
    /// How many a stretch may have, where others could do them meanwhile.
    pace: usize,
    /// Where in the sequence the first stands that has not started, or before.
    next_place: usize,
    /// The next is not for a stretch.
    plods: bool,
    /// The number of an item that somebody else runs.
    elsewhere: HashMap<u32, u64>,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) unresolved: usize,
    /// Threads that can take something.
    pub(crate) workers: usize,
    /// Of these, how many wait for something to do.
    pub(crate) idle: usize,
    /// The number under which the supervisor works itself, because the system refuses threads: nobody watches it then.
    pub(crate) unwatched: Option<u64>,
    next_number: u64,
    /// When the supervisor wakes by itself.
    pub(crate) alarm: Option<Instant>,
    pub(crate) over: bool,
    /// Why nothing starts any more.
    pub(crate) stopped: Option<SkipReason>,
    /// What had not started is skipped.
    stopped_for_good: bool,
    /// What the run went on without, with what stands behind it: no reason to hold that back.
    pub(crate) overtaken: HashSet<ResourceId>,
    pub(crate) errors: HashMap<u32, CleanupError>,
    pub(crate) skips: HashMap<u32, SkipReason>,
    pub(crate) notes: HashMap<u32, String>,
    /// What stands behind an item by a dependency that was added after the order was made.
    late_followers: HashMap<u32, Vec<u32>>,
    /// A dependent that failed before.
    pub(crate) after_failed: HashMap<u32, u32>,
    /// Until when what stands behind a cleanup that was left running waits for it.
    pub(crate) grace: Option<Instant>,
    /// Threads that came back from what had been given up.
    pub(crate) returned: HashSet<u64>,
    /// Values whose cleanups were given up and still run, by thread: dropped when it comes back.
    pub(crate) late_values: HashMap<u64, Kept>,
    /// Ends that the supervisor recorded: what is left to tell and to drop, which is foreign code.
    pub(crate) leavings: Vec<(ResourceId, Finished)>,
}

impl State {
    pub(crate) fn new(line: &Line, items: usize) -> State {
        let nothing = ItemResult {
            status: Status::Waiting,
            started: Duration::ZERO,
            duration: Duration::ZERO,
            waited_for: NOBODY,
        };
        let mut state = State {
            waits: line.order.steps.waits_for().iter().map(|count| Wait::of(*count)).collect(),
            ready: Ready::new(line.order.sequence.len()),
            ready_in_all: 0,
            ready_async: 0,
            results: vec![nothing; items],
            active: BTreeMap::new(),
            busy: BTreeMap::new(),
            busy_in_all: 0,
            stretches: BTreeMap::new(),
            pace: 1,
            next_place: 0,
            plods: false,
            elsewhere: HashMap::new(),
            tasks: VecDeque::new(),
            unresolved: items,
            workers: 0,
            idle: 0,
            unwatched: None,
            next_number: 0,
            alarm: None,
            over: false,
            stopped: None,
            stopped_for_good: false,
            overtaken: HashSet::new(),
            errors: HashMap::new(),
            skips: HashMap::new(),
            notes: HashMap::new(),
            late_followers: HashMap::new(),
            after_failed: HashMap::new(),
            grace: None,
            returned: HashSet::new(),
            late_values: HashMap::new(),
            leavings: Vec::new(),
        };
        if line.order.steps.are_loose() && line.order.sequence.len() == items {
            state.ready = Ready::full(items);
            (state.ready_in_all, state.ready_async) = (items, line.is_async.iter().filter(|it| **it).count());
            return state;
        }
        let waits_for = line.order.steps.waits_for();
        let free = |node: &u32| waits_for[*node as usize] == 0 && line.order.steps.is_part(*node);
        for node in (0..waits_for.len() as u32).filter(free) {
            state.set_ready(line, node);
        }
        state
    }

    /// A number for a thread or for what runs without one.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Whether something is to be done at this moment and the supervisor would wake too late for it.
    pub(crate) fn sleeps_past(&self, moment: Option<Instant>) -> bool {
        moment.is_some_and(|moment| self.alarm.is_none_or(|alarm| moment < alarm))
    }

    /// From now on this runs under this number.
    pub(crate) fn start(&mut self, line: &Line, number: u64, active: Active) {
        self.count(line, &active, true);
        if let (Runner::Elsewhere, Some(index)) = (&active.runner, active.index) {
            self.elsewhere.insert(index, number);
        }
        self.active.insert(number, active);
    }

    /// The run goes on without it.
    pub(crate) fn leave(&mut self, line: &Line, number: u64) {
        let Some(mut active) = self.active.remove(&number) else { return };
        self.count(line, &active, false);
        if matches!(active.runner, Runner::Thread) {
            self.workers -= 1;
        }
        active.left = true;
        self.active.insert(number, active);
    }

    /// It runs no more, or nobody watches it any more.
    pub(crate) fn end(&mut self, line: &Line, number: u64) -> Option<Active> {
        let active = self.active.remove(&number)?;
        self.count(line, &active, false);
        if let (Runner::Elsewhere, Some(index)) = (&active.runner, active.index) {
            self.elsewhere.remove(&index);
        }
        Some(active)
    }

    fn count(&mut self, line: &Line, active: &Active, more: bool) {
        if !active.counts() {
            return;
        }
        self.count_class(active.index.map(|index| line.class(index)), more);
    }

    fn count_class(&mut self, class: Option<u32>, more: bool) {
        let change = |count: usize| if more { count + 1 } else { count - 1 };
        self.busy_in_all = change(self.busy_in_all);
        let Some(class) = class else { return };
        let left = change(self.busy.remove(&class).unwrap_or(0));
        if left > 0 {
            self.busy.insert(class, left);
        }
    }

    /// What runs under this number, unless it was given up.
    pub(crate) fn active(&mut self, number: u64) -> Option<&mut Active> {
        self.active.get_mut(&number)
    }

    pub(crate) fn actives(&self) -> impl Iterator<Item = &Active> {
        self.active.values()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.active.keys().copied().collect()
    }

    /// The number of an item that somebody else runs.
    pub(crate) fn elsewhere(&self, index: u32) -> Option<u64> {
        self.elsewhere.get(&index).copied()
    }

    pub(crate) fn has_waiting(&self, line: &Line) -> bool {
        let waiting = |(result, index): (&ItemResult, u32)| {
            result.status == Status::Waiting && line.order.steps.is_part(index)
        };
        self.results.iter().zip(0..).any(waiting)
    }

    /// An item is over. What stands behind it may start.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        line: &Line,
        index: u32,
        status: Status,
        (started, duration): (Duration, Duration),
        overtaken: bool,
    ) {
        let result = &mut self.results[index as usize];
        if matches!(result.status, Status::Over(_) | Status::Gone) {
            return;
        }
        (result.status, result.started, result.duration) = (status, started, duration);
        self.unresolved -= 1;
        if line.order.steps.are_loose() && self.late_followers.is_empty() {
            return;
        }
        let wait = &mut self.waits[index as usize];
        wait.chain = wait.chain.saturating_add(duration);
        let failed = matches!(status, Status::Over(outcome)
            if !matches!(outcome, ResourceOutcome::Cleaned | ResourceOutcome::Skipped));
        if failed {
            for follower in line.order.steps.followers(index) {
                self.after_failed.entry(*follower).or_insert(index);
            }
        }
        if !overtaken {
            self.release_followers(line, index);
        }
    }

    pub(crate) fn skip(&mut self, line: &Line, index: u32, reason: SkipReason) {
        self.skips.insert(index, reason);
        let status = Status::Over(ResourceOutcome::Skipped);
        self.resolve(line, index, status, (Duration::ZERO, Duration::ZERO), false);
    }

    /// Nothing starts any more: what has not is skipped.
    pub(crate) fn stop(&mut self, line: &Line, reason: SkipReason) {
        if self.stopped.is_none() {
            self.stopped = Some(reason.clone());
        }
        self.ready = Ready::new(line.order.sequence.len());
        (self.ready_in_all, self.ready_async) = (0, 0);
        self.stopped_for_good = true;
        for index in 0..self.results.len() as u32 {
            if self.results[index as usize].status == Status::Waiting && line.order.steps.is_part(index) {
                self.skips.insert(index, reason.clone());
                self.results[index as usize].status = Status::Over(ResourceOutcome::Skipped);
                self.unresolved -= 1;
            }
        }
    }
}
