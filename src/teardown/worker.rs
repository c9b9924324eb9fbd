//! A worker: a helper thread that takes what is ready, runs it, and goes on.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cleanup::{CleanupContext, Work};
use crate::clock::after;
use crate::error::CleanupErrorKind;
use crate::events::anyone_listens;
use crate::id::ResourceId;
use crate::registry::entry::Entry;
use crate::registry::{Claim, Ended, Finished, Job, registry};
use crate::report::ResourceOutcome;
use crate::teardown::active::{Active, Overdue, Runner, Stage, Task};
use crate::teardown::run::{Run, outcome_of};
use crate::teardown::state::{State, Status};
use crate::teardown::stretch::Moments;
use crate::unwind::contain;
use crate::work::{conclude, perform, run_freed, run_freed_but, tell_late, tell_unwatched};

/// How long telling of an end may take before the run goes on without.
const TELLING: Duration = Duration::from_secs(1);

/// The run's state, or nothing where the run has given this thread up: then it ends.
pub(super) type Held<'a> = Option<MutexGuard<'a, State>>;

impl Run {
    /// Works until the run is over, or has given this thread up.
    pub(super) fn work(self: &Arc<Self>, worker: u64) {
        let mut state = self.state();
        while !state.over {
            match state.next(&self.line, anyone_listens()) {
                Some(task) => match self.take_on(state, worker, task) {
                    Some(held) => state = held,
                    None => return,
                },
                None if self.take_from_others(&mut state) => {}
                None => {
                    state.idle += 1;
                    self.watch.notify_one();
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }

    /// Works on the supervisor's own thread while there is something to do.
    pub(super) fn work_here(self: &Arc<Self>, worker: u64) {
        let mut state = self.state();
        state.workers += 1;
        state.unwatched = Some(worker);
        while let Some(task) = state.next(&self.line, true) {
            match self.take_on(state, worker, task) {
                Some(held) => state = held,
                None => return,
            }
        }
        state.unwatched = None;
        state.workers -= 1;
    }

    fn take_on<'a>(self: &'a Arc<Self>, state: MutexGuard<'a, State>, worker: u64, task: Task) -> Held<'a> {
        let state = match task {
            Task::Clean(index) => self.clean(state, worker, index),
            Task::Stretch(items) => self.run_stretch(state, worker, items),
            Task::Force(overdue) => self.force(state, worker, overdue),
            Task::Free(ids) => self.free(state, worker, ids),
        }?;
        self.went_on(&state, 1);
        Some(state)
    }

    /// Nothing is ready: what others have taken and not begun is. Whether there was any.
    pub(super) fn take_from_others(&self, state: &mut State) -> bool {
        for worker in state.stretch_numbers() {
            if state.stretch(worker).is_some_and(|stretch| stretch.rest() > 0) {
                self.stop_stretch(state, worker);
            }
        }
        state.has_work(&self.line)
    }

    pub(super) fn watched(
        &self,
        runner: Runner,
        index: Option<u32>,
        limit: Duration,
        stage: Stage,
    ) -> Active {
        self.watched_since(Instant::now(), runner, index, limit, stage)
    }

    pub(super) fn watched_since(
        &self,
        start: Instant,
        runner: Runner,
        index: Option<u32>,
        limit: Duration,
        stage: Stage,
    ) -> Active {
        let Moments { limit, patience, notice } = self.moments(start, limit);
        Active {
            runner,
            index,
            started: start,
            limit,
            patience,
            notice,
            left: false,
            overtaken: false,
            stage,
        }
    }

    /// From now on the supervisor watches it.
    pub(super) fn begin(&self, state: &mut State, number: u64, active: Active) {
        if state.sleeps_past(active.alarm()) {
            self.watch.notify_one();
        }
        state.start(&self.line, number, active);
    }

    pub(super) fn clean<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        index: u32,
    ) -> Held<'a> {
        let item = self.item(index);
        let claim = {
            let overtaken = &state.overtaken;
            registry().claim(item.id, |dependent| self.options.force || overtaken.contains(&dependent))
        };
        state.results[index as usize].status = Status::Started;
        match claim {
            #[cfg(feature = "tokio")]
            Claim::Job(job) if job.work.is_async() => self.launch(state, worker, index, job),
            Claim::Job(job) => self.run_job(state, worker, index, job),
            Claim::Behind(by) if self.waits_for(&state, &by) => {
                let dependents: Vec<u32> = by.iter().filter_map(|id| self.index_of(*id)).collect();
                state.put_behind(index, &dependents);
                Some(state)
            }
            Claim::Behind(by) => {
                let reason = self.held_back(&state, &by);
                state.skip(&self.line, index, reason);
                Some(state)
            }
            // Its end is heard of, or will be.
            Claim::Taken => {
                let active = self.watched(Runner::Elsewhere, Some(index), item.limit, Stage::Foreign);
                match self.inbox.read(item.id) {
                    Some(ending) => {
                        let times = (active.started.duration_since(self.start), Duration::ZERO);
                        self.take_over(&mut state, index, &ending, times, false);
                    }
                    None => {
                        let number = state.number();
                        self.begin(&mut state, number, active);
                    }
                }
                Some(state)
            }
        }
    }

    pub(super) fn run_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        index: u32,
        job: Job,
    ) -> Held<'a> {
        let item = self.item(index);
        let ended = job.ended().timed();
        let stage = Stage::Graceful { ended, last_resort: job.last_resort };
        let active = self.watched(Runner::Thread, Some(index), item.limit, stage);
        let (started, limit) = (active.started, active.limit);
        self.begin(&mut state, worker, active);
        self.say_unwatched(state, worker, index);
        let deadline = earlier(limit, self.soft_end);
        let result = perform(item.id, job.work, &CleanupContext { reason: self.options.reason, deadline });
        self.came_back(self.state(), worker, index, started.elapsed(), result)
    }

    /// Lets the run go on while a step of an item runs. Where that is on the supervisor's own thread nothing keeps its
    /// limit, which is noted, and told before it begins.
    fn say_unwatched(&self, mut state: MutexGuard<'_, State>, worker: u64, index: u32) {
        if state.unwatched == Some(worker) {
            let note = String::from("ran on the caller's thread: no helper thread could be started");
            state.notes.insert(index, note);
            drop(state);
            tell_unwatched(self.item(index).id);
        }
    }

    /// A graceful step has returned.
    pub(super) fn came_back<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        index: u32,
        elapsed: Duration,
        result: Result<(), CleanupErrorKind>,
    ) -> Held<'a> {
        let Some(active) = state.active(worker) else {
            return self.came_late(state, worker, index, elapsed);
        };
        let started = active.started;
        let Stage::Graceful { ended, last_resort } = &mut active.stage else { return Some(state) };
        let (ended, last_resort) = (*ended, last_resort.take());
        match (result, last_resort) {
            (Err(kind), Some(force)) => {
                let overtaken = active.overtaken;
                let overdue = Overdue {
                    index,
                    ended,
                    kind,
                    started,
                    elapsed,
                    last_resort: None,
                    left_with: None,
                    overtaken,
                };
                self.run_force(state, worker, Box::new(overdue), force)
            }
            (result, unused) => self.finish(state, worker, (result, ended, elapsed), unused),
        }
    }

    /// Graceful did not do: force, within the same limit again.
    fn run_force<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        overdue: Box<Overdue>,
        force: Work,
    ) -> Held<'a> {
        let (index, ended, elapsed) = (overdue.index, overdue.ended, overdue.elapsed);
        let now = Instant::now();
        let item = self.item(index);
        let limit = earlier(after(now, item.limit), self.hard_end);
        let active = state.active(worker)?;
        active.limit = limit;
        active.stage = Stage::Forced(overdue);
        self.say_unwatched(state, worker, index);
        let context = CleanupContext { reason: self.options.reason, deadline: limit };
        let forced = perform(item.id, force, &context);

        let mut state = self.state();
        // Its end has been recorded meanwhile; an end of the last resort alone is no news.
        let active = state.active(worker)?;
        let kind = match std::mem::replace(&mut active.stage, Stage::Foreign) {
            Stage::Forced(overdue) => overdue.kind,
            _ => CleanupErrorKind::Cancelled,
        };
        let note = match forced {
            Ok(()) => String::from("the last resort was needed, and worked"),
            Err(kind) => format!("the last resort {kind}"),
        };
        state.notes.insert(index, note);
        self.finish(state, worker, (Err(kind), ended, elapsed), None)
    }

    /// Something that was given up: its last resort if it has one, and its end.
    fn force<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        mut overdue: Box<Overdue>,
    ) -> Held<'a> {
        let index = overdue.index;
        let mut active =
            self.watched(Runner::Thread, Some(index), self.item(index).limit.max(TELLING), Stage::Foreign);
        (active.started, active.overtaken, active.patience) = (overdue.started, overdue.overtaken, None);
        active.limit = earlier(active.limit, self.hard_end);
        let last_resort = overdue.last_resort.take();
        let (left_with, result) =
            (overdue.left_with, (Err(overdue.kind.clone()), overdue.ended, overdue.elapsed));
        match last_resort {
            Some(force) => {
                self.begin(&mut state, worker, active);
                self.run_force(state, worker, overdue, force)
            }
            None => {
                active.stage = Stage::Forced(overdue);
                self.begin(&mut state, worker, active);
                self.finish_left(state, worker, result, left_with)
            }
        }
    }

    pub(super) fn finish<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        number: u64,
        result: Outcome,
        unused: Option<Work>,
    ) -> Held<'a> {
        let left_with = None;
        let state = self.finish_left(state, number, result, left_with)?;
        if unused.is_some() {
            drop(state);
            contain(move || drop(unused));
            return Some(self.state());
        }
        Some(state)
    }

    /// Records an end in the registry, tells it, and lets go on what stood behind. `left_with`: the thread that
    /// still runs the cleanup, after whose end the value may go.
    pub(super) fn finish_left<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        number: u64,
        (result, ended, elapsed): Outcome,
        left_with: Option<u64>,
    ) -> Held<'a> {
        let outcome = result.as_ref().err().map_or(ResourceOutcome::Cleaned, outcome_of);
        let active = state.active(number)?;
        // Known to the run before anything can hold this thread up.
        let news = active.index.zip(result.as_ref().err());
        let error = news.map(|(index, kind)| Box::new(self.error(index, kind.clone(), elapsed)));
        active.stage = Stage::Told { outcome, elapsed, error };
        active.limit = after(Instant::now(), TELLING);
        active.patience = None;
        drop(state);
        let mut finished = registry().finish(&ended, result, elapsed, self.inbox.key());
        if let Some(thread) = left_with {
            self.keep_value(thread, &mut finished);
        }
        let freed = conclude(ended.id, finished);

        let mut state = self.state();
        let outside: Vec<ResourceId> = freed.into_iter().filter(|id| !self.sees_to(&state, *id)).collect();
        let Some(active) = state.end(&self.line, number) else {
            // Telling took so long that the run went on: it knows the outcome, but not what this set free.
            drop(state);
            run_freed(outside);
            return None;
        };
        let Some(index) = active.index else { return Some(state) };
        let (started, overtaken) = (active.started, active.overtaken);
        let was_left = active.left && matches!(active.runner, Runner::Thread);
        if let Stage::Told { error: Some(error), .. } = active.stage {
            state.errors.insert(index, *error);
        }
        if !outside.is_empty() {
            state.tasks.push_back(Task::Free(outside));
        }
        let times = (started.duration_since(self.start), elapsed);
        state.resolve(&self.line, index, Status::Over(outcome), times, overtaken);
        self.stop_if_failed(&mut state, Status::Over(outcome));
        self.rejoin(&mut state, was_left)?;
        Some(state)
    }

    /// What a cleanup that was given up still uses may go when its thread comes back.
    fn keep_value(&self, thread: u64, finished: &mut Finished) {
        let mut state = self.state();
        if !state.returned.contains(&thread)
            && let Some(value) = finished.scraps.take()
        {
            state.late_values.insert(thread, value);
        }
    }

    /// Deferred resources outside the selection: their last dependent went with this teardown. They run as after a
    /// drop, and the run waits for as long as it would for its own.
    fn free<'a>(&'a self, mut state: MutexGuard<'a, State>, worker: u64, ids: Vec<ResourceId>) -> Held<'a> {
        let own = |entry: &Entry| entry.timeout().unwrap_or_else(|| entry.category().default_timeout());
        let limits = ids.iter().filter_map(|id| registry().live(*id, own));
        let limit = limits.fold(TELLING, Duration::saturating_add);
        let active = self.watched(Runner::Thread, None, limit, Stage::Foreign);
        self.begin(&mut state, worker, active);
        drop(state);
        // What these set free in their turn may be the run's own, and has its place in the order.
        run_freed_but(ids, |id| self.will_clean(id));
        let mut state = self.state();
        let active = state.end(&self.line, worker)?;
        self.rejoin(&mut state, active.left)?;
        Some(state)
    }

    /// A thread that the run went on without takes its place again, if that is free.
    pub(super) fn rejoin(&self, state: &mut State, left: bool) -> Option<()> {
        if left {
            if state.room(&self.line) == 0 {
                self.watch.notify_one();
                self.work.notify_all();
                return None;
            }
            state.workers += 1;
        }
        Some(())
    }

    /// Something was resolved: others may have something to do now, beside so much that the caller does itself.
    pub(super) fn went_on(&self, state: &State, own: usize) {
        if state.idle > 0 && state.has_more_work(&self.line, own) {
            self.work.notify_all();
        }
        if state.unresolved == 0 || state.wanted(&self.line) > state.idle + 1 && state.room(&self.line) > 0 {
            self.watch.notify_one();
        }
    }

    /// The cleanup had been given up. Its value may go now, and who listens may hear of it.
    pub(super) fn came_late<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        index: u32,
        elapsed: Duration,
    ) -> Held<'a> {
        state.returned.insert(worker);
        let value = state.late_values.remove(&worker);
        drop(state);
        contain(move || drop(value));
        let item = self.item(index);
        tell_late(self.node_of(index), item.id, item.label.clone(), elapsed);
        None
    }
}

/// How a cleanup went, whose it was, and how long it took.
type Outcome = (Result<(), CleanupErrorKind>, Ended, Duration);

pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
