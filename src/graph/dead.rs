//! What stays of the dead, until the whole is built anew without them; and how many are taken away one after the other
//! without a look-up for each.

use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};

use super::map::Map;
use super::{Edge, Graph, Node, Unit};
use crate::id::ResourceId;
use crate::memory::has_room;

/// How many dead nodes and edges are kept beyond the number of live ones.
pub(super) const SLACK: usize = 64;

/// Changes with each new edge, and whenever a [`Seat`] may have moved.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    pub(super) edges: u64,
    pub(super) moves: u64,
}

/// Where a resource stands in the graph, as long as the graph's version is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat(pub(super) u32);

impl Seat {
    /// Of a resource that has no edge.
    pub(crate) const NOWHERE: Seat = Seat(u32::MAX);

    pub(crate) fn is_somewhere(self) -> bool {
        self != Seat::NOWHERE
    }

    pub(super) fn node(self) -> NodeIndex {
        NodeIndex::new(self.0 as usize)
    }
}

impl Graph {
    /// Forgets the resource at a seat of this version, and leaves all that is dead where it is until [`tidy`]:
    /// for who takes many away, one after the other, and need not look any of them up. Nobody is told what this set
    /// free.
    ///
    /// [`tidy`]: Graph::tidy
    pub(crate) fn bury(&mut self, seat: Seat) {
        if self.graph.node_weight(seat.node()).is_some_and(|node| node.live) {
            self.buried += 1;
            self.end(seat.node(), |_| ());
        }
    }

    /// Lets go of the dead that were left.
    pub(crate) fn tidy(&mut self) {
        self.compact();
    }

    /// Whether a live resource needs the one at a seat of this version.
    pub(crate) fn is_needed(&self, seat: Seat) -> bool {
        self.graph.node_weight(seat.node()).is_some_and(|node| node.dependents > 0)
    }

    /// Whether an edge has come since.
    pub(crate) fn has_grown(&self, since: Version) -> bool {
        self.version.edges != since.edges
    }

    /// Where a resource is now that was at this seat then.
    pub(crate) fn seat(&self, id: ResourceId, then: Seat, version: Version) -> Seat {
        if self.version.moves == version.moves {
            return then;
        }
        self.find(id).map_or(Seat::NOWHERE, |at| Seat(at.index() as u32))
    }

    /// Builds the whole anew without the dead, once they are more than the living.
    pub(super) fn compact(&mut self) {
        let live = self.live_nodes() + self.live_edges;
        let dead = self.graph.node_count() + self.graph.edge_count() - live;
        if self.live_nodes() == 0 {
            let version = Version { moves: self.version.moves + 1, ..self.version };
            *self = Graph { version, ..Graph::default() };
        } else if dead > live + SLACK && has_room(self.bytes_to_rebuild()) {
            self.rebuild();
        }
    }

    fn live_nodes(&self) -> usize {
        self.index.len() - self.buried
    }

    /// What a rebuild needs beside what there is: the new graph and its index, and the notes on the old one.
    fn bytes_to_rebuild(&self) -> usize {
        let (nodes, edges) = (self.live_nodes(), self.live_edges);
        let node = size_of::<petgraph::graph::Node<Node>>() + 2 * size_of::<(Unit, NodeIndex)>();
        let edge = size_of::<petgraph::graph::Edge<Edge>>();
        let old_node = size_of::<NodeIndex>();
        let old_edge = size_of::<bool>() + size_of::<EdgeIndex>();
        nodes * node + edges * edge + self.graph.node_count() * old_node + self.graph.edge_count() * old_edge
    }

    fn rebuild(&mut self) {
        let keep: Vec<bool> = self.graph.edge_indices().map(|edge| self.is_live(edge)).collect();
        let mut graph = DiGraph::with_capacity(self.live_nodes(), self.live_edges);
        let mut index = Map::with_capacity_and_hasher(self.live_nodes(), Default::default());
        let (nodes, edges) = std::mem::take(&mut self.graph).into_nodes_edges();
        let mut new_nodes = vec![NodeIndex::end(); nodes.len()];
        for (old, node) in nodes.into_iter().enumerate().filter(|(_, node)| node.weight.live) {
            let unit = node.weight.unit;
            new_nodes[old] = graph.add_node(node.weight);
            index.insert(unit, new_nodes[old]);
        }
        let mut new_edges = vec![EdgeIndex::end(); edges.len()];
        for (old, edge) in edges.into_iter().enumerate().filter(|(old, _)| keep[*old]) {
            let (from, to) = (new_nodes[edge.source().index()], new_nodes[edge.target().index()]);
            let weight = match edge.weight {
                Edge::Across(lifted) => Edge::Across(new_edges[lifted.index()]),
                other => other,
            };
            new_edges[old] = graph.add_edge(from, to, weight);
        }
        (self.graph, self.index, self.buried) = (graph, index, 0);
        self.version.moves += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building_anew_is_thought_to_take_what_lives_and_a_little_for_each_that_is_there() {
        const LIVE: usize = size_of::<petgraph::graph::Node<Node>>() + 2 * size_of::<(Unit, NodeIndex)>();
        const LIVE_EDGE: usize = size_of::<petgraph::graph::Edge<Edge>>();
        let mut graph = Graph::default();
        for n in 0..30 {
            for other in n + 1..30 {
                let (one, other) = (ResourceId(n + 1), ResourceId(other + 1));
                let units = (Unit::Resource(one), Unit::Resource(other));
                assert_eq!(graph.connect(one, other, units), Ok(()));
            }
        }
        // A new number for each old node; for each old edge one, and whether it is kept.
        let old = |nodes: usize, edges: usize| 4 * nodes + 5 * edges;
        assert_eq!(graph.bytes_to_rebuild(), 30 * LIVE + 435 * LIVE_EDGE + old(30, 435));
        graph.remove(ResourceId(1));
        assert_eq!(graph.bytes_to_rebuild(), 29 * LIVE + 406 * LIVE_EDGE + old(30, 435));
    }
}
