//! Registering what has a name, needs something, or may be refused: one or many, all or none.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use crate::error::{DependencyError, RegisterError};
use crate::graph::{Circle, Graph, Unit};
use crate::id::{Label, ManagerId, ResourceId};
use crate::registry::Registry;
use crate::registry::end::forget_name;
use crate::registry::entry::{Draft, Entry, Phase};
use crate::registry::tree::{Node, units};

/// What a registration depends on.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    Id(ResourceId),
    Name(Label),
}

/// What asks to be registered.
pub(crate) struct Applicant {
    pub(crate) draft: Draft,
    pub(crate) needs: Vec<Need>,
}

/// Why not, and the drafts back.
pub(crate) struct Refused {
    pub(crate) error: RegisterError,
    pub(crate) drafts: Vec<Draft>,
    /// What had waited for them alone, to be cleaned after them.
    pub(crate) freed: Vec<ResourceId>,
}

type Site = &'static Location<'static>;

impl Applicant {
    fn name(&self) -> Option<&Label> {
        self.draft.extra.as_ref()?.name.as_ref()
    }
}

impl Registry {
    /// Registers all of these in this order, or none. They are `Entering` until [`Registry::open`].
    pub(crate) fn admit(
        &self,
        node: &Arc<Node>,
        applicants: Vec<Applicant>,
    ) -> Result<Vec<ResourceId>, Refused> {
        // Registrations that come here go one after the other for each manager, so that a name is free until it is
        // taken. Names of managers above are looked up before the graph's lock: names come first in the lock order.
        let mut names = node.names.lock();
        let needs = self.resolved(node, &applicants, &mut names);
        let mut graph = node.tree.graph.lock();
        let checked = needs.and_then(|needs| match applicants.first() {
            // Under the graph's lock, so that limited registrations of one tree are counted one after the other.
            Some(first) => self.check_limit(node, &first.draft.label, applicants.len()).map(|()| needs),
            None => Ok(needs),
        });
        let needs = match checked {
            Ok(needs) => needs,
            Err(error) => {
                let drafts = applicants.into_iter().map(|applicant| applicant.draft).collect();
                return Err(Refused { error, drafts, freed: Vec::new() });
            }
        };
        let labels: Vec<Label> = applicants.iter().map(|applicant| applicant.draft.label.clone()).collect();
        let named: Vec<Option<Label>> =
            applicants.iter().map(|applicant| applicant.name().cloned()).collect();
        let mut ids = Vec::with_capacity(applicants.len());
        for (applicant, needs) in applicants.into_iter().zip(&needs) {
            ids.push(self.insert(node, applicant.draft, Phase::Entering, !needs.is_empty()));
        }
        if let Err(error) = self.connect(node, &mut graph, &ids, &needs, &labels) {
            for id in &ids {
                graph.remove(*id);
            }
            let drafts = ids.iter().filter_map(|id| self.retract(*id)).collect();
            return Err(Refused { error, drafts, freed: Vec::new() });
        }
        for (name, id) in named.into_iter().zip(&ids) {
            if let Some(name) = name {
                names.insert(name, *id);
            }
        }
        Ok(ids)
    }

    /// Whether this could be registered now.
    pub(crate) fn check(
        &self,
        node: &Arc<Node>,
        label: &Label,
        name: Option<&Label>,
        needs: &[Need],
    ) -> Result<(), RegisterError> {
        let mut names = node.names.lock();
        self.check_one(node, label, name, &mut names)?;
        let needs = self.resolve(node, label, needs, &names, &HashMap::new())?;
        let graph = node.tree.graph.lock();
        for need in needs {
            let Resolved::Live(id) = need else { continue };
            let there = self.live_dependency(node, label, id)?;
            // What is new has no dependents; a circle can only be one of managers.
            let Some((above, below)) = units((ResourceId::NONE, node), (id, &there)) else { continue };
            graph.refuse_circle(above, below).map_err(|circle| self.cycle(node, label, &circle))?;
        }
        self.check_limit(node, label, 1)
    }

    /// From now on it may be cleaned.
    pub(crate) fn open(&self, id: ResourceId) {
        self.with(id, |entry| {
            if entry.phase == Phase::Entering {
                entry.phase = Phase::Live;
            }
        });
    }

    /// The limit that one more resource would break, if any.
    pub(crate) fn limit_reached(&self, node: &Arc<Node>, more: usize) -> Option<usize> {
        if !node.limited {
            return None;
        }
        let full = |node: &Arc<Node>| {
            node.config.max_resources.filter(|limit| self.live_count(node) + more > *limit)
        };
        node.upwards().find_map(full)
    }

