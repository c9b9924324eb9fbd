//! The managers: who stands below whom, and what is true of one of them as a whole.
//!
//! Lock order, outer first: the turn of a teardown, `names`, the tree's `graph`, `attached` (a child's before its
//! parent's), `children`, a shard. `folded`, `latencies` and the listeners are leaves.

use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::{Arc, OnceLock};

use crate::config::{Backtraces, ManagerConfig};
use crate::error::CleanupError;
use crate::events::{Listeners, ResourceEvent, spans};
use crate::graph::{Graph, Unit};
use crate::id::{Label, ManagerId, ResourceId, Stamp};
use crate::registry::entry::Phase;
use crate::registry::evidence::Evidence;
use crate::registry::queue::Queue;
#[cfg(feature = "tokio")]
use crate::registry::tally::Tally;
use crate::stats::Latencies;
use crate::sync::Lock;

/// What all managers of one tree share: who needs whom.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) graph: Lock<Graph>,
}

/// What has been counted since a manager was made.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    pub(crate) registered: u64,
    pub(crate) cleaned: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) released: u64,
}

impl Totals {
    pub(crate) fn count(&mut self, how: Phase) {
        match how {
            Phase::Cleaned => self.cleaned += 1,
            Phase::Failed => self.failed += 1,
            Phase::TimedOut => self.timed_out += 1,
            Phase::Released => self.released += 1,
            Phase::Entering | Phase::Live | Phase::Deferred | Phase::Cleaning => {}
        }
    }

    fn less(self, other: Totals) -> Totals {
        Totals {
            registered: self.registered - other.registered,
            cleaned: self.cleaned - other.cleaned,
            failed: self.failed - other.failed,
            timed_out: self.timed_out - other.timed_out,
            released: self.released - other.released,
        }
    }

    pub(crate) fn add(&mut self, other: Totals) {
        self.registered += other.registered;
        self.cleaned += other.cleaned;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.released += other.released;
    }
}

/// What members and children that have ended had counted, and how much of it the parent has been given.
#[derive(Default, Debug)]
pub(crate) struct Folded {
    pub(crate) all: Totals,
    given: Totals,
}

/// One manager.
pub(crate) struct Node {
    pub(crate) id: ManagerId,
    pub(crate) name: Label,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) stamp: Stamp,
    pub(crate) parent: Option<Arc<Node>>,
    pub(crate) tree: Arc<Tree>,
    pub(crate) config: ManagerConfig,
    depth: u32,
    /// Its member in each shard, plus one; zero where it has none. Written under that shard's lock.
    pub(crate) lanes: Box<[AtomicU32]>,
    /// No handle is left.
    pub(crate) abandoned: AtomicBool,
    /// Shut down: builders are refused.
    pub(crate) sealed: AtomicBool,
    /// It was a scope, and that has ended.
    pub(crate) scope_over: AtomicBool,
    /// Whether its parent lists it. It does from birth until the end, and again when a late guard comes.
    pub(crate) attached: Lock<bool>,
    pub(crate) children: Lock<BTreeMap<ManagerId, Arc<Node>>>,
    pub(crate) names: Lock<HashMap<Label, ResourceId>>,
    pub(crate) folded: Lock<Folded>,
    pub(crate) latencies: Lock<Latencies>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) queue: Queue,
    #[cfg(feature = "metrics")]
    pub(crate) published: Lock<crate::stats::Published>,
    /// How many leaks the last look found, plus one; zero before the first.
    leaks: AtomicUsize,
    /// Set where it is a test's.
    pub(crate) evidence: OnceLock<Evidence>,
    /// Cleanups that drops have handed over, here and below.
    #[cfg(feature = "tokio")]
    pub(crate) handed_over: Tally,
    /// Itself or one above it has a limit on what may live at once.
    pub(crate) limited: bool,
    /// Registrations take the long way: they are limited, or leave more evidence.
    pub(crate) slow: bool,
}

