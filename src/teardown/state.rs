//! Where a running teardown stands: what is ready, what runs, what became of what. Pure bookkeeping, behind the
//! run's lock; it starts no thread, runs no cleanup and reads no clock.
//!
//! Invariants:
//! 1. An item is resolved once, and `unresolved` counts those that are not.
//! 2. An item is ready when everything that it waits for has ended, was skipped, or was overtaken.
//! 3. What is in `active` is watched: it has a limit, or the run waits for it for ever on purpose.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::cleanup::Work;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::graph::Order;
use crate::id::ResourceId;
use crate::registry::entry::Kept;
use crate::registry::{Ended, Finished};
use crate::report::{ResourceOutcome, SkipReason};

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

/// What a worker does.
pub(crate) enum Task {
    /// The graceful cleanup of an item.
    Clean(u32),
    /// What follows when it was given up: the last resort, and the end.
    Force(Box<Overdue>),
    /// Deferred resources outside the selection that nothing holds back any more.
    Free(Vec<ResourceId>),
}

/// A cleanup that did not end well, or not in time.
pub(crate) struct Overdue {
    pub(crate) index: u32,
    pub(crate) ended: Ended,
    pub(crate) kind: CleanupErrorKind,
    pub(crate) started: Instant,
    pub(crate) elapsed: Duration,
    pub(crate) last_resort: Option<Work>,
    /// The thread that was left with it, if one was.
    pub(crate) left_with: Option<u64>,
    /// What stands behind it has been let go on.
    pub(crate) overtaken: bool,
}

/// Something that runs and is watched.
pub(crate) struct Active {
    /// `None` where somebody else runs it.
    pub(crate) worker: Option<u64>,
    /// The item; `None` for a deferred resource outside the selection.
    pub(crate) index: Option<u32>,
    pub(crate) started: Instant,
    pub(crate) limit: Option<Instant>,
    /// When a run with a deadline goes on without it.
    pub(crate) patience: Option<Instant>,
    pub(crate) notice: Option<Instant>,
    /// The run went on without it,
    pub(crate) left: bool,
    /// and then with what stands behind it.
    pub(crate) overtaken: bool,
    pub(crate) stage: Stage,
}

impl Active {
    /// When the supervisor has to look at it.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        let patience = self.patience.filter(|_| !self.left);
        self.limit.into_iter().chain(patience).chain(self.notice).min()
    }
}

pub(crate) enum Stage {
    /// Somebody else runs it, or it is outside the selection.
    Foreign,
    /// Its graceful step runs.
    Graceful { ended: Ended, last_resort: Option<Work> },
    /// Its last resort runs.
    Forced(Box<Overdue>),
    /// It has ended, and this is being told.
    Told { outcome: ResourceOutcome, elapsed: Duration, error: Option<Box<CleanupError>> },
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
    pub(crate) results: Vec<ItemResult>,
    pub(crate) active: Vec<Active>,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) unresolved: usize,
    /// Threads that can take something.
    pub(crate) workers: usize,
    /// Of these, how many wait for something to do.
    pub(crate) idle: usize,
    pub(crate) next_worker: u64,
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
    concurrency: usize,
}

impl Line {
    pub(crate) fn new(order: Order, items: usize, concurrency: usize) -> Line {
        let mut place = vec![0; items];
        for (at, index) in order.sequence.iter().enumerate() {
            place[*index as usize] = at as u32;
        }
        Line { order, place, concurrency: concurrency.max(1) }
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
            results: vec![nothing; items],
            active: Vec::new(),
            tasks: VecDeque::new(),
            unresolved: items,
            workers: 0,
            idle: 0,
            next_worker: 0,
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
        if self.stopped.is_some() {
            return None;
        }
        let Reverse((class, _, index)) = *self.ready.peek()?;
        let running = self.active.iter().filter(|active| active.worker.is_some() && !active.left);
        let mut count = 0;
        for active in running {
            count += 1;
            // A class is not begun while one before it runs.
            if active.index.is_some_and(|index| line.class(index) < class) {
                return None;
            }
        }
        if count >= line.concurrency {
            return None;
        }
        self.ready.pop();
        Some(Task::Clean(index))
    }

    /// Whether a worker would find something to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.tasks.is_empty() || (self.stopped.is_none() && !self.ready.is_empty())
    }

    /// How many threads there is something to do for at once, at most.
    pub(crate) fn wanted(&self, line: &Line) -> usize {
        let ready = if self.stopped.is_some() { 0 } else { self.ready.len().min(line.concurrency) };
        ready.max(self.tasks.len().min(AT_ONCE.max(line.concurrency)))
    }

    /// How many threads there may be at once.
    pub(crate) fn room(&self, line: &Line) -> usize {
        line.concurrency.max(self.tasks.len().min(AT_ONCE)).saturating_sub(self.workers)
    }

    /// What this thread runs, unless it was given up.
    pub(crate) fn active_of(&mut self, worker: u64) -> Option<usize> {
        self.active.iter().position(|active| active.worker == Some(worker))
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
        for index in 0..self.results.len() as u32 {
            if self.results[index as usize].status == Status::Waiting && line.order.steps.is_part(index) {
                self.skips.insert(index, reason.clone());
                self.results[index as usize].status = Status::Over(ResourceOutcome::Skipped);
                self.unresolved -= 1;
            }
        }
    }
}