    /// Makes one live resource depend on another.
    pub(crate) fn add_dependency(
        &self,
        within: &Arc<Node>,
        dependent: ResourceId,
        dependency: ResourceId,
    ) -> Result<(), DependencyError> {
        let mut graph = within.tree.graph.lock();
        let at = self.live_node(within, dependent).ok_or(DependencyError::Gone { id: dependent })?;
        let there = self.live_node(within, dependency).ok_or(DependencyError::Gone { id: dependency })?;
        let units =
            units((dependent, &at), (dependency, &there)).ok_or(DependencyError::Gone { id: dependency })?;
        if let Err(circle) = graph.connect(dependent, dependency, units) {
            drop(graph);
            let path = self.path_of(within, &circle).into_iter().map(|(label, _)| label).collect();
            return Err(DependencyError::Cycle { path });
        }
        Ok(())
    }

    /// Checks the whole graph of a tree.
    pub(crate) fn validate(&self, within: &Arc<Node>) -> Result<(), DependencyError> {
        let found = within.tree.graph.lock().validate();
        found.map_err(|circle| {
            let path = self.path_of(within, &circle).into_iter().map(|(label, _)| label).collect();
            DependencyError::Cycle { path }
        })
    }

    /// What each applicant needs, if the words of all of them are good.
    fn resolved(
        &self,
        node: &Arc<Node>,
        applicants: &[Applicant],
        names: &mut HashMap<Label, ResourceId>,
    ) -> Result<Vec<Vec<Resolved>>, RegisterError> {
        let mut siblings: HashMap<Label, usize> = HashMap::new();
        for (at, applicant) in applicants.iter().enumerate() {
            let Draft { label, .. } = &applicant.draft;
            self.check_one(node, label, applicant.name(), names)?;
            if let Some(name) = applicant.name()
                && let Some(first) = siblings.insert(name.clone(), at)
            {
                let existing = &applicants[first].draft;
                return Err(RegisterError::DuplicateName {
                    label: label.clone(),
                    name: name.clone(),
                    existing: existing.label.clone(),
                    created_at: existing.created_at,
                });
            }
        }
        let resolve = |applicant: &Applicant| {
            self.resolve(node, &applicant.draft.label, &applicant.needs, names, &siblings)
        };
        applicants.iter().map(resolve).collect()
    }

    fn check_one(
        &self,
        node: &Arc<Node>,
        label: &Label,
        name: Option<&Label>,
        names: &mut HashMap<Label, ResourceId>,
    ) -> Result<(), RegisterError> {
        if label.is_empty() {
            return Err(RegisterError::EmptyLabel { label: label.clone() });
        }
        if node.is_sealed() {
            return Err(RegisterError::ShutDown { label: label.clone(), manager: node.name.clone() });
        }
        let Some(name) = name else { return Ok(()) };
        let Some(id) = names.get(name) else { return Ok(()) };
        match self.live(*id, |entry| (entry.label.clone(), entry.created_at)) {
            // It has ended, and its name is about to go.
            None => {
                names.remove(name);
                Ok(())
            }
            Some((existing, created_at)) => Err(RegisterError::DuplicateName {
                label: label.clone(),
                name: name.clone(),
                existing,
                created_at,
            }),
        }
    }

    fn check_limit(&self, node: &Arc<Node>, label: &Label, more: usize) -> Result<(), RegisterError> {
        match self.limit_reached(node, more) {
            Some(limit) => Err(RegisterError::LimitReached { label: label.clone(), limit }),
            None => Ok(()),
        }
    }

    /// Which resources the needs of one applicant are.
    fn resolve(
        &self,
        node: &Arc<Node>,
        label: &Label,
        needs: &[Need],
        names: &HashMap<Label, ResourceId>,
        siblings: &HashMap<Label, usize>,
    ) -> Result<Vec<Resolved>, RegisterError> {
        let mut found = Vec::with_capacity(needs.len());
        for need in needs {
            found.push(match need {
                Need::Id(id) => Resolved::Live(*id),
                Need::Name(name) => match siblings.get(name) {
                    Some(at) => Resolved::Sibling(*at),
                    None => {
                        let here = names.get(name).copied();
                        let above =
                            || node.upwards().skip(1).find_map(|node| node.names.lock().get(name).copied());
                        let unknown =
                            || RegisterError::UnknownDependency { label: label.clone(), name: name.clone() };
                        let here = here.filter(|id| self.is_live(*id));
                        Resolved::Live(here.or_else(above).ok_or_else(unknown)?)
                    }
                },
            });
        }
        Ok(found)
    }

