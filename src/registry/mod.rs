//! What is live: entries in shards, the managers they belong to, and who may clean what.
//!
//! In come drafts (from the builder) and claims (from guards and teardowns); out go jobs, each exactly once. How a
//! cleanup is run is not known here, and no foreign code runs under any lock.
//!
//! Invariants:
//! 1. An entry's cleanup leaves it once, under its shard's lock, with the step from live to cleaning.
//! 2. An entry with live dependents is not claimed, but by force: edges and claims of linked entries meet under the
//!    tree's graph lock.
//! 3. An entry counts as live until its cleanup has ended; its edges go in the same step.
//! 4. Registration and drop of an unlinked resource take one shard's lock and no other.

mod admit;
mod biased;
mod claim;
mod end;
pub(crate) mod entry;
pub(crate) mod evidence;
mod fence;
mod insert;
mod locker;
mod look;
#[cfg(test)]
mod oracle;
pub(crate) mod pile;
pub(crate) mod queue;
pub(crate) mod relay;
mod release;
pub(crate) mod shard;
pub(crate) mod slab;
mod spot;
mod stall;
#[cfg(feature = "tokio")]
mod tally;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tree;
mod turns;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use once_cell::sync::OnceCell;

pub(crate) use admit::{Applicant, Need, Refused};
pub(crate) use claim::{Begun, Claim, Job, Otherwise, Weight};
pub(crate) use end::{Ended, Ending, Finished, Told};
pub(crate) use look::Seen;

use crate::clock::Coarse;
use crate::fork;
use crate::id::{Label, ManagerId, ResourceId, Stamp};
use crate::registry::entry::Entry;
use crate::registry::locker::{Locker, Settled};
use crate::registry::shard::{NO_LINK, Shard};
use crate::registry::slab::{Key, PLACE_BITS};
use crate::registry::tree::{Node, Seed};
use crate::registry::turns::Turns;
use crate::sync::Lock;

const INDEX_BITS: u32 = 26;
const SHARD_BITS: u32 = 6;

/// Told when a watched resource has ended.
pub(crate) type Observer = Arc<dyn Fn(ResourceId, &Ending) + Send + Sync>;

/// Everything that is registered in the process, of whatever tree: ids are unique in it.
pub(crate) struct Registry {
    shards: Box<[Locker]>,
    managers: AtomicU64,
    lanes: AtomicU32,
    observers: Lock<Vec<(u64, Observer)>>,
    observing: AtomicUsize,
    next_observer: AtomicU64,
}

static REGISTRY: OnceCell<Registry> = OnceCell::new();
static TURNS: Turns = Turns::new();

/// The process's registry.
#[inline]
pub(crate) fn registry() -> &'static Registry {
    REGISTRY.get_or_init(|| {
        fork::watch(fork::Hooks { before: hold_all, in_child: outlive_all, after: let_go });
        let threads = std::thread::available_parallelism().map_or(4, usize::from);
        Registry::new((threads * 4).next_power_of_two().min(1 << SHARD_BITS))
    })
}

thread_local! {
    /// Every shard, while the calling thread forks: a child that has another thread's lock, and not that thread, could
    /// never take it.
    static FORKING: RefCell<Vec<Settled<'static>>> = const { RefCell::new(Vec::new()) };
}

fn hold_all() {
    let held = REGISTRY.get().into_iter().flat_map(|registry| &registry.shards).map(Locker::lock).collect();
    // A thread that is ending keeps nothing: what it forks is at the mercy of the others.
    let _ = FORKING.try_with(|forking| forking.replace(held));
}

/// In a forked child, which has every shard still.
fn outlive_all() {
    REGISTRY.get().into_iter().flat_map(|registry| &registry.shards).for_each(Locker::outlive);
}

fn let_go() {
    drop(FORKING.try_with(RefCell::take));
}

thread_local! {
    /// The calling thread's lane, from its first registration on. Without a destructor, so that it costs nothing to ask.
    static LANE: Cell<Option<Lane>> = const { Cell::new(None) };
    static STAY: Stay = const { Stay };
}

/// Takes the lane's thread from its shard when the thread ends.
struct Stay;

/// A thread's place in the registry: where it registers, until it ends.
#[derive(Clone, Copy)]
struct Lane {
    locker: &'static Locker,
    shard: u32,
    thread: u32,
}

impl Lane {
    /// The calling thread's.
    #[inline]
    fn current() -> Lane {
        LANE.get().unwrap_or_else(Lane::begin)
    }

    /// A thread that is ending has none any more: then the first shard, as nobody.
    #[cold]
    fn begin() -> Lane {
        if STAY.try_with(|_| ()).is_err() {
            return Lane { locker: &registry().shards[0], shard: 0, thread: NO_LINK };
        }
        let lane = Lane::new();
        LANE.set(Some(lane));
        lane
    }

    fn new() -> Lane {
        let registry = registry();
        let number = registry.lanes.fetch_add(1, Relaxed);
        let shards = registry.shards.len() as u32;
        let mut turns = (0..shards).map(|turn| (number + turn) % shards);
        let own = turns.find(|shard| registry.shards[*shard as usize].own());
        // Where each has its thread already this one is a guest.
        let shard = own.unwrap_or(number % shards);
        let label = match std::thread::current().name() {
            Some(name) => Label::from(String::from(name)),
            None => Label::from(format!("thread {number}")),
        };
        let locker = &registry.shards[shard as usize];
        let thread = locker.lock().begin_thread(label);
        Lane { locker, shard, thread }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(Lane { locker, thread, .. }) = LANE.take() {
            locker.lock().end_thread(thread);
            locker.disown();
        }
    }
}

