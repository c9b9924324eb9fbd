//! Who needs whom: refuses circles while resources live, and gives the order in which they end.
//!
//! In: ids, who needs whom, and for a teardown what was chosen, with priorities and stamps. Out: who has nobody
//! left that needs it, a [`Circle`] where one would arise, an [`Order`]. It is pure: it knows no locks, closures,
//! labels or time.
//!
//! A *unit* is what a manager orders: a resource of its own, or a child manager as a whole. An edge between
//! resources of two managers lifts to the two units below the lowest manager that holds both; a circle of
//! resources is always one of units too, at the manager that holds them all, so units alone are searched.
//!
//! Invariants:
//! 1. Only resources that have or had an edge, and units of live lifted edges, have a node.
//! 2. `index` names live nodes, and `buried` dead ones of resources. A resource's node lives until [`Graph::remove`] or
//!    [`Graph::bury`], a manager's while a live lifted edge touches it.
//! 3. An edge between two resources is live while both its ends are. A lifted edge counts the live edges it
//!    stands for, and is live while that is not zero; both its ends are live then.
//! 4. The live edges between units make no circle, and so neither do those between resources.
//! 5. An [`Edge::Across`] comes after its lifted edge in petgraph's list of edges.
//! 6. Dead nodes and edges together are at most as many as live ones, plus some, unless memory for building
//!    anew is refused, or somebody buries and will tidy up at its end; with nothing live, nothing is held.
//! 7. As long as the version is the same no node has moved, and as long as its edges are, no edge has come.
//!
//! Nothing is ever unlinked: petgraph finds an edge in its neighbour's list by walking it, which would make
//! ending the dependents of one hub quadratic. The dead stay linked until there are as many of them as of the
//! living, and then the whole is built anew, so that each operation costs its own degree on average.

mod dead;
mod map;
mod order;
mod search;
#[cfg(test)]
mod tests;

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;

use self::map::Map;
use crate::id::{ManagerId, ResourceId};

pub(crate) use self::dead::{Seat, Version};
#[cfg(test)]
pub(crate) use self::order::LeftOut;
pub(crate) use self::order::{Chosen, Order, Place, Ready, Why};

/// What a manager orders: a resource of its own, or a child manager with all that is in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Unit {
    Resource(ResourceId),
    Manager(ManagerId),
}

/// Units that need each other in a circle: each needs the next, and the last is the first again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Circle {
    pub(crate) path: Vec<Unit>,
}

/// What is live and needs something live, or is needed by it.
#[derive(Default, Debug)]
pub(crate) struct Graph {
    graph: DiGraph<Node, Edge>,
    index: Map<Unit, NodeIndex>,
    /// How many that the index names are dead.
    buried: usize,
    live_edges: usize,
    version: Version,
}

#[derive(Debug)]
struct Node {
    unit: Unit,
    live: bool,
    /// Live resources that need this one.
    dependents: u32,
    /// Live lifted edges that come in.
    lifted_in: u32,
    /// Live lifted edges that go out.
    lifted_out: u32,
}

/// An edge goes from the dependent to the dependency.
#[derive(Clone, Copy, Debug)]
enum Edge {
    /// Between two resources of one manager, which are its units as well.
    Needs,
    /// Between resources of two managers; the named edge between units stands for it.
    Across(EdgeIndex),
    /// Between two units of one manager, for so many live edges across.
    Lifted(u32),
}

impl Graph {
    /// Makes `dependent` end before `dependency`. `units` are the two units below the lowest manager that holds
    /// both: the two resources themselves where they share a manager.
    ///
    /// An edge that is there already is no error and changes nothing, and neither does a refusal. Both resources
    /// have to be live: one that was removed would be held as if it had come back.
    pub(crate) fn connect(
        &mut self,
        dependent: ResourceId,
        dependency: ResourceId,
        units: (Unit, Unit),
    ) -> Result<(), Circle> {
        let (above, below) = units;
        if above == below {
            debug_assert_eq!(
                dependent, dependency,
                "two resources are never in one unit of their common manager"
            );
            return Err(Circle { path: vec![above, below] });
        }
        let ends = (Unit::Resource(dependent), Unit::Resource(dependency));
        if self.edge_between(ends).is_some() {
            return Ok(());
        }
        let lifted = if units == ends { None } else { self.edge_between(units) };
        // Where one unit stands before another already, one more edge between them can't close a circle.
        if !lifted.is_some_and(|edge| self.is_live(edge)) {
            self.refuse_circle(above, below)?;
        }
        let weight = if units == ends { Edge::Needs } else { Edge::Across(self.lift(units, lifted)) };
        let (from, to) = (self.node(ends.0), self.node(ends.1));
        self.graph[to].dependents += 1;
        self.graph.add_edge(from, to, weight);
        self.live_edges += 1;
        self.version.edges += 1;
        Ok(())
    }

