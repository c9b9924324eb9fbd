//! Where a running teardown stands: what is ready, what runs, what became of what. Pure bookkeeping, behind the
//! run's lock; it starts no thread, runs no cleanup and reads no clock.
//!
//! Invariants:
//! 1. An item is resolved once, and `unresolved` counts those that are not.
//! 2. An item is ready when everything that it waits for has ended, was skipped, or was overtaken.
//! 3. What is in `active` is watched: it has a limit, or the run waits for it for ever on purpose.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::CleanupError;
use crate::graph::{Order, Ready};
use crate::id::ResourceId;
use crate::registry::Finished;
use crate::registry::entry::Kept;
use crate::report::{ResourceOutcome, SkipReason};
use crate::teardown::active::{Active, Runner, Task};
use crate::teardown::choose::Item;
use crate::teardown::stretch::{SHORTEST, Stretch};

pub(crate) const NOBODY: u32 = u32::MAX;
/// Last resorts that run at once, where the teardown itself is sequential: there is little time for them.
const AT_ONCE: usize = 16;

/// The longest stretch of a sequential teardown: so often its state learns what is over.
const LONGEST: usize = 1_024;
/// The longest of one that has others to do it meanwhile: beyond, taking them costs next to nothing for each.
const MOST_READY: usize = 64;
/// Cleanups that take less than this, each, are worth a longer stretch.
const QUICK: Duration = Duration::from_micros(2);

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

/// What never changes while a teardown runs.
pub(crate) struct Line {
    pub(crate) order: Order,
    /// By item: its place in the sequence.
    place: Vec<u32>,
    /// What is ready is begun in this order: by class, and then in sequence. Empty where that is the sequence.
    ranks: Vec<u32>,
    /// By item: its place in that. Empty likewise.
    rank: Vec<u32>,
    /// By item: whether its cleanup is asynchronous.
    is_async: Vec<bool>,
    /// By item: whether it may be done in a stretch.
    is_plain: Vec<bool>,
    concurrency: usize,
}

impl Line {
    pub(crate) fn new(order: Order, items: &[Item], concurrency: usize) -> Line {
        let place = places(&order.sequence, items.len());
        // One after the other the sequence holds the classes already.
        let (mut ranks, mut rank) = (Vec::new(), Vec::new());
        if concurrency > 1 {
            ranks = order.sequence.clone();
            ranks.sort_by_key(|index| order.class[*index as usize]);
            rank = places(&ranks, items.len());
        }
        let is_plain = |item: &Item| !item.is_async && !item.has_last_resort && item.limit >= SHORTEST;
        Line {
            order,
            place,
            ranks,
            rank,
            is_async: items.iter().map(|item| item.is_async).collect(),
            is_plain: items.iter().map(is_plain).collect(),
            concurrency: concurrency.max(1),
        }
    }

    fn rank(&self, index: u32) -> u32 {
        let rank = if self.rank.is_empty() { &self.place } else { &self.rank };
        rank[index as usize]
    }

    fn at_rank(&self, rank: u32) -> u32 {
        let ranks = if self.ranks.is_empty() { &self.order.sequence } else { &self.ranks };
        ranks[rank as usize]
    }

    /// Ranks matter only where several run at once: one after the other, the sequence holds them already.
    fn class(&self, index: u32) -> u32 {
        if self.concurrency == 1 { 0 } else { self.order.class[index as usize] }
    }
}

