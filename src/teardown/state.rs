//! Where a running teardown stands: what is ready, what runs, what became of what. Pure bookkeeping, behind the
//! run's lock; it starts no thread, runs no cleanup and reads no clock.
//!
//! Invariants:
//! 1. An item is resolved once, and `unresolved` counts those that are not.
//! 2. An item is ready when everything that it waits for has ended, was skipped, or was overtaken.
//! 3. What is in `active` is watched: it has a limit, or the run waits for it for ever on purpose.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::error::CleanupError;
use crate::graph::Order;
use crate::id::ResourceId;
use crate::registry::Finished;
use crate::registry::entry::Kept;
use crate::report::{ResourceOutcome, SkipReason};
use crate::teardown::active::{Active, Runner, Task};

pub(crate) const NOBODY: u32 = u32::MAX;
/// Last resorts that run at once, where the teardown itself is sequential: there is little time for them.
const AT_ONCE: usize = 16;

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

pub(crate) struct State {
    waits: Vec<u32>,
    /// By node: see `waited_for`. By item: how long the longest chain of cleanups is that ends with it.
    behind: Vec<u32>,
    chain: Vec<Duration>,
    ready: BinaryHeap<Reverse<(u32, u32, u32)>>,
    /// How many of these are asynchronous: they need no thread of their own.
    ready_async: usize,
    pub(crate) results: Vec<ItemResult>,
    /// What runs, by the number of its thread or one of its own. Changed by `start`, `leave` and `end` alone.
    active: BTreeMap<u64, Active>,
    /// How many of these count against the concurrency, by class.
    busy: BTreeMap<u32, usize>,
    busy_in_all: usize,
    /// The number of an item that somebody else runs.
    elsewhere: HashMap<u32, u64>,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) unresolved: usize,
    /// Threads that can take something.
    pub(crate) workers: usize,
    /// Of these, how many wait for something to do.
    pub(crate) idle: usize,
    next_number: u64,
    /// When the supervisor wakes by itself.
    pub(crate) alarm: Option<Instant>,
    pub(crate) over: bool,
    /// Why nothing starts any more.
    pub(crate) stopped: Option<SkipReason>,
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

/// What never changes while a teardown runs.
pub(crate) struct Line {
    pub(crate) order: Order,
    /// By item: its place in the sequence.
    place: Vec<u32>,
    /// By item: whether its cleanup is asynchronous.
    is_async: Vec<bool>,
    concurrency: usize,
}

impl Line {
    pub(crate) fn new(order: Order, is_async: Vec<bool>, concurrency: usize) -> Line {
        let mut place = vec![0; is_async.len()];
        for (at, index) in order.sequence.iter().enumerate() {
            place[*index as usize] = at as u32;
        }
        Line { order, place, is_async, concurrency: concurrency.max(1) }
    }

    /// An item's place in the sequence.
    pub(crate) fn place(&self, index: u32) -> u32 {
        self.place[index as usize]
    }