    /// Forgets the resource and its edges. Returns those of its dependencies that nobody needs any more, in no
    /// particular order.
    pub(crate) fn remove(&mut self, id: ResourceId) -> Vec<ResourceId> {
        let Some(at) = self.index.remove(&Unit::Resource(id)) else { return Vec::new() };
        if !self.graph[at].live {
            self.buried -= 1;
            return Vec::new();
        }
        let mut freed = Vec::new();
        self.end(at, |id| freed.push(id));
        self.compact();
        freed
    }

    /// Ends a live resource and its edges. `freed` is shown those of its dependencies that nobody needs any more.
    fn end(&mut self, at: NodeIndex, mut freed: impl FnMut(ResourceId)) {
        self.graph[at].live = false;
        let mut out = self.graph.neighbors_directed(at, Outgoing).detach();
        while let Some((edge, dependency)) = out.next(&self.graph) {
            if self.retire(edge, dependency) {
                let node = &mut self.graph[dependency];
                node.dependents -= 1;
                if let Unit::Resource(id) = node.unit
                    && node.dependents == 0
                {
                    freed(id);
                }
            }
        }
        // In an orderly end nothing that needs it is left, and what is linked from there is dead.
        if self.graph[at].dependents == 0 {
            return;
        }
        let mut into = self.graph.neighbors_directed(at, Incoming).detach();
        while let Some((edge, dependent)) = into.next(&self.graph) {
            self.retire(edge, dependent);
        }
    }

    /// Whether a live resource needs this one.
    pub(crate) fn has_dependents(&self, id: ResourceId) -> bool {
        self.find(id).is_some_and(|at| self.graph[at].dependents > 0)
    }

    /// How many live resources need this one.
    pub(crate) fn count_dependents(&self, id: ResourceId) -> usize {
        self.find(id).map_or(0, |at| self.graph[at].dependents as usize)
    }

    /// Shows the live resources that need this one, in no particular order, without making a list of them.
    pub(crate) fn each_dependent(&self, id: ResourceId, mut visit: impl FnMut(ResourceId)) {
        let Some(at) = self.find(id) else { return };
        for at in self.dependents_at(at) {
            if let Unit::Resource(id) = self.graph[at].unit {
                visit(id);
            }
        }
    }

    /// The same for those that this one needs.
    pub(crate) fn each_dependency(&self, id: ResourceId, mut visit: impl FnMut(ResourceId)) {
        let Some(at) = self.find(id) else { return };
        for (_, at) in self.dependencies_at(at) {
            if let Unit::Resource(id) = self.graph[at].unit {
                visit(id);
            }
        }
    }

    /// The live resources that need this one, by id.
    pub(crate) fn dependents(&self, id: ResourceId) -> Vec<ResourceId> {
        self.find(id).map_or_else(Vec::new, |at| self.sorted(self.dependents_at(at)))
    }

    /// The live resources that this one needs, by id.
    pub(crate) fn dependencies(&self, id: ResourceId) -> Vec<ResourceId> {
        self.find(id).map_or_else(Vec::new, |at| self.sorted(self.dependencies_at(at).map(|(_, to)| to)))
    }

