//! Who may clean what: each cleanup leaves the registry once, by a claim.

use std::time::Duration;

use crate::cleanup::Work;
use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::anyone_listens;
use crate::id::ResourceId;
use crate::registry::Registry;
use crate::registry::end::{Ended, Ending, Told};
use crate::registry::entry::{Entry, Kept, Phase};
use crate::registry::locker::Locker;
use crate::registry::shard::{Member, Notice, Shard, Stall};

/// How many cleanups of one manager and shard are all timed; beyond, one in [`SAMPLE`] is, and counts for all.
const TIMED: u32 = 1_024;
const SAMPLE: u64 = 64;

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

/// What is to be told of the end of a plain cleanup.
#[derive(Clone, Copy)]
pub(crate) enum Account {
    /// That it has ended, as long as nobody has asked for more since.
    Quiet(Silence),
    Full(Weight),
}

/// Nobody was to be told of an end.
#[derive(Clone, Copy)]
pub(crate) struct Silence {
    locker: &'static Locker,
    notice: Notice,
}

/// What came of a claim.
pub(crate) enum Claim {
    Job(Job),
    /// These depend on it.
    Behind(Vec<ResourceId>),
    /// Its cleanup runs elsewhere.
    Busy,
    /// It has ended.
    Gone,
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
    /// The common case of a dropped guard: nothing depends on it, it depends on nothing, and it is like any other.
    #[inline]
    pub(crate) fn begin_plain(id: ResourceId, work: &mut Option<Work>) -> Option<Account> {
        let locker = Registry::near(id);
        let Some(mut shard) = locker.enter() else { return begin_plain_shared(locker, id, work) };
        shard.settle();
        take_plain(locker, &mut shard, id, work)
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
                    category: entry.category,
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
                None => return Claim::Gone,
                Some(entry) if !entry.linked => return claim_unlinked(&mut shard, id),
                Some(_) => {}
            }
        }
        let Some(node) = self.node_of(id) else { return Claim::Gone };
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

#[cold]
fn begin_plain_shared(locker: &'static Locker, id: ResourceId, work: &mut Option<Work>) -> Option<Account> {
    take_plain(locker, &mut locker.lock(), id, work)
}

#[inline(always)]
fn take_plain(
    locker: &'static Locker,
    shard: &mut Shard,
    id: ResourceId,
    work: &mut Option<Work>,
) -> Option<Account> {
    // Its end, left to be completed, would keep the memory.
    let quiet = shard.is_quiet() && !shard.entries.keeps_a_page(id.key());
    let notice = shard.notice;
    let entry = shard.entries.get_mut(id.key())?;
    let account = match entry.quiet && quiet && entry.phase == Phase::Live {
        true => Account::Quiet(Silence { locker, notice }),
        false => Account::Full(weigh_plain(&mut shard.members, entry)?),
    };
    Work::put(&mut entry.work, work);
    entry.phase = Phase::Cleaning;
    entry.guarded = false;
    Some(account)
}

/// `None` for what is not plain, or nobody's to claim.
#[inline(never)]
fn weigh_plain(members: &mut Stall<Member>, entry: &Entry) -> Option<Weight> {
    let is_async = entry.work.as_ref()?.is_async();
    if is_async || entry.linked || entry.phase != Phase::Live || entry.extra.is_some() {
        return None;
    }
    Some(members.get_mut(entry.member)?.weight(entry.number))
}

impl Silence {
    /// The plain cleanup has ended well. False: it needs [`Registry::finish_plain`].
    #[inline]
    pub(crate) fn leave(self, id: ResourceId) -> bool {
        match self.locker.enter() {
            Some(mut shard) => {
                shard.settle();
                shard.leave(id, self.notice)
            }
            None => self.leave_shared(id),
        }
    }
}

impl Silence {
    #[cold]
    fn leave_shared(self, id: ResourceId) -> bool {
        self.locker.lock().leave(id, self.notice)
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
    let Some(entry) = shard.entries.get(id.key()) else { return Claim::Gone };
    match entry.phase {
        Phase::Live | Phase::Deferred => {
            let guarded = entry.guarded;
            take(shard, id, guarded).map_or(Claim::Gone, Claim::Job)
        }
        Phase::Cleaning => Claim::Busy,
        _ => Claim::Gone,
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
        timeout.get_or_insert_with(|| entry.category.default_timeout());
    }
    let (linked, number, member) = (entry.linked, entry.number, entry.member);
    let weight = shard.members.get_mut(member).map_or(Weight(0), |owner| owner.weight(number));
    Some(Job { id, work, last_resort, timeout, linked, weight })
}

impl Member {
    /// Whether the next cleanup is timed, if it is that of the entry with this number.
    #[inline]
    pub(super) fn is_timed_next(&self, number: u64) -> bool {
        self.timed < TIMED || number.is_multiple_of(SAMPLE)
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
