//! Who may clean what: claims, ends, and the ways a guard lets go.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::cleanup::Work;
use crate::clock::Started;
use crate::error::{CleanupError, CleanupErrorKind, UnregisterError};
use crate::events::{ResourceEvent, anyone_listens};
use crate::graph::Graph;
use crate::id::{Label, ResourceId};
use crate::registry::Registry;
use crate::registry::entry::{Entry, Kept, Phase};
use crate::registry::shard::Shard;
use crate::registry::tree::Node;

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
    /// How many cleanups its duration counts for; zero where it need not be timed.
    weight: u64,
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

/// How a resource ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) phase: Phase,
    pub(crate) error: Option<CleanupError>,
}

/// Whom an event concerns.
pub(crate) struct Told {
    pub(crate) node: Arc<Node>,
    pub(crate) label: Label,
}

/// What is left to do when a resource has ended, with no lock held.
#[derive(Default)]
pub(crate) struct Finished {
    pub(crate) error: Option<CleanupError>,
    /// What the entry held: its drop is foreign code.
    pub(crate) scraps: Option<Box<dyn Send>>,
    /// Resources that waited for this one alone, if they are deferred.
    pub(crate) freed: Vec<ResourceId>,
    /// Set where anyone listens.
    pub(crate) told: Option<Told>,
}

/// A resource that was let go.
struct Released {
    finished: Finished,
    name: Option<Label>,
    watched: bool,
}

/// What an end entails for others.
#[derive(Default)]
struct After {
    /// Its name, free again in this manager.
    named: Option<(Arc<Node>, Label)>,
    /// How it ended, for who waits.
    watched: Option<Ending>,
    /// Its manager had waited for it to end.
    leaving: Option<Arc<Node>>,
}

impl Registry {
    /// The common case of a dropped guard: nothing depends on it, it depends on nothing, and it is like any other.
    #[inline]
    pub(crate) fn begin_plain(&self, id: ResourceId) -> Option<(Work, Ended)> {
        let mut shard = self.shard(id).lock();
        let shard = &mut *shard;
        let entry = shard.entries.get_mut(id.key())?;
        if entry.linked || entry.phase != Phase::Live || entry.extra.is_some() {
            return None;
        }
        let work = entry.work.take()?;
        entry.phase = Phase::Cleaning;
        entry.guarded = false;
        let (number, member) = (entry.number, entry.member);
        Some((work, Ended { id, linked: false, weight: shard.weight(member, number) }))
    }