    /// Whether the resource has or had an edge, and was not removed.
    #[cfg(test)]
    pub(crate) fn contains(&self, id: ResourceId) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: ResourceId) -> Option<NodeIndex> {
        if self.index.is_empty() {
            return None;
        }
        self.index.get(&Unit::Resource(id)).copied().filter(|at| self.graph[*at].live)
    }

    /// What the resource at a node needs, each with the lifted edge that stands for it, if there is one.
    fn dependencies_at(&self, at: NodeIndex) -> impl Iterator<Item = (Option<EdgeIndex>, NodeIndex)> {
        self.graph.edges_directed(at, Outgoing).filter_map(|edge| match *edge.weight() {
            _ if !self.graph[edge.target()].live => None,
            Edge::Needs => Some((None, edge.target())),
            Edge::Across(lifted) => Some((Some(lifted), edge.target())),
            Edge::Lifted(_) => None,
        })
    }

    /// What needs the resource at a node.
    fn dependents_at(&self, at: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let between_resources = |edge: &Edge| !matches!(edge, Edge::Lifted(_));
        let edges = self.graph.edges_directed(at, Incoming);
        edges
            .filter(move |edge| between_resources(edge.weight()) && self.graph[edge.source()].live)
            .map(|edge| edge.source())
    }

    fn sorted(&self, nodes: impl Iterator<Item = NodeIndex>) -> Vec<ResourceId> {
        let mut ids: Vec<ResourceId> = nodes
            .filter_map(|at| match self.graph[at].unit {
                Unit::Resource(id) => Some(id),
                Unit::Manager(_) => None,
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The edge from one unit to the other, live or dead. There is at most one: between two resources it is never
    /// a lifted one, and with a manager always.
    fn edge_between(&self, (from, to): (Unit, Unit)) -> Option<EdgeIndex> {
        let (from, to) = (*self.index.get(&from)?, *self.index.get(&to)?);
        let mut out = self.graph.edges_directed(from, Outgoing);
        let mut into = self.graph.edges_directed(to, Incoming);
        // In step, so that the shorter list decides: one of the two may be a hub.
        loop {
            let edge = out.next()?;
            if edge.target() == to {
                return Some(edge.id());
            }
            let edge = into.next()?;
            if edge.source() == from {
                return Some(edge.id());
            }
        }
    }

    fn is_live(&self, edge: EdgeIndex) -> bool {
        match self.graph[edge] {
            Edge::Lifted(count) => count > 0,
            Edge::Needs | Edge::Across(_) => {
                let ends = self.graph.edge_endpoints(edge);
                ends.is_some_and(|(from, to)| self.graph[from].live && self.graph[to].live)
            }
        }
    }

    fn node(&mut self, unit: Unit) -> NodeIndex {
        let graph = &mut self.graph;
        *self.index.entry(unit).or_insert_with(|| {
            graph.add_node(Node { unit, live: true, dependents: 0, lifted_in: 0, lifted_out: 0 })
        })
    }

    /// Counts one more edge across for the edge between its units, which is `known` or made now.
    fn lift(&mut self, (above, below): (Unit, Unit), known: Option<EdgeIndex>) -> EdgeIndex {
        let (from, to) = (self.node(above), self.node(below));
        let edge = known.unwrap_or_else(|| self.graph.add_edge(from, to, Edge::Lifted(0)));
        let count = self.count(edge);
        *count += 1;
        if *count == 1 {
            self.live_edges += 1;
            self.graph[from].lifted_out += 1;
            self.graph[to].lifted_in += 1;
        }
        edge
    }

    /// Counts one edge across less. A manager that no lifted edge touches any more leaves the graph.
    fn unlift(&mut self, edge: EdgeIndex) {
        let count = self.count(edge);
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.live_edges -= 1;
        let Some((from, to)) = self.graph.edge_endpoints(edge) else { return };
        self.graph[from].lifted_out -= 1;
        self.graph[to].lifted_in -= 1;
        for at in [from, to] {
            let node = &mut self.graph[at];
            if matches!(node.unit, Unit::Manager(_)) && node.lifted_in + node.lifted_out == 0 {
                node.live = false;
                self.index.remove(&node.unit);
            }
        }
    }

    fn count(&mut self, edge: EdgeIndex) -> &mut u32 {
        match &mut self.graph[edge] {
            Edge::Lifted(count) => count,
            other => unreachable!("{other:?} stands for no edge across"),
        }
    }

    /// Takes an edge of a resource that has just died out of the counts, unless it was dead before with its
    /// other end. Whether it was live, and between resources.
    fn retire(&mut self, edge: EdgeIndex, other: NodeIndex) -> bool {
        if !self.graph[other].live {
            return false;
        }
        match self.graph[edge] {
            // Falls with the edges that it stands for.
            Edge::Lifted(_) => return false,
            Edge::Across(lifted) => self.unlift(lifted),
            Edge::Needs => {}
        }
        self.live_edges -= 1;
        true
    }
}
