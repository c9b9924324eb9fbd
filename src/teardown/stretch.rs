//! Several cleanups that a worker does one after the other without asking the run in between.
//!
//! Most cleanups are like most others, and take less time than it takes to take one from the run's state, have it watched
//! and report its end. So a worker takes a stretch of them at once. It notes in one word how far it has come; the
//! supervisor, or a worker that has nothing to do, can take the rest away from it at any moment, and what it runs just
//! then is from there on watched like any other.
//!
//! Invariants:
//! 1. A cleanup of a stretch is claimed as late as any other, just before it runs: until then its guard may be closed, by
//!    the cleanup before it for instance.
//! 2. `at` moves on by the worker, under the locks of the registry, until it is stopped, under the run's lock. So each
//!    item is either done by the worker, or what it runs at the time, or left to whoever has stopped it.
//! 3. What is not like most others is never ended or claimed in a stretch: the worker stops it, and does that one alone.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use crate::cleanup::{CleanupContext, Work};
use crate::clock::after;
use crate::error::CleanupErrorKind;
use crate::graph::Order;
use crate::id::ManagerId;
use crate::registry::registry;
use crate::registry::relay::{Course, Move, Runner, Step};
use crate::stats::Latencies;
use crate::teardown::active::{Runner as Who, Stage};
use crate::teardown::run::Run;
use crate::teardown::state::State;
use crate::teardown::worker::{Held, earlier};
use crate::work::perform;

/// What may take less time than this is watched alone from its beginning: a stretch is looked at as seldom as its most
/// urgent item allows.
pub(super) const SHORTEST: Duration = Duration::from_millis(20);

const STOPPED: u64 = 1 << 63;

pub(crate) struct Stretch {
    items: Vec<u32>,
    /// Twice the number of those that are done, and one more while the next of them runs.
    at: AtomicU64,
    /// Since the run's start.
    begun: Duration,
    /// By place, in nanoseconds since the run's start: when it ended, for those that are done.
    ends: Box<[AtomicU64]>,
}

/// Where a stretch has come to.
#[derive(Clone, Copy)]
struct Reached {
    done: usize,
    runs: bool,
}

impl Reached {
    fn new(at: u64) -> Reached {
        let at = at & !STOPPED;
        Reached { done: (at >> 1) as usize, runs: at & 1 == 1 }
    }
}

impl Stretch {
    pub(super) fn new(items: Vec<u32>, begun: Duration) -> Stretch {
        let ends = items.iter().map(|_| AtomicU64::new(0)).collect();
        Stretch { items, at: AtomicU64::new(0), begun, ends }
    }

    /// The worker's next move, unless it was stopped.
    pub(super) fn go(&self, next: Move, done: usize) -> bool {
        let from = match next {
            Move::Claim => 2 * done as u64,
            Move::End => 2 * done as u64 + 1,
        };
        self.at.compare_exchange(from, from + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn reached(&self) -> Reached {
        Reached::new(self.at.load(Ordering::Acquire))
    }

    fn stop(&self) -> Reached {
        Reached::new(self.at.fetch_or(STOPPED, Ordering::AcqRel))
    }

    /// How many it has not begun.
    pub(crate) fn rest(&self) -> usize {
        let Reached { done, runs } = self.reached();
        self.items.len() - done - usize::from(runs)
    }

    /// When the one at this place ended.
    fn end(&self, place: usize) -> Duration {
        Duration::from_nanos(self.ends[place].load(Ordering::Relaxed))
    }

    /// When the one at this place began, if those before it are done.
    fn beginning(&self, place: usize) -> Duration {
        place.checked_sub(1).map_or(self.begun, |before| self.end(before))
    }

    /// When those at these places began, which are done, and how long they took.
    fn times(&self, places: Range<usize>) -> impl Iterator<Item = (Duration, Duration)> {
        let mut before = self.beginning(places.start);
        self.ends[places].iter().map(move |end| {
            let end = Duration::from_nanos(end.load(Ordering::Relaxed));
            let begun = std::mem::replace(&mut before, end);
            (begun, end.saturating_sub(begun))
        })
    }

    pub(crate) fn first(&self) -> Option<u32> {
        self.items.first().copied()
    }
}

/// The moments at which something is to be done about a cleanup that still runs.
pub(super) struct Moments {
    pub(super) limit: Option<Instant>,
    pub(super) patience: Option<Instant>,
    pub(super) notice: Option<Instant>,
}

impl Moments {
    fn first(&self) -> Option<Instant> {
        self.limit.into_iter().chain(self.patience).chain(self.notice).min()
    }
}

impl Run {
    /// Begins a stretch, and does as much of it as it is let.
    pub(super) fn run_stretch<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        worker: u64,
        items: Vec<u32>,
    ) -> Held<'a> {
        let stretch = Arc::new(Stretch::new(items, self.start.elapsed()));
        state.begin_stretch(&self.line, worker, stretch.clone());
        if state.sleeps_past(self.next_look(&state)) {
            self.watch.notify_one();
        }
        drop(state);
        let (mut work, mut done) = (self.claim_first(&stretch), 0);
        let mut start = self.start + stretch.begun;
        while let Some(begun) = work.take() {
            let item = self.item(stretch.items[done]);
            let deadline = earlier(after(start, item.limit), self.soft_end);
            let result = perform(item.id, begun, &CleanupContext { reason: self.options.reason, deadline });
            let end = Instant::now();
            stretch.ends[done].store(nanos(end.duration_since(self.start)), Ordering::Relaxed);
            let step = match &result {
                Ok(()) => self.pass_on(&stretch, Some(done)),
                Err(_) => Step::Refused,
            };
            match step {
                Step::Claimed(next) => work = Some(next),
                Step::Ended | Step::Stopped(Move::Claim) => {}
                Step::Refused | Step::Stopped(Move::End) => {
                    let elapsed = end.duration_since(start);
                    return self.break_off(worker, stretch.items[done], elapsed, result);
                }
            }
            start = end;
            done += 1;
        }
        let mut state = self.state();
        self.stop_stretch(&mut state, worker);
        Some(state)
    }

