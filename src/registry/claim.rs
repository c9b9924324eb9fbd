//! Who may clean what: each cleanup leaves the registry once, by a claim.

use std::time::Duration;

use crate::cleanup::Work;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::anyone_listens;
use crate::id::ResourceId;
use crate::registry::end::{Ended, Ending, Told};
use crate::registry::entry::{Kept, Phase};
use crate::registry::locker::Locker;
use crate::registry::shard::{Member, Shard};
use crate::registry::slab::Key;
use crate::registry::{LANE, Registry};

/// How many cleanups of one manager and shard are all timed; beyond, one in [`SAMPLE`] is, and counts for all.
const TIMED: u32 = if cfg!(castoff_eager) { 0 } else { 1_024 };
const SAMPLE: u64 = if cfg!(castoff_eager) { 4 } else { 256 };

/// A claimed cleanup: whoever has it runs it, and says how it ended with [`Registry::finish`].
pub(crate) struct Job {
    pub(crate) id: ResourceId,
    pub(crate) work: Work,
    pub(crate) last_resort: Option<Work>,
    /// The resource's own.
    pub(crate) timeout: Option<Duration>,
    linked: bool,
    weight: Weight,
}

/// How many cleanups the duration of one counts for; zero where it need not be timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(pub(super) u64);

/// A claimed cleanup of which nobody is to be told but the registry.
#[derive(Clone, Copy)]
pub(crate) struct Quiet {
    locker: &'static Locker,
    id: ResourceId,
}

/// Why there is nothing plain to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Otherwise {
    /// It had ended, and is gone now.
    Forgotten,
    /// There is more about it, and nothing is done.
    Special,
}

/// What came of a claim.
pub(crate) enum Claim {
    Job(Job),
    /// These depend on it.
    Behind(Vec<ResourceId>),
    /// Its cleanup runs elsewhere, or has ended.
    Taken,
}

/// What came of letting go of a guard.
pub(crate) enum Begun {
    /// Run this; the value stays with the caller.
    Job(Job, Kept),
    /// It waits for others, as the error says. The registry keeps the value.
    Deferred(Box<CleanupError>, Option<Told>),
    /// Its cleanup runs elsewhere. The registry keeps the value, unless the caller wants to wait for the end.
    Busy(Option<Kept>),
    /// It ended before.
    Ended(Ending, Kept),
}

impl Registry {
    /// The most common case of a dropped guard: the calling thread has registered it last, and nobody has come since.
    #[inline(always)]
    pub(crate) fn begin_quiet(id: ResourceId, work: &mut Option<Work>) -> Option<Quiet> {
        let locker = LANE.get()?.locker;
        let mut shard = locker.enter()?;
        if shard.under_way() != id.0 {
            return None;
        }
        Work::hand_over(&mut shard.spot.work, work);
        Some(Quiet { locker, id })
    }

    /// The common case: nothing depends on it, it depends on nothing, and it is like any other. What has ended is forgotten
    /// instead, if no more is left of it than its label.
    #[inline]
    pub(crate) fn begin_plain(id: ResourceId) -> Result<(Weight, Work), Otherwise> {
        let mut shard = Registry::near(id).lock_beside();
        if shard.is_in_spot(id) {
            shard = shard.settle();
        }
        if let Some(begun) = shard.begin_plain(id.key()) {
            return Ok(begun);
        }
        let label = shard.forget_plain(id.key()).ok_or(Otherwise::Special)?;
        drop(shard);
        drop(label);
        Err(Otherwise::Forgotten)
    }

    /// A guard lets go of its resource. `waits`: the caller wants to hear how it ends.
    pub(crate) fn begin(&self, id: ResourceId, kept: Kept, waits: bool) -> Begun {
        let Some(node) = self.node_of(id) else { return self.begin_ended(id, kept) };
        let graph = node.tree.graph.lock();
        let behind = graph.dependents(id);
        let mut shard = self.shard(id).lock();
        let Some(entry) = shard.entries.get_mut(id.key()) else { return ended(kept) };
        match entry.phase {
            Phase::Cleaning if waits => Begun::Busy(Some(kept)),
            Phase::Cleaning => {
                entry.guarded = false;
                entry.extra_mut().kept.get_or_insert(kept);
                Begun::Busy(None)
            }
            _ if entry.phase.has_ended() => {
                drop(shard);
                drop(graph);
                self.begin_ended(id, kept)
            }
            _ if behind.is_empty() => match take(&mut shard, id, false) {
                Some(job) => Begun::Job(job, kept),
                None => ended(kept),
            },
            _ => {
                entry.phase = Phase::Deferred;
                entry.guarded = false;
                entry.extra_mut().kept.get_or_insert(kept);
                let mut error = CleanupError {
                    id,
                    label: entry.label.clone(),
                    category: entry.category(),
                    kind: CleanupErrorKind::Deferred { behind: Vec::new() },
                    created_at: entry.created_at,
                    elapsed: Duration::ZERO,
                };
                drop(shard);
                let behind = behind.iter().filter_map(|id| self.label_of(*id)).collect();
                error.kind = CleanupErrorKind::Deferred { behind };
                let told = anyone_listens().then(|| Told { node: node.clone(), label: error.label.clone() });
                Begun::Deferred(Box::new(error), told)
            }
        }
    }

