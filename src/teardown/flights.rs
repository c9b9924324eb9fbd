//! Asynchronous cleanups of a run: launched by a worker, polled by castoff's runtime, landed by its pollers.
//!
//! A flight needs no thread while it is under way: one worker launches all that the concurrency allows. What follows
//! a landing and may block, a last resort, is left to the workers.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use crate::cleanup::CleanupContext;
use crate::error::CleanupErrorKind;
use crate::events::spans::Journey;
use crate::registry::Job;
use crate::runtime::board;
use crate::teardown::active::{Overdue, Runner, Stage, Task};
use crate::teardown::run::Run;
use crate::teardown::state::State;
use crate::teardown::worker::{Held, earlier};
use crate::work::tell_late;

impl Run {
    /// Launches a claimed cleanup, and goes on. Where castoff's runtime can't be had, the worker awaits it here.
    pub(super) fn launch<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        index: u32,
        job: Job,
    ) -> Held<'a> {
        let Ok(ticket) = board() else { return self.run_job(state, worker, index, job) };
        let item = self.item(index);
        let stage = Stage::Graceful { ended: job.ended().timed(), last_resort: job.last_resort };
        let mut active = self.watched(Runner::Elsewhere, Some(index), item.limit, stage);
        let deadline = earlier(active.limit, self.soft_end);
        let context = CleanupContext { reason: self.options.reason, deadline };
        let (number, started, run) = (state.number(), active.started, self.clone());
        let journey = Journey::new(item.id, || Some(item.label.clone()), context.reason, self.here.clone());
        // Under the lock: it can't land before it is known. Nothing foreign runs in a launch.
        let landed = move |result| run.landed(number, index, started, result);
        active.runner = Runner::Flight(ticket.launch(item.id, job.work, context, journey, landed));
        self.begin(&mut state, number, active);
        Some(state)
    }

    fn landed(
        self: &Arc<Self>,
        number: u64,
        index: u32,
        started: Instant,
        result: Result<(), CleanupErrorKind>,
    ) {
        let elapsed = started.elapsed();
        let mut state = self.state();
        let Some(Stage::Graceful { ended, last_resort }) = state.active(number).map(|it| &mut it.stage)
        else {
            drop(state);
            // It was given up. What was cancelled for that has not ended late, but not at all.
            if !matches!(result, Err(CleanupErrorKind::Cancelled)) {
                let item = self.item(index);
                tell_late(self.node_of(index), item.id, item.label.clone(), elapsed);
            }
            return;
        };
        let (ended, last_resort) = (*ended, last_resort.take());
        let held = match (result, last_resort) {
            (Err(kind), Some(force)) => {
                let overtaken = state.end(&self.line, number).is_some_and(|active| active.overtaken);
                let last_resort = Some(force);
                let left_with = None;
                let overdue =
                    Overdue { index, ended, kind, started, elapsed, last_resort, left_with, overtaken };
                state.tasks.push_back(Task::Force(Box::new(overdue)));
                Some(state)
            }
            (result, unused) => self.finish(state, number, (result, ended, elapsed), unused),
        };
        if let Some(state) = held {
            self.launch_more(state);
        }
    }

    /// Launches what may start now and needs no thread, here on the poller: no worker is woken for it. The rest is
    /// the workers'.
    fn launch_more<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        while let Some(index) = state.next_async(&self.line) {
            let number = state.number();
            match self.clean(state, number, index) {
                Some(held) => state = held,
                None => return,
            }
        }
        self.went_on(&state, 0);
    }
}