    fn live_dependency(
        &self,
        node: &Arc<Node>,
        label: &Label,
        id: ResourceId,
    ) -> Result<Arc<Node>, RegisterError> {
        if let Some(there) = self.live_node(node, id) {
            return Ok(there);
        }
        let known = self.with(id, |entry| (entry.label.clone(), entry.created_at));
        let (dependency, created_at) = known.unzip();
        Err(RegisterError::DependencyGone { label: label.clone(), id, dependency, created_at })
    }

    /// The manager of a resource of the same tree that may be depended on. From here on, under the lock that found
    /// it live, it counts as linked: whoever wants to clean it has to come by the graph, whose lock the caller holds.
    fn live_node(&self, within: &Arc<Node>, id: ResourceId) -> Option<Arc<Node>> {
        let mut lock = self.shard(id).lock();
        let shard = &mut *lock;
        let entry = shard.entries.get_mut(id.key()).filter(|entry| entry.phase.can_be_needed())?;
        let node = &shard.members.get(entry.member)?.node;
        if !Arc::ptr_eq(&node.tree, &within.tree) {
            return None;
        }
        entry.linked = true;
        Some(node.clone())
    }

    fn connect(
        &self,
        node: &Arc<Node>,
        graph: &mut Graph,
        ids: &[ResourceId],
        needs: &[Vec<Resolved>],
        labels: &[Label],
    ) -> Result<(), RegisterError> {
        for (at, needs) in needs.iter().enumerate() {
            for need in needs {
                let dependency = match need {
                    Resolved::Live(id) => *id,
                    Resolved::Sibling(at) => ids[*at],
                };
                let there = self.live_dependency(node, &labels[at], dependency)?;
                let (dependent, above) = ((ids[at], node), (dependency, &there));
                // `None` is for different trees, and `live_dependency` has refused those.
                let Some(units) = units(dependent, above) else { continue };
                let connected = graph.connect(ids[at], dependency, units);
                connected.map_err(|circle| self.cycle(node, &labels[at], &circle))?;
            }
        }
        Ok(())
    }

    fn cycle(&self, node: &Arc<Node>, label: &Label, circle: &Circle) -> RegisterError {
        let (path, sites) = self.path_of(node, circle).into_iter().unzip();
        RegisterError::Cycle { label: label.clone(), path, sites }
    }

    /// The labels and creation sites along a circle of units.
    fn path_of(&self, within: &Arc<Node>, circle: &Circle) -> Vec<(Label, Site)> {
        let root = within.upwards().last().unwrap_or(within);
        let managers: HashMap<ManagerId, Arc<Node>> =
            root.subtree().into_iter().map(|node| (node.id, node)).collect();
        let describe = |unit: &Unit| match unit {
            Unit::Resource(id) => self.with(*id, |entry| (entry.label.clone(), entry.created_at)),
            Unit::Manager(id) => managers.get(id).map(|node| (node.name.clone(), node.created_at)),
        };
        circle.path.iter().filter_map(describe).collect()
    }

    /// Takes back what nobody has noticed yet: no teardown, and nothing that depends on it. With it comes what waited for
    /// it alone.
    pub(crate) fn take_back(&self, id: ResourceId) -> Option<(Draft, Vec<ResourceId>)> {
        let node = self.node_of(id)?;
        let mut graph = node.tree.graph.lock();
        let mut shard = self.shard(id).lock();
        let entry = shard.entries.get(id.key())?;
        if entry.phase != Phase::Live || entry.watched || graph.has_dependents(id) {
            return None;
        }
        let entry = shard.retract(id.key())?;
        drop(shard);
        let freed = graph.remove(id);
        drop(graph);
        if let Some(name) = entry.name() {
            forget_name(&node, name, id);
        }
        drafted(entry).map(|draft| (draft, freed))
    }

    fn retract(&self, id: ResourceId) -> Option<Draft> {
        let entry = self.shard(id).lock().retract(id.key());
        entry.and_then(drafted)
    }
}

enum Resolved {
    Live(ResourceId),
    /// Another of the same batch.
    Sibling(usize),
}

/// A registration that never was, to be refused.
fn drafted(entry: Entry) -> Option<Draft> {
    let category = entry.category();
    Some(Draft {
        label: entry.label,
        category,
        priority: entry.priority,
        created_at: entry.created_at,
        work: entry.work?,
        extra: entry.extra,
    })
}
