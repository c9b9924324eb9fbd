//! What a worker does next: something that was left over, one that is ready, or a stretch of several.

use std::sync::Arc;
use std::time::Duration;

use super::{Line, State, Status};
use crate::report::ResourceOutcome;
use crate::teardown::active::Task;
use crate::teardown::stretch::Stretch;

/// The longest stretch of a sequential teardown: so often its state learns what is over.
const LONGEST: usize = 1_024;
/// The longest of one that has others to do it meanwhile: beyond, taking them costs next to nothing for each.
const MOST_READY: usize = 64;
/// Cleanups that take less than this, each, are worth a longer stretch.
const QUICK: Duration = Duration::from_micros(2);
/// Last resorts that run at once, where the teardown itself is sequential: there is little time for them.
const AT_ONCE: usize = 16;

impl State {
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
    #[inline]
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
}