/// By item: where it stands in this line.
fn places(line: &[u32], items: usize) -> Vec<u32> {
    let mut places = vec![0; items];
    for (at, index) in (0..).zip(line) {
        places[*index as usize] = at;
    }
    places
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
        let waits_for = line.order.steps.waits_for();
        let free = |node: &u32| waits_for[*node as usize] == 0 && line.order.steps.is_part(*node);
        for node in (0..waits_for.len() as u32).filter(free) {
            state.set_ready(line, node);
        }
        state
    }

    /// A node waits for nothing more. Virtual ones end at once.
    fn set_ready(&mut self, line: &Line, node: u32) {
        if !line.order.steps.is_virtual(node) {
            return self.set_item_ready(line, node);
        }
        let mut free = vec![node];
        while let Some(node) = free.pop() {
            let behind = self.behind[node as usize];
            if !line.order.steps.is_virtual(node) {
                self.set_item_ready(line, node);
                continue;
            }
            for follower in line.order.steps.followers(node) {
                if self.wait_less(*follower, behind) {
                    free.push(*follower);
                }
            }
        }
    }

    fn set_item_ready(&mut self, line: &Line, index: u32) {
        self.results[index as usize].waited_for = self.behind[index as usize];
        self.give_back(line, index);
    }

    /// It may start, if nothing holds it back and it has not.
    pub(crate) fn give_back(&mut self, line: &Line, index: u32) {
        let waits = self.waits[index as usize] > 0;
        if waits || self.results[index as usize].status != Status::Waiting || self.stopped_for_good {
            return;
        }
        if self.ready.insert(line.rank(index)) {
            self.ready_in_all += 1;
            self.ready_async += usize::from(line.is_async[index as usize]);
        }
    }

    /// It is somebody's, and so no longer for anybody.
    fn take_away(&mut self, line: &Line, index: u32) {
        if self.ready.remove(line.rank(index)) {
            self.ready_in_all -= 1;
            self.ready_async -= usize::from(line.is_async[index as usize]);
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
        if !self.late_followers.is_empty() {
            for follower in self.late_followers.remove(&index).unwrap_or_default() {
                if self.wait_less(follower, index) {
                    self.set_ready(line, follower);
                }
            }
        }
        for follower in line.order.steps.followers(index) {
            if self.wait_less(*follower, index) {
                self.set_ready(line, *follower);
            }
        }
    }

    /// What a free worker does next, if anything may start now. `alone`: one at a time.
    pub(crate) fn next(&mut self, line: &Line, alone: bool) -> Option<Task> {
        if let Some(task) = self.tasks.pop_front() {
            return Some(task);
        }
        let plods = std::mem::take(&mut self.plods) || alone;
        if !plods && let Some(items) = self.next_stretch(line) {
            return Some(Task::Stretch(items));
        }
        let index = self.startable(line)?;
        self.take_away(line, index);
        Some(Task::Clean(index))
    }

    /// The next item that may start now, if its cleanup is asynchronous.
    #[cfg(feature = "tokio")]
    pub(crate) fn next_async(&mut self, line: &Line) -> Option<u32> {
        let index = self.startable(line).filter(|index| line.is_async[*index as usize])?;
        self.take_away(line, index);
        Some(index)
    }

    fn startable(&self, line: &Line) -> Option<u32> {
        if self.stopped.is_some() || self.busy_in_all >= line.concurrency {
            return None;
        }
        let index = line.at_rank(self.ready.first()?);
        // A class is not begun while one before it runs.
        let earlier = self.busy.keys().next().is_some_and(|running| *running < line.class(index));
        (!earlier).then_some(index)
    }

    /// Several that may start now, one after the other.
    fn next_stretch(&mut self, line: &Line) -> Option<Vec<u32>> {
        let first = self.startable(line)?;
        let items = match line.concurrency {
            1 if self.active.is_empty() && self.late_followers.is_empty() => self.in_sequence(line),
            1 => Vec::new(),
            _ => self.of_the_ready(line, line.class(first)),
        };
        (!items.is_empty()).then_some(items)
    }

    /// One after the other, and nothing runs elsewhere: whatever the next ones wait for, it stands before them.
    fn in_sequence(&mut self, line: &Line) -> Vec<u32> {
        let sequence = &line.order.sequence;
        let is_waiting = |index: &u32| self.results[*index as usize].status == Status::Waiting;
        let over = sequence[self.next_place..].iter().take_while(|index| !is_waiting(index)).count();
        self.next_place += over;
        let rest = sequence[self.next_place..].iter().filter(|index| is_waiting(index));
        rest.take_while(|index| line.is_plain[**index as usize]).take(LONGEST).copied().collect()
    }

    /// As many as leave some for the others.
    fn of_the_ready(&mut self, line: &Line, class: u32) -> Vec<u32> {
        let most = self.pace.min(self.ready_in_all / line.concurrency).max(1);
        let mut items = Vec::new();
        while items.len() < most
            && let Some(index) = self.ready.first().map(|rank| line.at_rank(rank))
            && line.is_plain[index as usize]
            && line.class(index) == class
        {
            self.take_away(line, index);
            items.push(index);
        }
        items
    }

    pub(crate) fn begin_stretch(&mut self, line: &Line, worker: u64, stretch: Arc<Stretch>) {
        self.count_class(stretch.first().map(|first| line.class(first)), true);
        self.stretches.insert(worker, stretch);
    }

    pub(crate) fn end_stretch(&mut self, line: &Line, worker: u64) -> Option<Arc<Stretch>> {
        let stretch = self.stretches.remove(&worker)?;
        self.count_class(stretch.first().map(|first| line.class(first)), false);
        Some(stretch)
    }

    pub(crate) fn stretch(&self, worker: u64) -> Option<&Stretch> {
        self.stretches.get(&worker).map(|stretch| &**stretch)
    }

    pub(crate) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.stretches.values().map(|stretch| &**stretch)
    }

    pub(crate) fn stretch_numbers(&self) -> Vec<u64> {
        self.stretches.keys().copied().collect()
    }

    pub(crate) fn has_stretches(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// An item of a stretch was cleaned.
    pub(crate) fn settle(&mut self, line: &Line, index: u32, times: (Duration, Duration)) {
        self.take_away(line, index);
        self.resolve(line, index, Status::Over(ResourceOutcome::Cleaned), times, false);
    }

    /// An item of a stretch runs.
    pub(crate) fn take_up(&mut self, line: &Line, index: u32) {
        self.take_away(line, index);
        self.results[index as usize].status = Status::Started;
    }

    /// A stretch came to its end, or to what is none of it.
    pub(crate) fn keep_pace(&mut self, took: Option<Duration>, done: usize, is_all: bool) {
        let quick = took.is_some_and(|took| took < QUICK * done as u32);
        self.pace = if quick { (self.pace * 2).min(MOST_READY) } else { 1 };
        self.plods |= !is_all;
    }

    /// Whether a worker would find something to do now.
    pub(crate) fn has_work(&self, line: &Line) -> bool {
        !self.tasks.is_empty() || self.startable(line).is_some()
    }

    /// The same beside so much that somebody does already.
    pub(crate) fn has_more_work(&self, line: &Line, own: usize) -> bool {
        self.tasks.len() + self.ready_in_all > own && self.has_work(line)
    }

    /// How many threads there is something to do for at once, at most.
    pub(crate) fn wanted(&self, line: &Line) -> usize {
        let ready = match self.stopped {
            Some(_) => 0,
            // One thread launches all that are asynchronous.
            None => self.ready_in_all - self.ready_async + usize::from(self.ready_async > 0),
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