    /// The common end of such a one. False: something about it needs [`Registry::finish`].
    #[inline]
    pub(crate) fn finish_plain(&self, job: &Ended, elapsed: Duration) -> bool {
        let mut shard = self.shard(job.id).lock();
        let Some(label) = shard.end_plain(job.id.key(), job.weight, elapsed) else { return false };
        drop(shard);
        drop(label);
        true
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

    /// A claimed cleanup has ended, or is given up. Its edges go with it. `by` is the observer that knows already.
    pub(crate) fn finish(
        &self,
        job: &Ended,
        result: Result<(), CleanupErrorKind>,
        elapsed: Duration,
        by: Option<u64>,
    ) -> Finished {
        if !job.linked {
            let (finished, after) = self.finish_one(job, result, elapsed);
            self.follow(job.id, after, by);
            return finished;
        }
        let Some(node) = self.node_of(job.id) else { return Finished::default() };
        let mut graph = node.tree.graph.lock();
        let (mut finished, after) = self.finish_one(job, result, elapsed);
        finished.freed = graph.remove(job.id);
        drop(graph);
        self.follow(job.id, after, by);
        finished
    }

    /// What an end entails for others, once the locks are released.
    #[inline]
    fn follow(&self, id: ResourceId, after: After, by: Option<u64>) {
        if let Some((node, name)) = after.named {
            forget_name(&node, &name, id);
        }
        if let Some(ending) = after.watched {
            self.post(id, &ending, by);
        }
        if let Some(node) = after.leaving {
            self.retire(&node);
        }
    }

    #[inline]
    fn finish_one(
        &self,
        job: &Ended,
        result: Result<(), CleanupErrorKind>,
        elapsed: Duration,
    ) -> (Finished, After) {
        let (mut finished, mut after) = (Finished::default(), After::default());
        let mut lock = self.shard(job.id).lock();
        let shard = &mut *lock;
        let Some(entry) = shard.entries.get_mut(job.id.key()) else { return (finished, after) };
        if entry.phase != Phase::Cleaning {
            return (finished, after);
        }
        let phase = match &result {
            Ok(()) => Phase::Cleaned,
            Err(CleanupErrorKind::TimedOut(_)) => Phase::TimedOut,
            Err(_) => Phase::Failed,
        };
        if let Err(kind) = result {
            let error = CleanupError {
                id: job.id,
                label: entry.label.clone(),
                category: entry.category,
                kind,
                created_at: entry.created_at,
                elapsed,
            };
            if entry.guarded {
                entry.extra_mut().error = Some(error.clone());
            }
            finished.error = Some(error);
        }
        let (guarded, watched, member) = (entry.guarded, entry.watched, entry.member);
        let name = entry.name().cloned();
        if anyone_listens() {
            let entry = &*entry;
            finished.told = shard
                .members
                .get(member)
                .map(|owner| Told { node: owner.node.clone(), label: entry.label.clone() });
        }
        if watched {
            after.watched = Some(Ending { phase, error: finished.error.clone() });
        }
        shard.end(job.id.key(), phase);
        if let Some(owner) = shard.members.get(member) {
            if job.weight > 0 {
                owner.node.latencies.lock().record(elapsed, job.weight);
            }
            if owner.live == 0 && owner.node.is_ending() {
                after.leaving = Some(owner.node.clone());
            }
            after.named = name.map(|name| (owner.node.clone(), name));
        }
        if guarded {
            // What the value of an erased guard holds goes now; the rest is small, and the guard may ask.
            if let Some(kept) =
                shard.entries.get_mut(job.id.key()).and_then(|e| e.extra.as_mut()?.kept.take())
            {
                finished.scraps = Some(kept);
            }
        } else if let Some(entry) = shard.entries.remove(job.id.key()) {
            finished.scraps = entry.extra.map(|extra| extra as Kept);
        }
        (finished, after)
    }

    /// The guard of a resource lets go of it without its cleanup. Whatever depends on it stays.
    pub(crate) fn release(&self, id: ResourceId) -> Finished {
        let Some(node) = self.node_of(id) else { return self.release_ended(id) };
        let mut graph = node.tree.graph.lock();
        match self.release_live(&node, &mut graph, id, false) {
            Some(released) => {
                drop(graph);
                self.released(&node, id, released)
            }
            None => {
                drop(graph);
                self.release_ended(id)
            }
        }
    }

    /// The same for somebody else than its guard, where nothing depends on it. `Ok(None)`: it is not live.
    pub(crate) fn unregister(
        &self,
        within: &Arc<Node>,
        id: ResourceId,
    ) -> Result<Option<Finished>, UnregisterError> {
        let Some(node) = self.node_of(id).filter(|node| node.is_within(within)) else { return Ok(None) };
        // One look and one step: the lock is held from the dependents to the end.
        let mut graph = node.tree.graph.lock();
        let dependents = graph.dependents(id);
        if !dependents.is_empty() {
            drop(graph);
            let dependents = dependents.iter().filter_map(|id| self.label_of(*id)).collect();
            return Err(UnregisterError::DependentsLive { dependents });
        }
        let Some(released) = self.release_live(&node, &mut graph, id, true) else { return Ok(None) };
        drop(graph);
        Ok(Some(self.released(&node, id, released)))
    }

    /// Ends an entry that nobody cleans yet. `stays`: if a guard holds it, its slot does.
    fn release_live(
        &self,
        node: &Arc<Node>,
        graph: &mut Graph,
        id: ResourceId,
        stays: bool,
    ) -> Option<Released> {
        let mut lock = self.shard(id).lock();
        let shard = &mut *lock;
        let entry = shard.entries.get_mut(id.key())?;
        if !entry.phase.can_be_needed() {
            // Its guard is gone: nobody will ask how the cleanup that runs has ended.
            entry.guarded &= stays || entry.phase.has_ended();
            return None;
        }
        let (watched, linked, stays) = (entry.watched, entry.linked, stays && entry.guarded);
        let told = anyone_listens().then(|| Told { node: node.clone(), label: entry.label.clone() });
        let name = entry.name().cloned();
        let scraps: Kept = Box::new((entry.work.take(), entry.extra.take()));
        shard.end(id.key(), Phase::Released);
        if !stays {
            shard.entries.remove(id.key());
        }
        drop(lock);
        let freed = if linked { graph.remove(id) } else { Vec::new() };
        let finished = Finished { error: None, scraps: Some(scraps), freed, told };
        Some(Released { finished, name, watched })
    }

    fn released(&self, node: &Arc<Node>, id: ResourceId, released: Released) -> Finished {
        let Released { finished, name, watched } = released;
        let after = After {
            named: name.map(|name| (node.clone(), name)),
            watched: watched.then_some(Ending { phase: Phase::Released, error: None }),
            leaving: Some(node.clone()).filter(|node| node.is_ending()),
        };
        self.follow(id, after, None);
        finished
    }

    /// The guard of something that has ended goes: now its slot may.
    fn release_ended(&self, id: ResourceId) -> Finished {
        let mut shard = self.shard(id).lock();
        let over = shard.entries.get(id.key()).is_some_and(|entry| entry.phase.has_ended());
        let gone = if over { shard.entries.remove(id.key()) } else { None };
        Finished { scraps: gone.map(|entry| Box::new(entry.extra) as Kept), ..Finished::default() }
    }

    /// The guard goes, the resource stays, and its value with it.
    pub(crate) fn leak(&self, id: ResourceId, kept: Kept) -> Option<Kept> {
        let mut shard = self.shard(id).lock();
        let Some(entry) = shard.entries.get_mut(id.key()) else { return Some(kept) };
        if entry.phase.has_ended() {
            let gone = shard.entries.remove(id.key()).map(|entry| entry.extra);
            drop(shard);
            return Some(Box::new((gone, kept)));
        }
        entry.guarded = false;
        let extra = entry.extra_mut();
        extra.leaked = true;
        extra.kept.get_or_insert(kept);
        None
    }

    /// The registry keeps the value of a guard that stays. Given back when the resource has ended.
    pub(crate) fn keep(&self, id: ResourceId, kept: Kept) -> Option<Kept> {
        let mut shard = self.shard(id).lock();
        match shard.entries.get_mut(id.key()) {
            Some(entry) if !entry.phase.has_ended() => {
                entry.extra_mut().kept.get_or_insert(kept);
                None
            }
            _ => Some(kept),
        }
    }

    /// Waits until a cleanup that runs elsewhere has ended.
    pub(crate) fn wait_for_end(&'static self, id: ResourceId) {
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let hears = over.clone();
        let _observing = self.observe(Arc::new(move |ended, _| {
            if ended == id {
                *hears.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                hears.1.notify_all();
            }
        }));
        let running = |entry: &mut Entry| {
            entry.watched = true;
            !entry.phase.has_ended()
        };
        if !self.with(id, running).unwrap_or(false) {
            return;
        }
        let mut ended = over.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            ended = over.1.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn ended(kept: Kept) -> Begun {
    Begun::Ended(Ending { phase: Phase::Released, error: None }, kept)
}

/// Frees a name, unless somebody has it again already.
fn forget_name(node: &Node, name: &Label, id: ResourceId) {
    let mut names = node.names.lock();
    if names.get(name) == Some(&id) {
        names.remove(name);
    }
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
    let (last_resort, timeout) = match &mut entry.extra {
        Some(extra) => (extra.last_resort.take(), extra.timeout),
        None => (None, None),
    };
    let (linked, number, member) = (entry.linked, entry.number, entry.member);
    let weight = shard.weight(member, number);
    Some(Job { id, work, last_resort, timeout, linked, weight })
}

impl Shard {
    /// How many cleanups the duration of this one counts for.
    #[inline]
    fn weight(&mut self, member: u32, number: u64) -> u64 {
        match self.members.get_mut(member) {
            Some(owner) if owner.timed < TIMED => {
                owner.timed += 1;
                1
            }
            _ if number.is_multiple_of(SAMPLE) => SAMPLE,
            _ => 0,
        }
    }
}

/// What [`Registry::finish`] needs to know of a job that was taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) id: ResourceId,
    linked: bool,
    weight: u64,
}

impl Job {
    #[inline]
    pub(crate) fn ended(&self) -> Ended {
        Ended { id: self.id, linked: self.linked, weight: self.weight }
    }
}

impl Ended {
    #[inline]
    pub(crate) fn start(&self) -> Started {
        Started::now(self.weight > 0)
    }

    /// For a duration that was measured in any case.
    pub(crate) fn timed(self) -> Ended {
        Ended { weight: 1, ..self }
    }
}

impl Finished {
    /// The events of this end, told with no lock held.
    pub(crate) fn tell(&mut self, id: ResourceId, released: bool) {
        let Some(Told { node, label }) = self.told.take() else { return };
        node.tell(&match &self.error {
            Some(error) => ResourceEvent::CleanupFailed { error: error.clone() },
            None if released => ResourceEvent::Released { id, label },
            None => ResourceEvent::Cleaned { id, label },
        });
    }
}
