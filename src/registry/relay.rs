//! From one cleanup of a teardown to the next: the one ends and the other is claimed under one lock of their shard, where
//! they share it. Only what is like most others goes this way; the rest goes the long one, by [`Registry::claim`] and
//! [`Registry::finish`].
//!
//! Under the lock, before anything is done, the caller is asked whether it still wants that. So whoever has told it not to
//! has only to take the same locks ([`Registry::catch_up`]) to know that all that it did before is there to be seen.

use std::sync::atomic::Ordering::Relaxed;

use crate::cleanup::Work;
use crate::events::anyone_listens;
use crate::graph::{Graph, Seat, Version};
use crate::id::ResourceId;
use crate::registry::claim::Weight;
use crate::registry::end::{After, Ending};
use crate::registry::entry::{Entry, Phase};
use crate::registry::shard::{Member, Shard};
use crate::registry::{Ended, Registry};
use crate::sync::Lock;

/// A resource, and where the graph has it.
#[derive(Clone, Copy)]
pub(crate) struct Runner {
    pub(crate) id: ResourceId,
    pub(crate) seat: Seat,
}

/// The graph that the runners of a teardown are in.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) graph: &'a Lock<Graph>,
    /// That of the seats.
    pub(crate) version: Version,
    /// What the runners need was among them, in that version: nobody else is set free by their ends.
    pub(crate) is_closed: bool,
    /// The observer that knows of the ends already.
    pub(crate) by: Option<u64>,
}

/// What is about to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    End,
    Claim,
}

/// What came of a step.
pub(crate) enum Step {
    /// What there was to end has ended, and the next is claimed.
    Claimed(Work),
    /// What there was to end has ended. The next has to be claimed in another way.
    Ended,
    /// What there was to end has to be ended in another way.
    Refused,
    /// The caller did not want this move any more.
    Stopped(Move),
}

/// What is done and dropped when no lock is held any more, where there is any such thing.
#[derive(Default)]
struct Leftover {
    after: After,
    entry: Option<Entry>,
}

type Left = Option<Box<Leftover>>;

impl Registry {
    /// Ends one whose cleanup went well, and claims another.
    pub(crate) fn relay(
        &self,
        course: Course<'_>,
        from: Option<Runner>,
        to: Option<Runner>,
        mut go: impl FnMut(Move) -> bool,
    ) -> Step {
        let mut left: Left = None;
        let step = self.relay_one(course, from, to, &mut go, &mut left);
        if let Some((from, left)) = from.zip(left) {
            self.follow(from.id, left.after, course.by);
        }
        step
    }

    fn relay_one(
        &self,
        course: Course<'_>,
        from: Option<Runner>,
        to: Option<Runner>,
        go: &mut impl FnMut(Move) -> bool,
        left: &mut Left,
    ) -> Step {
        let is_linked = |runner: Option<Runner>| runner.is_some_and(|runner| runner.seat.is_somewhere());
        let mut graph = (is_linked(from) || is_linked(to)).then(|| course.graph.lock());
        let fits = graph.as_ref().is_none_or(|graph| course.is_closed && !graph.has_grown(course.version));
        let mut held = None;
        if let Some(from) = from {
            let shard = held.insert(self.shard(from.id).lock());
            if !fits {
                return Step::Refused;
            }
            if let Err(step) = self.end_plain(shard, from.id, course.by, go, left) {
                return step;
            }
            if let Some(graph) = graph.as_mut().filter(|_| from.seat.is_somewhere()) {
                let seat = graph.seat(from.id, from.seat, course.version);
                graph.bury(seat);
            }
        }
        let Some(to) = to.filter(|_| fits) else { return Step::Ended };
        if from.is_some_and(|from| from.id.shard() != to.id.shard()) {
            held = None;
        }
        let shard = held.get_or_insert_with(|| self.shard(to.id).lock());
        let is_needed = graph.as_ref().is_some_and(|graph| {
            let is_linked = to.seat.is_somewhere();
            is_linked && graph.is_needed(graph.seat(to.id, to.seat, course.version))
        });
        let Some(entry) = shard.entries.get_mut(to.id.key()) else { return Step::Ended };
        if is_needed || !is_plain_claim(entry, to.seat) {
            return Step::Ended;
        }
        if !go(Move::Claim) {
            return Step::Stopped(Move::Claim);
        }
        match entry.work.take() {
            Some(work) => {
                entry.phase = Phase::Cleaning;
                Step::Claimed(work)
            }
            None => Step::Ended,
        }
    }

    /// Ends one that is plain, unless the caller does not want that any more: then there is what came of it instead.
    #[inline]
    fn end_plain(
        &self,
        shard: &mut Shard,
        id: ResourceId,
        by: Option<u64>,
        go: &mut impl FnMut(Move) -> bool,
        left: &mut Left,
    ) -> Result<(), Step> {
        let Some(entry) = shard.entries.get_mut(id.key()) else { return Err(Step::Refused) };
        let Some(owner) = shard.members.get_mut(entry.member) else { return Err(Step::Refused) };
        if !is_plain_end(entry, owner) {
            return Err(Step::Refused);
        }
        if !go(Move::End) {
            return Err(Step::Stopped(Move::End));
        }
        // The teardown itself observes too.
        if entry.watched && self.observing.load(Relaxed) > usize::from(by.is_some()) {
            let ending = Ending { phase: Phase::Cleaned, error: None };
            left.get_or_insert_default().after.watched = Some(ending);
        }
        if let Some(name) = entry.name().cloned() {
            left.get_or_insert_default().after.named = Some((owner.node.clone(), name));
        }
        let guarded = entry.guarded;
        let links = entry.end(Some(owner), Phase::Cleaned);
        shard.leave(links);
        if !guarded {
            left.get_or_insert_default().entry = shard.entries.remove(id.key());
        }
        Ok(())
    }

    /// After who relayed has been told to stop: sees all that it did to this one or in the graph, and whether the cleanup
    /// is claimed.
    pub(crate) fn catch_up(&self, course: Course<'_>, runner: Runner) -> Ended {
        let graph = course.graph.lock();
        drop(self.shard(runner.id).lock());
        drop(graph);
        Ended { id: runner.id, linked: runner.seat.is_somewhere(), weight: Weight(1) }
    }
}

/// Whether no listener is told of its end, nothing ends with it, and it leaves nothing whose drop is foreign code.
#[inline]
fn is_plain_end(entry: &Entry, owner: &Member) -> bool {
    let is_last = owner.live == 1 && owner.node.is_ending();
    entry.phase == Phase::Cleaning && is_light(entry) && !is_last && !anyone_listens()
}

#[inline]
fn is_plain_claim(entry: &Entry, seat: Seat) -> bool {
    let is_async = entry.work.as_ref().is_none_or(|work| work.is_async());
    entry.phase == Phase::Live && !is_async && entry.linked == seat.is_somewhere() && is_light(entry)
}

/// Whether what it holds besides its cleanup is castoff's own.
#[inline]
fn is_light(entry: &Entry) -> bool {
    entry.extra.as_ref().is_none_or(|extra| extra.last_resort.is_none() && extra.kept.is_none())
}