fn id_of(shard: u32, key: Key) -> ResourceId {
    ResourceId(u64::from(key.generation) << 32 | u64::from(shard) << INDEX_BITS | u64::from(key.index))
}

impl ResourceId {
    fn shard(self) -> usize {
        ((self.0 >> INDEX_BITS) & ((1 << SHARD_BITS) - 1)) as usize
    }

    /// The id of the next use of the same slot.
    fn renewed(self) -> ResourceId {
        ResourceId(self.0 + (1 << 32))
    }

    fn key(self) -> Key {
        Key { index: (self.0 & ((1 << INDEX_BITS) - 1)) as u32, generation: (self.0 >> 32) as u32 }
    }
}

impl Registry {
    fn new(shards: usize) -> Registry {
        Registry {
            shards: (0..shards).map(|_| Locker::new(Shard::new(1 << (INDEX_BITS - PLACE_BITS)))).collect(),
            managers: AtomicU64::new(0),
            lanes: AtomicU32::new(0),
            observers: Lock::default(),
            observing: AtomicUsize::new(0),
            next_observer: AtomicU64::new(0),
        }
    }

    #[inline]
    fn shard(&self, id: ResourceId) -> &Locker {
        &self.shards[id.shard()]
    }

    /// The same without a look at the registry, where it is the calling thread's own.
    #[inline]
    fn near(id: ResourceId) -> &'static Locker {
        match LANE.get() {
            Some(lane) if lane.shard == id.shard() as u32 => lane.locker,
            _ => registry().shard(id),
        }
    }

    /// Runs `look` on an entry that has not been forgotten, under its shard's lock.
    fn with<R>(&self, id: ResourceId, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        self.shard(id).lock().entries.get_mut(id.key()).map(look)
    }

    /// The same, for who waits for the entry's end from now on.
    fn with_awaited<R>(&self, id: ResourceId, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let mut shard = self.shard(id).lock();
        let entry = shard.entries.get_mut(id.key())?;
        entry.watch();
        Some(look(entry))
    }

    /// Makes a manager, and lists it with its parent.
    pub(crate) fn new_node(&self, seed: Seed) -> Arc<Node> {
        let Lane { shard, .. } = Lane::current();
        let (turn, number) = {
            let mut data = self.shards[shard as usize].lock_beside();
            data.number += 1;
            (TURNS.take(shard, Coarse::now(), &mut data.turn), data.number)
        };
        let id = ManagerId(self.managers.fetch_add(1, Relaxed));
        let node = Node::new(seed, id, Stamp { turn, shard, number }, self.shards.len());
        self.attach(&node, &mut node.attached.lock());
        node.seal_as_its_parent();
        node
    }

    /// Ends a manager that has no handle any more, or was shut down, once nothing in it is live: it leaves its
    /// parent, which keeps its totals. Then the parent may end too.
    pub(crate) fn retire(&self, node: &Arc<Node>) {
        let mut node = node.clone();
        while self.retire_one(&node) {
            match node.parent.clone() {
                Some(parent) => node = parent,
                None => return,
            }
        }
    }

    fn retire_one(&self, node: &Arc<Node>) -> bool {
        if !node.is_ending() {
            return false;
        }
        let mut attached = node.attached.lock();
        if !node.children.lock().is_empty() {
            return false;
        }
        for (shard, lane) in self.shards.iter().zip(&node.lanes) {
            let mut data = shard.lock();
            let Some(member) = lane.load(Relaxed).checked_sub(1) else { continue };
            if data.is_used(member) {
                return false;
            }
            lane.store(0, Relaxed);
            let gone = data.part(member);
            drop(data);
            if let Some(member) = gone {
                node.add_totals(member.totals);
            }
        }
        if std::mem::take(&mut *attached)
            && let Some(parent) = &node.parent
        {
            parent.children.lock().remove(&node.id);
            node.give_totals(parent);
        }
        true
    }

    /// Is told of each watched resource's end from now on, until it is dropped.
    pub(crate) fn observe(&'static self, observer: Observer) -> Observing {
        let key = self.next_observer.fetch_add(1, Relaxed);
        self.observers.lock().push((key, observer));
        self.observing.fetch_add(1, Relaxed);
        Observing { registry: self, key }
    }

    /// `by` is not told: it knows.
    fn post(&self, id: ResourceId, ending: &Ending, by: Option<u64>) {
        if self.observing.load(Relaxed) <= usize::from(by.is_some()) {
            return;
        }
        let observers: Vec<Observer> = {
            let list = self.observers.lock();
            list.iter().filter(|(key, _)| Some(*key) != by).map(|(_, observer)| observer.clone()).collect()
        };
        for observer in observers {
            observer(id, ending);
        }
    }
}

/// Listens for the ends of watched resources while it lives.
pub(crate) struct Observing {
    registry: &'static Registry,
    pub(crate) key: u64,
}

impl Drop for Observing {
    fn drop(&mut self) {
        let gone = {
            let mut list = self.registry.observers.lock();
            list.iter().position(|(key, _)| *key == self.key).map(|at| list.swap_remove(at))
        };
        self.registry.observing.fetch_sub(1, Relaxed);
        drop(gone);
    }
}