    fn claim_first(&self, stretch: &Stretch) -> Option<Work> {
        match self.pass_on(stretch, None) {
            Step::Claimed(work) => Some(work),
            _ => None,
        }
    }

    /// Ends what has run, and claims what comes next.
    fn pass_on(&self, stretch: &Stretch, done: Option<usize>) -> Step {
        let next = done.map_or(0, |done| done + 1);
        let runner = |place: usize| stretch.items.get(place).map(|index| self.runner(*index));
        let go = |step: Move| match step {
            Move::Claim => stretch.go(step, next),
            Move::End => stretch.go(step, next - 1),
        };
        registry().relay(self.course(), done.and_then(runner), runner(next), go)
    }

    pub(super) fn runner(&self, index: u32) -> Runner {
        Runner { id: self.item(index).id, seat: self.line.order.seats[index as usize] }
    }

    pub(super) fn course(&self) -> Course<'_> {
        let Order { version, is_closed, .. } = self.line.order;
        Course { graph: &self.node.tree.graph, version, is_closed, by: self.observer }
    }

    /// One that did not go well, or was taken over by the supervisor meanwhile: from here on it is like any other.
    fn break_off<'a>(
        &'a self,
        worker: u64,
        index: u32,
        elapsed: Duration,
        result: Result<(), CleanupErrorKind>,
    ) -> Held<'a> {
        let mut state = self.state();
        self.stop_stretch(&mut state, worker);
        self.came_back(state, worker, index, elapsed, result)
    }

    /// Stops a worker's stretch, if it has one: what it has not begun is for anybody again, and what it runs is watched
    /// like any other. What it has done is over.
    pub(super) fn stop_stretch(&self, state: &mut State, worker: u64) {
        let Some(stretch) = state.end_stretch(&self.line, worker) else { return };
        let Reached { done, runs } = stretch.stop();
        let last = if runs { Some(done) } else { done.checked_sub(1) };
        let ended = last.map(|last| registry().catch_up(self.course(), self.runner(stretch.items[last])));
        for (index, times) in stretch.items.iter().zip(stretch.times(0..done)) {
            state.settle(&self.line, *index, times);
        }
        self.record_times(&stretch, done);
        let rest = done + usize::from(runs);
        if let Some(ended) = ended.filter(|_| runs) {
            let index = stretch.items[done];
            let stage = Stage::Graceful { ended, last_resort: None };
            let begun = self.start + stretch.beginning(done);
            let active = self.watched_since(begun, Who::Thread, Some(index), self.item(index).limit, stage);
            state.take_up(&self.line, index);
            state.start(&self.line, worker, active);
        }
        for index in &stretch.items[rest..] {
            state.give_back(&self.line, *index);
        }
        let took = done.checked_sub(1).map(|last| stretch.end(last).saturating_sub(stretch.begun));
        state.keep_pace(took, done, runs || rest == stretch.items.len());
    }

    pub(super) fn stop_stretches(&self, state: &mut State) {
        for worker in state.stretch_numbers() {
            self.stop_stretch(state, worker);
        }
    }

    /// How long they took, for those managers' statistics.
    fn record_times(&self, stretch: &Stretch, done: usize) {
        let mut place = 0;
        while place < done {
            let manager = self.manager_of(stretch.items[place]);
            let of_it = |index: &&u32| self.manager_of(**index) == manager;
            let end = place + stretch.items[place..done].iter().take_while(of_it).count();
            let took = stretch.times(place..end).map(|(_, took)| took);
            record_all(&mut self.node_of(stretch.items[place]).latencies.lock(), took);
            place = end;
        }
    }

    fn manager_of(&self, index: u32) -> ManagerId {
        self.item(index).manager
    }

    pub(super) fn moments(&self, start: Instant, limit: Duration) -> Moments {
        Moments {
            limit: after(start, limit),
            patience: self.soft_end.map(|end| start + end.saturating_duration_since(start) / 2),
            notice: after(start, self.node.config.slow_after),
        }
    }

    /// Stops the stretches in which something runs that the supervisor has to do something about.
    pub(super) fn look_at_stretches(&self, state: &mut State, now: Instant) {
        for worker in state.stretch_numbers() {
            let due = state.stretch(worker).and_then(|it| self.due(it)).is_some_and(|due| now >= due);
            if due {
                self.stop_stretch(state, worker);
            }
        }
    }

    /// When something has to be done about what a stretch runs.
    pub(super) fn due(&self, stretch: &Stretch) -> Option<Instant> {
        let Reached { done, runs } = stretch.reached();
        let index = stretch.items.get(done).filter(|_| runs)?;
        self.moments(self.start + stretch.beginning(done), self.item(*index).limit).first()
    }

    /// When the supervisor has to look at the stretches: at what they run, and at what may have begun just after this
    /// look.
    pub(super) fn next_look(&self, state: &State) -> Option<Instant> {
        if !state.has_stretches() && !state.has_work(&self.line) {
            return None;
        }
        let soonest = self.moments(Instant::now(), self.shortest).first();
        state.stretches().filter_map(|stretch| self.due(stretch)).chain(soonest).min()
    }
}

