//! Runs a teardown: helper threads do the cleanups (`worker`), and the caller's thread watches them (`watch`).
//!
//! A worker takes what is ready, runs it, and goes on; no cleanup is handed from thread to thread. What is overdue
//! is left with its thread, and another worker goes on.
//!
//! Lock order: a run's state, then a registry lock, never the other way: the registry tells of ends with no lock
//! held. No foreign code runs under either.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::{Coarse, after};
use crate::error::{CleanupError, CleanupErrorKind};
#[cfg(feature = "tokio")]
use crate::events::spans;
use crate::graph::{Order, Why};
use crate::id::{Label, ManagerId, ResourceId};
use crate::registry::entry::Phase;
use crate::registry::queue::Turn;
use crate::registry::tree::Node;
use crate::registry::{Ending, registry};
use crate::report::{Record, ResourceOutcome, SkipReason, TeardownReport};
#[cfg(feature = "tokio")]
use crate::teardown::away::Cancel;
use crate::teardown::choose::{Choice, Item};
use crate::teardown::inbox::Inbox;
use crate::teardown::state::{Line, NOBODY, State, Status};
use crate::teardown::stretch::SHORTEST;

/// How a teardown is run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) concurrency: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) stop_on_error: bool,
    pub(crate) force: bool,
    pub(crate) reason: CleanupReason,
    /// When the manager is sealed if the run still goes on: a shutdown's half-time.
    pub(crate) seal_at: Option<Instant>,
    /// Its caller's thread is one of an asynchronous runtime, and waits.
    pub(crate) blocks_runtime: bool,
    /// Set where it is awaited, and may be awaited no more.
    #[cfg(feature = "tokio")]
    pub(crate) cancel: Option<Cancel>,
}

impl Options {
    /// Whether nobody awaits it any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        #[cfg(feature = "tokio")]
        return self.cancel.as_ref().is_some_and(Cancel::is_cancelled);
        #[cfg(not(feature = "tokio"))]
        return false;
    }
}

/// The least that is kept of a deadline for last resorts.
const RESERVE: Duration = Duration::from_millis(100);

pub(crate) struct Run {
    pub(super) node: Arc<Node>,
    nodes: HashMap<ManagerId, Arc<Node>>,
    pub(super) items: Vec<Item>,
    pub(super) line: Line,
    pub(super) options: Options,
    pub(super) inbox: Arc<Inbox>,
    /// The inbox's: this run's own ends need not be told to it.
    pub(super) observer: Option<u64>,
    /// The shortest limit of those that may be done in stretches.
    pub(super) shortest: Duration,
    pub(super) start: Instant,
    begun: Coarse,
    /// When the run ends but for last resorts, and when it ends.
    pub(super) soft_end: Option<Instant>,
    pub(super) hard_end: Option<Instant>,
    state: Mutex<State>,
    /// Something to do.
    pub(super) work: Condvar,
    /// Something for the supervisor to look at.
    pub(super) watch: Condvar,
    index_of: OnceLock<HashMap<ResourceId, u32>>,
    /// The teardown's span, for cleanups that are launched anywhere.
    #[cfg(feature = "tokio")]
    pub(super) here: Arc<spans::Here>,
}

/// Runs what was chosen, in this order. `start` is when the teardown was asked for: its deadline counts from there.
/// The turn is let go at once when the teardown is cancelled.
pub(crate) fn run(
    node: &Arc<Node>,
    choice: Choice,
    order: Order,
    options: Options,
    inbox: Arc<Inbox>,
    start: Instant,
    turn: &mut Option<Turn>,
) -> TeardownReport {
    let run = Arc::new(Run::new(node, choice, order, options, inbox, start));
    run.inbox.attach(&run);
    #[cfg(feature = "tokio")]
    if let Some(cancel) = &run.options.cancel {
        cancel.attach(&run);
    }
    run.leave_out();
    run.supervise(turn);
    if run.line.order.seats.iter().any(|seat| seat.is_somewhere()) {
        node.tree.graph.lock().tidy();
    }
    run.inbox.close();
    run.report()
}

