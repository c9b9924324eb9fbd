//! Circles: whether an edge would close one, and whether the whole holds one.

use std::collections::VecDeque;

use petgraph::Direction::{self, Incoming, Outgoing};
use petgraph::algo::toposort;
use petgraph::graph::{Edges, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};
use petgraph::{Directed, graph::EdgeReference};

use super::map::Map;
use super::{Circle, Edge, Graph, Unit};

impl Graph {
    /// Checks the whole: that nothing live needs itself, through whatever stands between.
    pub(crate) fn validate(&self) -> Result<(), Circle> {
        // petgraph's toposort, because its tarjan_scc recurses along a chain.
        let live =
            EdgeFiltered::from_fn(&self.graph, |edge: EdgeReference<'_, Edge>| self.is_live(edge.id()));
        let Err(cycle) = toposort(&live, None) else { return Ok(()) };
        let at = cycle.node_id();
        let path = self.way(at, at, |_| true).expect("toposort names a node that stands on a circle");
        Err(Circle { path: self.units(path) })
    }

    /// An error with the way back if `below` stands before `above` already.
    pub(crate) fn refuse_circle(&self, above: Unit, below: Unit) -> Result<(), Circle> {
        let (Some(&from), Some(&to)) = (self.index.get(&below), self.index.get(&above)) else {
            return Ok(());
        };
        let node = &self.graph[to];
        if node.dependents == 0 && node.lifted_in == 0 {
            return Ok(());
        }
        match self.way(from, to, |edge| !matches!(edge, Edge::Across(_))) {
            None => Ok(()),
            Some(way) => Err(Circle { path: std::iter::once(above).chain(self.units(way)).collect() }),
        }
    }

    fn units(&self, nodes: Vec<NodeIndex>) -> Vec<Unit> {
        nodes.into_iter().map(|at| self.graph[at].unit).collect()
    }

    /// A way of at least one live edge, both ends included.
    ///
    /// Goes from both ends in turn, an edge at a time: that costs twice the smaller of what stands behind `from`
    /// and before `to`, where a search from one end could walk the whole graph for a new leaf.
    fn way(&self, from: NodeIndex, to: NodeIndex, kind: fn(&Edge) -> bool) -> Option<Vec<NodeIndex>> {
        let mut ahead = Front::new(self, from, Outgoing, kind);
        let mut back = Front::new(self, to, Incoming, kind);
        let met = loop {
            match ahead.step()? {
                Some(at) if at == to || back.came_from.contains_key(&at) => break at,
                _ => {}
            }
            match back.step()? {
                Some(at) if at == from || ahead.came_from.contains_key(&at) => break at,
                _ => {}
            }
        };
        let mut way = ahead.trail(met);
        way.reverse();
        way.extend(back.trail(met).into_iter().skip(1));
        Some(way)
    }
}

/// One of the two ends of a search, breadth first so that the way is short.
struct Front<'g> {
    graph: &'g Graph,
    kind: fn(&Edge) -> bool,
    direction: Direction,
    start: NodeIndex,
    /// By node that was reached: the one before it.
    came_from: Map<NodeIndex, NodeIndex>,
    waiting: VecDeque<NodeIndex>,
    at: NodeIndex,
    edges: Edges<'g, Edge, Directed>,
}

impl<'g> Front<'g> {
    fn new(graph: &'g Graph, start: NodeIndex, direction: Direction, kind: fn(&Edge) -> bool) -> Front<'g> {
        Front {
            graph,
            kind,
            direction,
            start,
            came_from: Map::default(),
            waiting: VecDeque::new(),
            at: start,
            edges: graph.graph.edges_directed(start, direction),
        }
    }

    /// Looks at one more edge: the node it reaches if that is new. `None` once there is no edge left.
    fn step(&mut self) -> Option<Option<NodeIndex>> {
        loop {
            if let Some(edge) = self.edges.next() {
                return Some(self.follow(edge));
            }
            self.at = self.waiting.pop_front()?;
            self.edges = self.graph.graph.edges_directed(self.at, self.direction);
        }
    }

    fn follow(&mut self, edge: EdgeReference<'g, Edge>) -> Option<NodeIndex> {
        let next = if self.direction == Outgoing { edge.target() } else { edge.source() };
        if !(self.kind)(edge.weight()) || !self.graph.is_live(edge.id()) || self.came_from.contains_key(&next)
        {
            return None;
        }
        self.came_from.insert(next, self.at);
        self.waiting.push_back(next);
        Some(next)
    }

    /// From where the search met the other back to its start.
    fn trail(&self, met: NodeIndex) -> Vec<NodeIndex> {
        let mut trail = vec![met];
        let mut at = met;
        while let Some(&before) = self.came_from.get(&at) {
            trail.push(before);
            // On a circle the start has come from somewhere too.
            if before == self.start {
                break;
            }
            at = before;
        }
        trail
    }
}
