//! Chooses what a teardown is about: which live resources, with all that is needed to order and to report them.

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Coarse;
use crate::graph::{Chosen, Place};
use crate::id::{Label, ManagerId, ResourceId, Stamp};
use crate::registry::entry::Phase;
use crate::registry::tree::Node;
use crate::registry::{Seen, registry};
use crate::resource::{Category, Priority};

/// What a teardown asks for: any of the same kind, all kinds together.
#[derive(Clone, Default, Debug)]
pub(crate) struct Selection {
    pub(crate) categories: Vec<Category>,
    pub(crate) tags: Vec<Label>,
    pub(crate) priorities: Vec<Priority>,
    /// All, unless set.
    pub(crate) ids: Option<HashSet<ResourceId>>,
    pub(crate) not_ids: HashSet<ResourceId>,
    pub(crate) not_categories: Vec<Category>,
}

/// One chosen resource.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: ResourceId,
    pub(crate) label: Label,
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) created: Coarse,
    pub(crate) stamp: Stamp,
    pub(crate) manager: ManagerId,
    /// How long its cleanup may take; `Duration::MAX` for ever.
    pub(crate) limit: Duration,
    pub(crate) has_last_resort: bool,
    pub(crate) is_async: bool,
}

/// What was chosen, and the managers that it is in.
pub(crate) struct Choice {
    /// The root first, parents before their children.
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) items: Vec<Item>,
}

/// Looks at what is live below this manager now. `watch`: its ends will be waited for.
pub(crate) fn choose(root: &Arc<Node>, selection: &Selection, watch: bool) -> Choice {
    let nodes = root.subtree();
    let mut items = Vec::with_capacity(if selection.is_all() { registry().live_count(root) } else { 0 });
    match &selection.ids {
        Some(ids) => {
            for id in ids {
                if watch {
                    registry().watch(*id);
                }
                let item =
                    |node: &Arc<Node>, seen: Seen<'_>| selection.takes(&seen).then(|| Item::new(node, &seen));
                items.extend(registry().see(root, *id, item).flatten());
            }
        }
        None => {
            let is_everything = selection.is_everything();
            for node in &nodes {
                let take = |seen: Seen<'_>| {
                    if can_be_taken(&seen) && (is_everything || selection.wants(&seen)) {
                        items.push(Item::new(node, &seen));
                    }
                };
                if watch {
                    registry().scan_and_watch(node, take);
                } else {
                    registry().scan(node, take);
                }
            }
        }
    }
    Choice { nodes, items }
}

impl Choice {
    pub(crate) fn places(&self) -> Vec<Place> {
        let known: HashSet<ManagerId> = self.nodes.iter().map(|node| node.id).collect();
        let place = |node: &Arc<Node>| Place {
            manager: node.id,
            parent: node.parent.as_ref().map(|parent| parent.id).filter(|parent| known.contains(parent)),
            stamp: node.stamp,
        };
        self.nodes.iter().map(place).collect()
    }

    pub(crate) fn chosen(&self) -> Vec<Chosen> {
        let chosen = |item: &Item| Chosen {
            id: item.id,
            manager: item.manager,
            priority: item.priority,
            stamp: item.stamp,
        };
        self.items.iter().map(chosen).collect()
    }

    /// The labels of the child managers on the way down to each manager.
    pub(crate) fn ways(&self) -> HashMap<ManagerId, Vec<Label>> {
        let mut ways: HashMap<ManagerId, Vec<Label>> = HashMap::new();
        for (depth, node) in self.nodes.iter().enumerate() {
            let above = node.parent.as_ref().filter(|_| depth > 0).and_then(|parent| ways.get(&parent.id));
            let mut way = above.cloned().unwrap_or_default();
            if depth > 0 {
                way.push(node.name.clone());
            }
            ways.insert(node.id, way);
        }
        ways
    }
}

impl Selection {
    /// Whether it leaves hardly anything out.
    fn is_all(&self) -> bool {
        self.categories.is_empty() && self.tags.is_empty() && self.priorities.is_empty() && self.ids.is_none()
    }

    /// Whether it leaves nothing out at all.
    fn is_everything(&self) -> bool {
        self.is_all() && self.not_ids.is_empty() && self.not_categories.is_empty()
    }

    pub(super) fn takes(&self, seen: &Seen<'_>) -> bool {
        can_be_taken(seen) && self.wants(seen)
    }

    fn wants(&self, seen: &Seen<'_>) -> bool {
        let entry = seen.entry;
        let any = |wanted: bool, found: bool| !wanted || found;
        any(!self.categories.is_empty(), self.categories.contains(&entry.category()))
            && any(!self.priorities.is_empty(), self.priorities.contains(&entry.priority))
            && any(!self.tags.is_empty(), entry.tags().iter().any(|tag| self.tags.contains(tag)))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&seen.id))
            && !self.not_categories.contains(&entry.category())
            && !self.not_ids.contains(&seen.id)
    }
}

#[inline]
fn can_be_taken(seen: &Seen<'_>) -> bool {
    seen.is_ours() && seen.entry.phase != Phase::Entering
}

impl Item {
    #[inline]
    pub(super) fn new(node: &Node, seen: &Seen<'_>) -> Item {
        let entry = seen.entry;
        let limit = entry.timeout().or(node.config.default_timeout);
        Item {
            id: seen.id,
            label: entry.label.clone(),
            category: entry.category(),
            priority: entry.priority,
            created_at: entry.created_at,
            created: entry.created,
            stamp: seen.stamp,
            manager: node.id,
            limit: limit.unwrap_or_else(|| entry.category().default_timeout()),
            has_last_resort: entry.extra.as_ref().is_some_and(|extra| extra.last_resort.is_some()),
            is_async: entry.work.as_ref().is_some_and(|work| work.is_async()),
        }
    }
}