/// In nanoseconds: there is room for centuries of them.
#[inline]
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// Records durations. Short ones are counted first: to look for its place in a histogram takes longer than most of them,
/// and to within so much the clock tells nothing.
fn record_all(latencies: &mut Latencies, took: impl Iterator<Item = Duration>) {
    const SHORT: u64 = 4_096;
    const STEP: u64 = 32;
    let mut short = [0_u64; (SHORT / STEP) as usize];
    for took in took {
        match nanos(took) {
            nanos if nanos < SHORT => short[(nanos / STEP) as usize] += 1,
            _ => latencies.record(took, 1),
        }
    }
    for (place, times) in (0..).zip(short).filter(|(_, times)| *times > 0) {
        latencies.record(Duration::from_nanos(place * STEP + STEP / 2), times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_stretch_knows_how_many_it_has_not_begun() {
        let stretch = Stretch::new(vec![7, 5, 6], Duration::ZERO);
        assert_eq!((stretch.rest(), stretch.first()), (3, Some(7)));
        for done in 0..3 {
            assert!(stretch.go(Move::Claim, done));
            assert_eq!(stretch.rest(), 2 - done);
            let Reached { done: ended, runs } = stretch.reached();
            assert_eq!((ended, runs), (done, true));
            assert!(stretch.go(Move::End, done));
            assert_eq!(stretch.rest(), 2 - done);
        }
        let Reached { done, runs } = stretch.reached();
        assert_eq!((done, runs), (3, false));
    }

    #[test]
    fn a_stretch_goes_on_one_step_after_the_other_until_it_is_stopped() {
        let stretch = Stretch::new(vec![7, 5, 6], Duration::ZERO);
        for wrong in [(Move::End, 0), (Move::Claim, 1), (Move::End, 1)] {
            assert!(!stretch.go(wrong.0, wrong.1), "{wrong:?}");
        }
        assert!(stretch.go(Move::Claim, 0) && !stretch.go(Move::Claim, 0));
        assert!(stretch.go(Move::End, 0) && !stretch.go(Move::End, 0));
        assert!(stretch.go(Move::Claim, 1));
        let Reached { done, runs } = stretch.stop();
        assert_eq!((done, runs), (1, true));
        assert!(!stretch.go(Move::End, 1));
        let Reached { done, runs } = stretch.reached();
        assert_eq!((done, runs), (1, true));
    }

    #[test]
    fn each_of_a_stretch_begins_when_the_one_before_it_has_ended() {
        let stretch = Stretch::new(vec![7, 5, 6], micros(3));
        stretch.ends[0].store(4_000, Ordering::Relaxed);
        stretch.ends[1].store(9_000, Ordering::Relaxed);
        assert_eq!([0, 1, 2].map(|place| stretch.beginning(place)), [micros(3), micros(4), micros(9)]);
        assert_eq!(stretch.end(1), micros(9));
    }

    #[test]
    fn the_first_of_several_moments_is_the_one_to_wake_at() {
        let (first, later) = (Instant::now(), Instant::now() + micros(1));
        let moments = |limit, patience, notice| Moments { limit, patience, notice }.first();
        assert_eq!(moments(None, None, None), None);
        assert_eq!(moments(Some(later), Some(first), None), Some(first));
        assert_eq!(moments(Some(later), None, Some(first)), Some(first));
        assert_eq!(moments(Some(first), Some(later), Some(later)), Some(first));
    }

    #[test]
    fn short_durations_are_recorded_together_and_long_ones_as_they_are() {
        let mut latencies = Latencies::default();
        let took = [10, 31, 32, 40, 4_095, 4_096, 1_000_000];
        record_all(&mut latencies, took.into_iter().map(Duration::from_nanos));
        let Latencies::Few(entries) = latencies else { panic!("they are few") };
        assert_eq!(entries, [(4_096, 1), (1_000_000, 1), (16, 2), (48, 2), (4_080, 1)]);
    }
}