/// What a manager is made from.
pub(crate) struct Seed {
    pub(crate) name: Label,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) config: ManagerConfig,
    pub(crate) parent: Option<Arc<Node>>,
}

impl Node {
    pub(crate) fn new(seed: Seed, id: ManagerId, stamp: Stamp, shards: usize) -> Arc<Node> {
        let parent = seed.parent;
        let limited =
            seed.config.max_resources.is_some() || parent.as_ref().is_some_and(|parent| parent.limited);
        Arc::new(Node {
            id,
            name: seed.name,
            created_at: seed.created_at,
            stamp,
            tree: parent.as_ref().map_or_else(Arc::default, |parent| parent.tree.clone()),
            limited,
            slow: limited || seed.config.backtraces != Backtraces::Never,
            config: seed.config,
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            lanes: (0..shards).map(|_| AtomicU32::new(0)).collect(),
            abandoned: AtomicBool::new(false),
            sealed: AtomicBool::new(parent.as_ref().is_some_and(|parent| parent.is_sealed())),
            scope_over: AtomicBool::new(false),
            attached: Lock::new(false),
            children: Lock::default(),
            names: Lock::default(),
            folded: Lock::default(),
            latencies: Lock::default(),
            listeners: Arc::default(),
            queue: Queue::default(),
            #[cfg(feature = "metrics")]
            published: Lock::default(),
            leaks: AtomicUsize::new(0),
            evidence: OnceLock::new(),
            #[cfg(feature = "tokio")]
            handed_over: Tally::default(),
            parent,
        })
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Relaxed)
    }

    /// Whether it ends with its last resource.
    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.abandoned.load(Relaxed) || self.sealed.load(Relaxed)
    }

    /// A look for leaks at this manager found so many.
    pub(crate) fn found_leaks(&self, count: usize) {
        self.leaks.store(count.saturating_add(1), Relaxed);
    }

    pub(crate) fn leaks_found(&self) -> Option<usize> {
        self.leaks.load(Relaxed).checked_sub(1)
    }

    /// Itself, then its parent, up to the root.
    pub(crate) fn upwards(self: &Arc<Node>) -> impl Iterator<Item = &Arc<Node>> {
        std::iter::successors(Some(self), |node| node.parent.as_ref())
    }

    pub(crate) fn is_within(self: &Arc<Node>, above: &Arc<Node>) -> bool {
        self.upwards().any(|node| Arc::ptr_eq(node, above))
    }

    /// Itself and everything below, parents before their children.
    pub(crate) fn subtree(self: &Arc<Node>) -> Vec<Arc<Node>> {
        let mut found = vec![self.clone()];
        let mut next = 0;
        while next < found.len() {
            let children: Vec<_> = found[next].children.lock().values().cloned().collect();
            found.extend(children);
            next += 1;
        }
        found
    }

    /// From now on builders are refused, here and below.
    pub(crate) fn seal(self: &Arc<Node>) {
        let mut below = vec![self.clone()];
        while let Some(node) = below.pop() {
            // Before its children are looked at: a child that is listed later finds it sealed.
            node.sealed.store(true, Relaxed);
            below.extend(node.children.lock().values().cloned());
        }
        shown_and_seen();
    }

    /// The same without waiting for a lock: `false` where one is held, and not all of it is sealed, or somebody who has
    /// found it open may be registering.
    pub(crate) fn try_seal(self: &Arc<Node>) -> bool {
        let mut below = vec![self.clone()];
        while let Some(node) = below.pop() {
            node.sealed.store(true, Relaxed);
            if node.names.try_lock().is_none() {
                return false;
            }
            match node.children.try_lock() {
                Some(children) => below.extend(children.values().cloned()),
                None => return false,
            }
        }
        shown_and_seen();
        true
    }

    /// A new one, now that its parent lists it: that may have been sealed since the new one was made, too early to be
    /// found below it.
    pub(super) fn seal_as_its_parent(&self) {
        if self.parent.as_ref().is_some_and(|parent| parent.is_sealed()) {
            self.sealed.store(true, Relaxed);
        }
    }

    /// Tells its listeners and those of the managers above. The caller holds no lock.
    pub(crate) fn tell(self: &Arc<Node>, event: &ResourceEvent) {
        spans::event(&self.name, event);
        for node in self.upwards() {
            node.listeners.tell(event);
        }
    }

    /// Whether anyone would be told.
    pub(crate) fn is_heard(self: &Arc<Node>) -> bool {
        spans::on() || self.upwards().any(|node| !node.listeners.is_empty())
    }

    /// Keeps a failure that nobody else is told of, if it happened in a test. The caller holds no lock.
    #[cold]
    pub(crate) fn keep_unheard(self: &Arc<Node>, error: &CleanupError) {
        if let Some(evidence) = self.upwards().find_map(|node| node.evidence.get()) {
            evidence.keep(error);
        }
    }

    /// Whether a guard that a panic drops leaves its resource alone.
    #[cold]
    pub(crate) fn keeps_in_panics(self: &Arc<Node>) -> bool {
        self.upwards().find_map(|node| node.evidence.get()).is_some_and(|evidence| evidence.keeps_in_panics)
    }

    pub(crate) fn add_totals(&self, totals: Totals) {
        self.folded.lock().all.add(totals);
    }

    /// Hands its parent what it has counted since it last did: it leaves.
    pub(crate) fn give_totals(&self, parent: &Node) {
        let (news, first) = {
            let mut folded = self.folded.lock();
            let first = folded.given == Totals::default();
            let news = folded.all.less(folded.given);
            folded.given = folded.all;
            (news, first)
        };
        parent.add_totals(news);
        // A manager leaves twice only if a guard came after its shutdown: those few are not worth a second histogram.
        if first {
            let ours = std::mem::take(&mut *self.latencies.lock());
            parent.latencies.lock().add(&ours);
            *self.latencies.lock() = ours;
        }
    }
}

