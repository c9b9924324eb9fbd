//! How a resource ends: counted, told, and its edges gone, in one step.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{CleanupError, CleanupErrorKind};
use crate::events::{ResourceEvent, anyone_listens};
use crate::id::{Label, ResourceId};
use crate::registry::Registry;
use crate::registry::claim::Weight;
use crate::registry::entry::{Kept, Phase};
use crate::registry::tree::Node;
#[cfg(feature = "tokio")]
use crate::sync::Lock;

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
    /// Set where it failed: whose it was.
    pub(crate) owner: Option<Arc<Node>>,
    /// Set where anyone listens.
    pub(crate) told: Option<Told>,
}

/// What [`Registry::finish`] needs to know of a job that was taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) id: ResourceId,
    pub(super) linked: bool,
    pub(super) weight: Weight,
}

/// What an end entails for others.
#[derive(Default)]
pub(super) struct After {
    /// Its name, free again in this manager.
    pub(super) named: Option<(Arc<Node>, Label)>,
    /// How it ended, for who waits.
    pub(super) watched: Option<Ending>,
    /// Its manager had waited for it to end.
    pub(super) leaving: Option<Arc<Node>>,
}

impl Registry {
    /// A plain cleanup has ended well. False: something about it needs [`Registry::finish`].
    #[inline]
    pub(crate) fn finish_plain(&self, job: &Ended, elapsed: Duration) -> bool {
        let mut shard = Registry::near(job.id).lock_beside();
        let Some(label) = shard.end_plain(job.id.key(), job.weight.0, elapsed) else { return false };
        drop(shard);
        drop(label);
        true
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
    pub(super) fn follow(&self, id: ResourceId, after: After, by: Option<u64>) {
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
        let weight = job.weight.0;
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
                category: entry.category(),
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
            if weight > 0 {
                owner.node.latencies.lock().record(elapsed, weight);
            }
            if owner.live == 0 && owner.node.is_ending() {
                after.leaving = Some(owner.node.clone());
            }
            after.named = name.map(|name| (owner.node.clone(), name));
            finished.owner = finished.error.as_ref().map(|_| owner.node.clone());
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

    /// Hears how a cleanup that runs elsewhere ends: `None` if it has ended already. It listens from now on, not
    /// from when it is first awaited.
    #[cfg(feature = "tokio")]
    pub(crate) fn ending(&'static self, id: ResourceId) -> impl Future<Output = Option<Ending>> + Send {
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = Lock::new(Some(tell));
        let observing = self.observe(Arc::new(move |ended, ending| {
            if ended == id
                && let Some(tell) = tell.lock().take()
            {
                drop(tell.send(ending.clone()));
            }
        }));
        let runs = self.watch_running(id);
        async move {
            let ending = if runs { told.await.ok() } else { None };
            drop(observing);
            ending
        }
    }

    /// Whether it has not ended yet; then its end will be told.
    fn watch_running(&self, id: ResourceId) -> bool {
        self.with_awaited(id, |entry| !entry.phase.has_ended()).unwrap_or(false)
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
        if !self.watch_running(id) {
            return;
        }
        let mut ended = over.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            ended = over.1.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Frees a name, unless somebody has it again already.
pub(super) fn forget_name(node: &Node, name: &Label, id: ResourceId) {
    let mut names = node.names.lock();
    if names.get(name) == Some(&id) {
        names.remove(name);
    }
}

impl Ended {
    /// The same for a claim of [`Registry::begin_plain`].
    #[inline]
    pub(crate) fn plain(id: ResourceId, weight: Weight) -> Ended {
        Ended { id, linked: false, weight }
    }

    /// For a duration that was measured in any case.
    pub(crate) fn timed(self) -> Ended {
        Ended { weight: Weight(1), ..self }
    }
}

impl Finished {
    /// Nobody is told of this end but listeners: a test wants to know if it failed.
    #[inline]
    pub(crate) fn keep_unheard(&self) {
        if let (Some(error), Some(owner)) = (&self.error, &self.owner) {
            owner.keep_unheard(error);
        }
    }

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
