//! The supervisor: the caller's thread, which watches the workers and keeps the limits and the deadline.
//!
//! Under a deadline nothing is waited for longer than half of what is left. What was left running may still end
//! well; what stands behind it waits until nothing else is left, and then for half of what is left of the deadline.
//! A part of the deadline is kept for last resorts, where any of the chosen has one.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::after;
use crate::error::CleanupErrorKind;
use crate::events::ResourceEvent;
use crate::id::ResourceId;
use crate::registry::queue::Turn;
use crate::registry::{Finished, registry};
use crate::report::{ResourceOutcome, SkipReason};
use crate::runtime::helper;
use crate::teardown::active::{Overdue, Runner, Stage, Task};
use crate::teardown::run::{Run, outcome_of};
use crate::teardown::state::{State, Status};
use crate::work::{conclude, run_freed};

impl Run {
    /// Returns when everything is over, or the deadline has come.
    pub(super) fn supervise(self: &Arc<Self>, turn: &mut Option<Turn>) {
        let mut state = self.state();
        let mut cancelled = false;
        loop {
            if !cancelled && self.options.is_cancelled() {
                // What runs goes on, and is watched to its end; what has not started is somebody else's from now on.
                cancelled = true;
                self.stop_stretches(&mut state);
                state.stop(&self.line, SkipReason::DeadlinePassed);
                drop(state);
                *turn = None;
                state = self.state();
            }
            let now = Instant::now();
            self.keep_deadline(&mut state, now);
            if self.options.seal_at.is_some_and(|moment| now >= moment) {
                self.node.seal();
            }
            let slow = self.look_after(&mut state, now);
            if !slow.is_empty() {
                drop(state);
                self.tell_slow(&slow);
                state = self.state();
                continue;
            }
            self.overtake(&mut state, now);
            if is_over(&state) {
                break;
            }
            if let Some(worker) = self.staff(&mut state) {
                // No thread to be had: then here, unwatched, rather than not at all.
                drop(state);
                self.work_here(worker);
                state = self.state();
                continue;
            }
            state.alarm = self.alarm(&state);
            state = match state.alarm {
                None => self.watch.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(alarm) => {
                    // Not less: what is overdue but has not begun yet is looked at again shortly.
                    let left = alarm.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                    self.watch.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.over = true;
        let leavings = std::mem::take(&mut state.leavings);
        drop(state);
        self.work.notify_all();
        if !leavings.is_empty() {
            let rest =
                move || leavings.into_iter().for_each(|(id, finished)| run_freed(conclude(id, finished)));
            // A refused thread drops what was to be told, not the ends themselves, which are recorded.
            helper("castoff-leavings", rest).unwrap_or(());
        }
    }

    /// When the deadline less the reserve has come, nothing starts any more and what runs is given up; when the
    /// deadline itself has come, last resorts are too.
    pub(super) fn keep_deadline(&self, state: &mut State, now: Instant) {
        if self.soft_end.is_none_or(|end| now < end) {
            return;
        }
        self.stop_stretches(state);
        state.stop(&self.line, SkipReason::DeadlinePassed);
        for number in state.numbers() {
            let stage = state.active(number).map(|active| &active.stage);
            if matches!(stage, Some(Stage::Graceful { .. } | Stage::Foreign)) {
                self.give_up(state, number, now);
            }
        }
        if self.hard_end.is_none_or(|end| now < end) {
            return;
        }
        for number in state.numbers() {
            self.give_up(state, number, now);
        }
        for task in std::mem::take(&mut state.tasks) {
            match task {
                Task::Force(overdue) => self.end_unwatched(state, *overdue),
                Task::Free(freed) => {
                    state.leavings.push((ResourceId::NONE, Finished { freed, ..Finished::default() }));
                }
                Task::Clean(_) | Task::Stretch(_) => {}
            }
        }
    }

    /// Gives up what has passed its limit, and leaves what has used up the run's patience. Returns what is slow.
    pub(super) fn look_after(&self, state: &mut State, now: Instant) -> Vec<u32> {
        let past = |moment: Option<Instant>| moment.is_some_and(|moment| now >= moment);
        self.look_at_stretches(state, now);
        let mut slow = Vec::new();
        for number in state.numbers() {
            let Some(active) = state.active(number) else { continue };
            if active.is_due(now) {
                self.give_up(state, number, now);
                continue;
            }
            if past(active.notice) {
                active.notice = after(now, self.node.config.slow_after);
                slow.extend(active.index);
            }
            if past(active.patience) && !active.left {
                state.leave(&self.line, number);
            }
        }
        slow
    }

    fn tell_slow(&self, slow: &[u32]) {
        for index in slow {
            let item = self.item(*index);
            let event = ResourceEvent::SlowCleanup { id: item.id, label: item.label.clone() };
            self.node_of(*index).tell(&event);
        }
    }

    /// Leaves what runs with its thread, for good; cancels what runs without one.
    pub(super) fn give_up(&self, state: &mut State, number: u64, now: Instant) {
        let Some(active) = state.end(&self.line, number) else { return };
        let on_thread = matches!(active.runner, Runner::Thread);
        if on_thread && !active.left {
            state.workers -= 1;
        }
        let Some(index) = active.index else { return };
        let (started, overtaken) = (active.started, active.overtaken);
        let elapsed = now.duration_since(started);
        let times = (started.duration_since(self.start), elapsed);
        // What it was allowed: its own limit, or what the deadline left of that.
        let kind = CleanupErrorKind::TimedOut(self.item(index).limit.min(elapsed));
        if self.options.blocks_runtime && !on_thread {
            state.notes.insert(
                index,
                String::from(
                    "the teardown blocked a thread of an asynchronous runtime, which this may have needed: use `run_async` there",
                ),
            );
        }
        match active.stage {
            Stage::Graceful { ended, last_resort } => {
                let left_with = on_thread.then_some(number);
                let overdue =
                    Overdue { index, ended, kind, started, elapsed, last_resort, left_with, overtaken };
                state.tasks.push_back(Task::Force(Box::new(overdue)));
            }
            Stage::Forced(overdue) => self.end_unwatched(state, Overdue { overtaken, ..*overdue }),
            Stage::Told { outcome, elapsed, error } => {
                if let Some(error) = error {
                    state.errors.insert(index, *error);
                }
                // Its thread may not even have come to tell the registry.
                state.overtaken.insert(self.item(index).id);
                state.resolve(&self.line, index, Status::Over(outcome), (times.0, elapsed), overtaken);
                self.stop_if_failed(state, Status::Over(outcome));
            }
            Stage::Foreign => {
                // Somebody else still runs it: this run is done with waiting, and so is what stands behind it.
                state.overtaken.insert(self.item(index).id);
                state.errors.insert(index, self.error(index, kind, elapsed));
                let status = Status::Over(ResourceOutcome::TimedOut);
                state.resolve(&self.line, index, status, times, overtaken);
                self.stop_if_failed(state, status);
            }
        }
    }

    /// Records an end for which there is no time left to run anything. What remains to be told is left for later.
    fn end_unwatched(&self, state: &mut State, overdue: Overdue) {
        let Overdue { index, ended, kind, started, elapsed, last_resort, overtaken, .. } = overdue;
        let outcome = outcome_of(&kind);
        let mut finished = registry().finish(&ended.timed(), Err(kind), elapsed, self.inbox.key());
        state.errors.extend(finished.error.clone().map(|error| (index, error)));
        finished.freed.retain(|id| !self.sees_to(state, *id));
        let scraps = finished.scraps.take();
        finished.scraps = Some(Box::new((scraps, last_resort)));
        state.leavings.push((self.item(index).id, finished));
        let times = (started.duration_since(self.start), elapsed);
        state.resolve(&self.line, index, Status::Over(outcome), times, overtaken);
        self.stop_if_failed(state, Status::Over(outcome));
    }

    /// Lets what stands behind a cleanup that was left running go on, once it has waited long enough alone.
    pub(super) fn overtake(&self, state: &mut State, now: Instant) {
        let Some(end) = self.soft_end else { return };
        let busy =
            state.has_work(&self.line) || state.has_stretches() || state.actives().any(|active| !active.left);
        if busy || state.actives().next().is_none() || !state.has_waiting(&self.line) {
            state.grace = None;
            return;
        }
        let grace = *state.grace.get_or_insert_with(|| now + end.saturating_duration_since(now) / 2);
        if now < grace {
            return;
        }
        state.grace = None;
        for number in state.numbers() {
            let Some(active) = state.active(number) else { continue };
            let Some(index) = active.index.filter(|_| !active.overtaken) else { continue };
            active.overtaken = true;
            state.overtaken.insert(self.item(index).id);
            state.release_followers(&self.line, index);
        }
    }

    /// Sees to it that there are threads for what may start. Returns a number to work under here, when not one can
    /// be had.
    fn staff(self: &Arc<Self>, state: &mut State) -> Option<u64> {
        if state.idle > 0 && state.has_work(&self.line) {
            self.work.notify_all();
        }
        let wanted = state.wanted(&self.line).saturating_sub(state.idle);
        for _ in 0..wanted.min(state.room(&self.line)) {
            let worker = state.number();
            let run = self.clone();
            match helper("castoff-teardown", move || run.work(worker)) {
                Ok(()) => state.workers += 1,
                Err(_) if state.workers == 0 => return Some(worker),
                Err(_) => return None,
            }
        }
        None
    }

    /// When to look again if nobody calls.
    pub(super) fn alarm(&self, state: &State) -> Option<Instant> {
        let now = Instant::now();
        let ends = [self.soft_end, self.hard_end, self.options.seal_at]
            .into_iter()
            .flatten()
            .filter(|end| *end > now);
        let actives = state.actives().filter_map(|active| active.alarm());
        ends.chain(actives).chain(self.next_look(state)).chain(state.grace).min()
    }
}

fn is_over(state: &State) -> bool {
    state.unresolved == 0 && state.tasks.is_empty() && state.actives().next().is_none()
}