    /// The guard of something that has ended goes: now its slot may.
    fn begin_ended(&self, id: ResourceId, kept: Kept) -> Begun {
        let gone = self.shard(id).lock().entries.remove(id.key());
        let Some(mut entry) = gone else { return ended(kept) };
        let error = entry.extra.as_mut().and_then(|extra| extra.error.take());
        Begun::Ended(Ending { phase: entry.phase, error }, Box::new((entry.extra, kept)))
    }

    /// A teardown wants to clean it, whatever `ignoring` says depends on it.
    pub(crate) fn claim(&self, id: ResourceId, ignoring: impl Fn(ResourceId) -> bool) -> Claim {
        {
            let mut shard = self.shard(id).lock();
            match shard.entries.get(id.key()) {
                None => return Claim::Taken,
                Some(entry) if !entry.linked => return claim_unlinked(&mut shard, id),
                Some(_) => {}
            }
        }
        let Some(node) = self.node_of(id) else { return Claim::Taken };
        let graph = node.tree.graph.lock();
        let behind: Vec<ResourceId> = graph.dependents(id).into_iter().filter(|id| !ignoring(*id)).collect();
        let mut shard = self.shard(id).lock();
        let claimable =
            shard.entries.get(id.key()).is_some_and(|e| matches!(e.phase, Phase::Live | Phase::Deferred));
        if claimable && !behind.is_empty() {
            return Claim::Behind(behind);
        }
        claim_unlinked(&mut shard, id)
    }

    /// A deferred resource whose dependents have all gone.
    pub(crate) fn claim_deferred(&self, id: ResourceId) -> Option<Job> {
        let node = self.node_of(id)?;
        let graph = node.tree.graph.lock();
        if graph.has_dependents(id) {
            return None;
        }
        let mut shard = self.shard(id).lock();
        match shard.entries.get(id.key())?.phase {
            Phase::Deferred => take(&mut shard, id, true),
            _ => None,
        }
    }
}

impl Quiet {
    /// The cleanup has ended well. False: somebody has come meanwhile, and it needs [`Registry::finish_plain`].
    #[inline(always)]
    pub(crate) fn is_done(self) -> bool {
        self.locker.is_done(self.id)
    }
}

impl Weight {
    pub(crate) const NONE: Weight = Weight(0);

    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.0 > 0
    }
}

fn ended(kept: Kept) -> Begun {
    Begun::Ended(Ending { phase: Phase::Released, error: None }, kept)
}

fn claim_unlinked(shard: &mut Shard, id: ResourceId) -> Claim {
    let Some(entry) = shard.entries.get(id.key()) else { return Claim::Taken };
    match entry.phase {
        Phase::Live | Phase::Deferred => {
            let guarded = entry.guarded;
            take(shard, id, guarded).map_or(Claim::Taken, Claim::Job)
        }
        _ => Claim::Taken,
    }
}

/// Takes the cleanup out: the step that happens once. `guarded`: whether a guard is still there afterwards.
#[inline]
fn take(shard: &mut Shard, id: ResourceId, guarded: bool) -> Option<Job> {
    let entry = shard.entries.get_mut(id.key())?;
    let work = entry.work.take()?;
    entry.phase = Phase::Cleaning;
    entry.guarded &= guarded;
    let (last_resort, mut timeout) = match &mut entry.extra {
        Some(extra) => (extra.last_resort.take(), extra.timeout),
        None => (None, None),
    };
    if work.is_async() {
        timeout.get_or_insert_with(|| entry.category().default_timeout());
    }
    let (linked, number, member) = (entry.linked, entry.number, entry.member);
    let weight = shard.members.get_mut(member).map_or(Weight(0), |owner| owner.weight(number));
    Some(Job { id, work, last_resort, timeout, linked, weight })
}

impl Shard {
    #[inline(always)]
    fn begin_plain(&mut self, key: Key) -> Option<(Weight, Work)> {
        let entry = self.entries.get_mut(key)?;
        let is_async = entry.work.as_ref()?.is_async();
        if is_async || entry.linked || entry.phase != Phase::Live || entry.extra.is_some() {
            return None;
        }
        let work = entry.work.take()?;
        entry.phase = Phase::Cleaning;
        entry.guarded = false;
        let (member, number) = (entry.member, entry.number);
        let weight = self.members.get_mut(member)?.weight(number);
        Some((weight, work))
    }
}

impl Member {
    /// How many cleanups are not timed, from the entry after this number on.
    pub(super) fn untimed_after(&self, number: u64) -> u32 {
        match self.timed < TIMED {
            true => 0,
            false => (SAMPLE - 1 - number % SAMPLE) as u32,
        }
    }

    /// How many cleanups the duration of this one counts for.
    #[inline]
    fn weight(&mut self, number: u64) -> Weight {
        if self.timed < TIMED {
            self.timed += 1;
            return Weight(1);
        }
        Weight(if number.is_multiple_of(SAMPLE) { SAMPLE } else { 0 })
    }
}

impl Job {
    #[inline]
    pub(crate) fn ended(&self) -> Ended {
        Ended { id: self.id, linked: self.linked, weight: self.weight }
    }
}