/// Between what a thread has written for others and what it reads of theirs. Who seals a manager and then looks for
/// what is live does not take the lock of a shard that the manager is not used from; who uses it from there for the first
/// time, and then asks whether it is sealed, is not seen by that. Of these two at least one has to see the other. And what
/// the first has seen, everybody sees who registers there later.
pub(super) fn shown_and_seen() {
    fence(SeqCst);
}

/// One cleanup that was handed over and has not ended yet, counted for its manager and those above.
#[cfg(feature = "tokio")]
pub(crate) struct UnderWay {
    node: Arc<Node>,
}

#[cfg(feature = "tokio")]
impl UnderWay {
    pub(crate) fn new(node: &Arc<Node>) -> UnderWay {
        node.upwards().for_each(|node| node.handed_over.begin());
        UnderWay { node: node.clone() }
    }
}

#[cfg(feature = "tokio")]
impl Drop for UnderWay {
    fn drop(&mut self) {
        self.node.upwards().for_each(|node| node.handed_over.end());
    }
}

/// The two units that a dependency between resources of these managers orders: those just below the managers'
/// lowest common ancestor. `None` where the managers are of different trees.
pub(crate) fn units(
    (dependent, at): (ResourceId, &Arc<Node>),
    (dependency, there): (ResourceId, &Arc<Node>),
) -> Option<(Unit, Unit)> {
    let (mut left, mut right) = ((Unit::Resource(dependent), at), (Unit::Resource(dependency), there));
    loop {
        if Arc::ptr_eq(left.1, right.1) {
            return Some((left.0, right.0));
        }
        let lower = if left.1.depth >= right.1.depth { &mut left } else { &mut right };
        *lower = (Unit::Manager(lower.1.id), lower.1.parent.as_ref()?);
    }
}