    /// Ranks matter only where several run at once: one after the other, the sequence holds them already.
    fn class(&self, index: u32) -> u32 {
        if self.concurrency == 1 { 0 } else { self.order.class[index as usize] }
    }
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
            waits: line.order.steps.waits_for().to_vec(),
            behind: vec![NOBODY; line.order.steps.len()],
            chain: vec![Duration::ZERO; items],
            ready: BinaryHeap::new(),
            ready_async: 0,
            results: vec![nothing; items],
            active: BTreeMap::new(),
            busy: BTreeMap::new(),
            busy_in_all: 0,
            elsewhere: HashMap::new(),
            tasks: VecDeque::new(),
            unresolved: items,
            workers: 0,
            idle: 0,
            next_number: 0,
            alarm: None,
            over: false,
            stopped: None,
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
        let free: Vec<u32> = (0..line.order.steps.len() as u32)
            .filter(|node| state.waits[*node as usize] == 0 && line.order.steps.is_part(*node))
            .collect();
        for node in free {
            state.set_ready(line, node);
        }
        state
    }

    /// A node waits for nothing more. Virtual ones end at once.
    fn set_ready(&mut self, line: &Line, node: u32) {
        let mut free = vec![node];
        while let Some(node) = free.pop() {
            let behind = self.behind[node as usize];
            if !line.order.steps.is_virtual(node) {
                self.results[node as usize].waited_for = behind;
                self.ready.push(Reverse((line.class(node), line.place[node as usize], node)));
                self.ready_async += usize::from(line.is_async[node as usize]);
                continue;
            }
            for follower in line.order.steps.followers(node) {
                if self.wait_less(*follower, behind) {
                    free.push(*follower);
                }
            }
        }
    }

    /// One of those that a node stands behind is over. Whether it was the last.
    fn wait_less(&mut self, node: u32, item: u32) -> bool {
        let chain = |item: u32| self.chain.get(item as usize).copied();
        if chain(item) >= chain(self.behind[node as usize]) {
            self.behind[node as usize] = item;
        }
        let waits = &mut self.waits[node as usize];
        *waits -= 1;
        *waits == 0
    }

    /// An item turned out to stand behind these: dependencies that were added after the order was made.
    pub(crate) fn put_behind(&mut self, index: u32, dependents: &[u32]) {
        self.results[index as usize].status = Status::Waiting;
        self.waits[index as usize] += dependents.len() as u32;
        for dependent in dependents {
            self.late_followers.entry(*dependent).or_default().push(index);
        }
    }

    /// What stands behind an item need not wait for it any more.
    pub(crate) fn release_followers(&mut self, line: &Line, index: u32) {
        for follower in self.late_followers.remove(&index).unwrap_or_default() {
            if self.wait_less(follower, index) {
                self.set_ready(line, follower);
            }
        }
        for follower in line.order.steps.followers(index) {
            if self.wait_less(*follower, index) {
                self.set_ready(line, *follower);
            }
        }
    }

    /// What a free worker does next, if anything may start now.
    pub(crate) fn next(&mut self, line: &Line) -> Option<Task> {
        if let Some(task) = self.tasks.pop_front() {
            return Some(task);
        }
        let index = self.startable(line)?;
        Some(Task::Clean(self.take(line, index)))
    }

    /// The next item that may start now, if its cleanup is asynchronous.
    #[cfg(feature = "tokio")]
    pub(crate) fn next_async(&mut self, line: &Line) -> Option<u32> {
        let index = self.startable(line).filter(|index| line.is_async[*index as usize])?;
        Some(self.take(line, index))
    }

    fn startable(&self, line: &Line) -> Option<u32> {
        if self.stopped.is_some() || self.busy_in_all >= line.concurrency {
            return None;
        }
        let Reverse((class, _, index)) = *self.ready.peek()?;
        // A class is not begun while one before it runs.
        let earlier = self.busy.keys().next().is_some_and(|running| *running < class);
        (!earlier).then_some(index)
    }

    /// Takes the first of what is ready.
    fn take(&mut self, line: &Line, index: u32) -> u32 {
        self.ready.pop();
        self.ready_async -= usize::from(line.is_async[index as usize]);
        index
    }

    /// Whether a worker would find something to do now.
    pub(crate) fn has_work(&self, line: &Line) -> bool {
        !self.tasks.is_empty() || self.startable(line).is_some()
    }

    /// How many threads there is something to do for at once, at most.
    pub(crate) fn wanted(&self, line: &Line) -> usize {
        let ready = match self.stopped {
            Some(_) => 0,
            // One thread launches all that are asynchronous.
            None => self.ready.len() - self.ready_async + usize::from(self.ready_async > 0),
        };
        ready.min(line.concurrency).max(self.tasks.len().min(AT_ONCE.max(line.concurrency)))
    }

    /// How many threads there may be at once.
    pub(crate) fn room(&self, line: &Line) -> usize {
        line.concurrency.max(self.tasks.len().min(AT_ONCE)).saturating_sub(self.workers)
    }

    /// A number for a thread or for what runs without one.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
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
        let change = |count: usize| if more { count + 1 } else { count - 1 };
        self.busy_in_all = change(self.busy_in_all);
        let Some(class) = active.index.map(|index| line.class(index)) else { return };
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
        let before = self.chain.get(result.waited_for as usize).copied().unwrap_or_default();
        self.chain[index as usize] = before.saturating_add(duration);
        self.unresolved -= 1;
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
        self.ready.clear();
        self.ready_async = 0;
        for index in 0..self.results.len() as u32 {
            if self.results[index as usize].status == Status::Waiting && line.order.steps.is_part(index) {
                self.skips.insert(index, reason.clone());
                self.results[index as usize].status = Status::Over(ResourceOutcome::Skipped);
                self.unresolved -= 1;
            }
        }
    }
}
