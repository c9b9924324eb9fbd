//! Letting go without a cleanup, and keeping without a guard.

use std::sync::Arc;

use crate::error::UnregisterError;
use crate::events::anyone_listens;
use crate::graph::Graph;
use crate::id::{Label, ResourceId};
use crate::registry::Registry;
use crate::registry::end::{After, Ending, Finished, Told};
use crate::registry::entry::{Kept, Phase};
use crate::registry::tree::Node;

/// A resource that was let go.
struct Released {
    finished: Finished,
    name: Option<Label>,
    watched: bool,
}

impl Registry {
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
        shard.end(id.key(), Phase::Released);
        let scraps = shard
            .entries
            .get_mut(id.key())
            .map(|entry| Box::new((entry.work.take(), entry.extra.take())) as Kept);
        if !stays {
            shard.entries.remove(id.key());
        }
        drop(lock);
        let freed = if linked { graph.remove(id) } else { Vec::new() };
        let finished = Finished { scraps, freed, told, ..Finished::default() };
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
}