impl Run {
    /// A run of what was chosen, which nobody has begun yet.
    pub(super) fn new(
        node: &Arc<Node>,
        choice: Choice,
        order: Order,
        options: Options,
        inbox: Arc<Inbox>,
        start: Instant,
    ) -> Run {
        let reserve = match options.deadline {
            Some(deadline) if choice.items.iter().any(|item| item.has_last_resort) => {
                (deadline / 10).max(RESERVE).min(deadline / 2)
            }
            _ => Duration::ZERO,
        };
        let end = |less: Duration| {
            options.deadline.and_then(|deadline| after(start, deadline.saturating_sub(less)))
        };
        let (soft_end, hard_end) = (end(reserve), end(Duration::ZERO));
        let line = Line::new(order, &choice.items, options.concurrency);
        let limits = choice.items.iter().map(|item| item.limit);
        let shortest = limits.filter(|limit| *limit >= SHORTEST).min().unwrap_or(Duration::MAX);
        let state = Mutex::new(State::new(&line, choice.items.len()));
        Run {
            node: node.clone(),
            nodes: choice.nodes.into_iter().map(|node| (node.id, node)).collect(),
            items: choice.items,
            line,
            options,
            observer: inbox.key(),
            inbox,
            shortest,
            start,
            begun: Coarse::now(),
            soft_end,
            hard_end,
            state,
            work: Condvar::new(),
            watch: Condvar::new(),
            index_of: OnceLock::new(),
            #[cfg(feature = "tokio")]
            here: Arc::new(spans::here()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody awaits it any more: from here on nothing starts. The supervisor sees to the rest.
    #[cfg(feature = "tokio")]
    pub(super) fn hold(&self) {
        let mut state = self.state();
        state.stopped.get_or_insert(SkipReason::DeadlinePassed);
        self.stop_stretches(&mut state);
        self.watch.notify_one();
    }

    pub(super) fn item(&self, index: u32) -> &Item {
        &self.items[index as usize]
    }

    /// The manager of an item, also when that has ended.
    pub(super) fn node_of(&self, index: u32) -> &Arc<Node> {
        self.nodes.get(&self.item(index).manager).unwrap_or(&self.node)
    }

    pub(super) fn index_of(&self, id: ResourceId) -> Option<u32> {
        let build = || self.items.iter().zip(0..).map(|(item, index)| (item.id, index)).collect();
        self.index_of.get_or_init(build).get(&id).copied()
    }

    pub(super) fn error(&self, index: u32, kind: CleanupErrorKind, elapsed: Duration) -> CleanupError {
        let item = self.item(index);
        let label = item.label.clone();
        CleanupError {
            id: item.id,
            label,
            category: item.category,
            kind,
            created_at: item.created_at,
            elapsed,
        }
    }

    /// What the order could not place, because something outside depends on it.
    fn leave_out(&self) {
        let reason = |why: &Why| match why {
            Why::Outside(ids) => SkipReason::DependentOutside { dependents: labels(ids) },
            Why::Behind(ids) => SkipReason::BehindSkipped { dependents: labels(ids) },
        };
        let mut state = self.state();
        for left in &self.line.order.left_out {
            state.skip(&self.line, left.index, reason(&left.why));
        }
    }

    /// Whether all of these are this run's own and not over yet: a dependency was added while it runs.
    pub(super) fn waits_for(&self, state: &State, dependents: &[ResourceId]) -> bool {
        dependents.iter().all(|id| {
            let status = self.index_of(*id).map(|index| state.results[index as usize].status);
            matches!(status, Some(Status::Waiting | Status::Started))
        })
    }

    /// Whether it is an item that is not over yet.
    pub(super) fn will_clean(&self, id: ResourceId) -> bool {
        self.index_of(id).is_some_and(|index| {
            matches!(self.state().results[index as usize].status, Status::Waiting | Status::Started)
        })
    }

    /// Whether something that an end has set free is left alone by who tells of that end: it is an item, and the run will
    /// come to it or leaves it live on purpose. What was skipped behind something outside is not: that has gone now, and
    /// nobody else would come back to it.
    pub(super) fn sees_to(&self, state: &State, id: ResourceId) -> bool {
        self.index_of(id).is_some_and(|index| {
            let skipped = state.skips.get(&index);
            !matches!(skipped, Some(SkipReason::DependentOutside { .. } | SkipReason::BehindSkipped { .. }))
        })
    }

    /// Why a claim was refused: these still depend on the item.
    pub(super) fn held_back(&self, state: &State, by: &[ResourceId]) -> SkipReason {
        let skipped = Status::Over(ResourceOutcome::Skipped);
        let was_skipped = |id: &ResourceId| {
            self.index_of(*id).is_some_and(|index| state.results[index as usize].status == skipped)
        };
        let dependents = labels(by);
        match by.iter().any(was_skipped) {
            true => SkipReason::BehindSkipped { dependents },
            false => SkipReason::DependentOutside { dependents },
        }
    }

    /// Somebody else's cleanup of an item has ended.
    pub(super) fn ended_elsewhere(&self, id: ResourceId, ending: &Ending) {
        let Some(index) = self.index_of(id) else { return };
        let mut state = self.state();
        let Some(number) = state.elsewhere(index) else { return };
        let Some(active) = state.end(&self.line, number) else { return };
        let times = (active.started.duration_since(self.start), active.started.elapsed());
        self.take_over(&mut state, index, ending, times, active.overtaken);
        drop(state);
        self.work.notify_all();
        self.watch.notify_one();
    }

    /// Reads somebody else's result of an item.
    pub(super) fn take_over(
        &self,
        state: &mut State,
        index: u32,
        ending: &Ending,
        times: (Duration, Duration),
        overtaken: bool,
    ) {
        if let Some(error) = &ending.error {
            state.errors.insert(index, error.clone());
        }
        let status = match (ending.phase, &ending.error) {
            (Phase::Released, _) => Status::Gone,
            (Phase::TimedOut, _) => Status::Over(ResourceOutcome::TimedOut),
            (_, Some(error)) => Status::Over(outcome_of(&error.kind)),
            _ => Status::Over(ResourceOutcome::Cleaned),
        };
        state.resolve(&self.line, index, status, times, overtaken);
        state.notes.insert(index, String::from("cleaned elsewhere"));
        self.stop_if_failed(state, status);
    }

    pub(super) fn stop_if_failed(&self, state: &mut State, status: Status) {
        let good = matches!(
            status,
            Status::Gone | Status::Over(ResourceOutcome::Cleaned | ResourceOutcome::Skipped)
        );
        if self.options.stop_on_error && !good {
            self.stop_stretches(state);
            state.stop(&self.line, SkipReason::StoppedOnError);
        }
    }

    pub(super) fn report(&self) -> TeardownReport {
        let duration = self.start.elapsed();
        let mut state = self.state();
        let indexes = self.in_order_of_start(&state);
        let mut place = Vec::new();
        if state.results.iter().any(|result| result.waited_for != NOBODY) {
            place.resize(self.items.len(), NOBODY);
            for (at, index) in (0..).zip(&indexes) {
                place[*index as usize] = at;
            }
        }
        let mut age = Age { begun: self.begun, created: self.begun, age: Duration::ZERO };
        let records = indexes.iter().map(|index| self.record(&mut state, *index, &place, &mut age));
        TeardownReport::new(self.node.name.clone(), records, duration)
    }

    /// All that have an outcome, the skipped last.
    fn in_order_of_start(&self, state: &State) -> Vec<u32> {
        let order = &self.line.order;
        let mut indexes: Vec<u32> = Vec::with_capacity(self.items.len());
        let (mut last, mut is_in_order) = ((false, Duration::ZERO), true);
        let start = |index: u32| {
            let result = &state.results[index as usize];
            (result.status == Status::Over(ResourceOutcome::Skipped), result.started)
        };
        for index in order.sequence.iter().copied().chain(order.left_out.iter().map(|left| left.index)) {
            if matches!(state.results[index as usize].status, Status::Over(_)) {
                let before = std::mem::replace(&mut last, start(index));
                is_in_order &= before <= last;
                indexes.push(index);
            }
        }
        // One after the other, they are. Stable: of two that began at once the first in sequence stays the first.
        if !is_in_order {
            indexes.sort_by_key(|index| start(*index));
        }
        indexes
    }

    #[inline(always)] // as large as it is, it is made where it goes
    fn record(&self, state: &mut State, index: u32, place: &[u32], age: &mut Age) -> Record {
        let (item, result) = (self.item(index), state.results[index as usize]);
        let outcome = match result.status {
            Status::Over(outcome) => outcome,
            _ => ResourceOutcome::Skipped,
        };
        let waited_for =
            place.get(result.waited_for as usize).filter(|at| **at != NOBODY).map(|at| *at as usize);
        Record {
            id: item.id,
            label: item.label.clone(),
            category: item.category,
            created_at: item.created_at,
            lived: age.of(item.created) + result.started,
            outcome,
            started: result.started,
            duration: result.duration,
            error: take_out(&mut state.errors, index),
            skipped: take_out(&mut state.skips, index),
            after_failed: take_out(&mut state.after_failed, index)
                .map(|failed| self.item(failed).label.clone()),
            note: take_out(&mut state.notes, index),
            waited_for: waited_for.filter(|_| outcome != ResourceOutcome::Skipped),
        }
    }
}

/// How old what was created at a moment was when the run began. Many were created within one step of the coarse clock.
struct Age {
    begun: Coarse,
    created: Coarse,
    age: Duration,
}

impl Age {
    #[inline]
    fn of(&mut self, created: Coarse) -> Duration {
        if self.created != created {
            (self.created, self.age) = (created, self.begun.since(created));
        }
        self.age
    }
}

/// Most often there is nothing at all, and so nothing to look for.
#[inline]
fn take_out<T>(map: &mut HashMap<u32, T>, index: u32) -> Option<T> {
    if map.is_empty() { None } else { map.remove(&index) }
}

pub(super) fn outcome_of(kind: &CleanupErrorKind) -> ResourceOutcome {
    match kind {
        CleanupErrorKind::Panicked(_) => ResourceOutcome::Panicked,
        CleanupErrorKind::TimedOut(_) => ResourceOutcome::TimedOut,
        CleanupErrorKind::Cancelled => ResourceOutcome::Cancelled,
        CleanupErrorKind::Failed(_) | CleanupErrorKind::Deferred { .. } => ResourceOutcome::Failed,
    }
}

pub(super) fn labels(ids: &[ResourceId]) -> Vec<Label> {
    ids.iter().filter_map(|id| registry().label_of(*id)).collect()
}
