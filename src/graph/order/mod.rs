//! The order of a teardown: what ends before what, and among what is ready the most urgent and then the newest
//! first. Each step costs its edges; only the newest-first sort costs n log n.
//!
//! In: the managers of a subtree and what was chosen in them. Out: an [`Order`].
//!
//! Units are numbered in all the arrays here: the chosen resources by index, behind them the managers by index.
//! What was left out has no edges and no part in anything.

mod class;
mod line;
mod marks;
mod ready;
mod steps;
mod tree;

use petgraph::graph::{EdgeIndex, NodeIndex};

use self::line::Line;
use self::marks::Marks;
use self::steps::Rows;
use self::tree::Tree;
use super::{Graph, Seat, Unit, Version};
use crate::id::{ManagerId, ResourceId, Stamp};
use crate::resource::Priority;

pub(crate) use self::ready::Ready;
pub(crate) use self::steps::Steps;

const NONE: u32 = u32::MAX;
const ROOT: usize = 0;

/// A resource that a teardown is about.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) id: ResourceId,
    pub(crate) manager: ManagerId,
    pub(crate) priority: Priority,
    pub(crate) stamp: Stamp,
}

/// A manager of the subtree that is torn down. The root comes first, and parents before their children.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) manager: ManagerId,
    pub(crate) parent: Option<ManagerId>,
    pub(crate) stamp: Stamp,
}

/// How to tear the chosen down. Everything is by index into what was chosen.
#[derive(Debug)]
pub(crate) struct Order {
    /// One after the other: a child manager's are together, at its place among its parent's.
    pub(crate) sequence: Vec<u32>,
    /// Ranks from 0: a concurrent teardown starts nothing while something of a lower rank is ready or runs.
    /// 0 for what was left out.
    pub(crate) class: Vec<u32>,
    /// The urgency that decides among the units of its manager: the most urgent of its own and of all that it
    /// stands before. Its own for what was left out.
    pub(crate) urgency: Vec<Priority>,
    /// What can't be cleaned, by index.
    pub(crate) left_out: Vec<LeftOut>,
    /// The same order as far as dependencies say it.
    pub(crate) steps: Steps,
    /// Where each stands in the graph, in this version of it.
    pub(crate) seats: Vec<Seat>,
    pub(crate) version: Version,
    /// No dependency of a chosen one was left unchosen: the end of these frees nobody else.
    pub(crate) is_closed: bool,
}

/// A chosen resource that a live dependent holds back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LeftOut {
    pub(crate) index: u32,
    pub(crate) why: Why,
}

/// What holds a chosen resource back, by id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// Live dependents that were not chosen.
    Outside(Vec<ResourceId>),
    /// Dependents that were chosen, but left out.
    Behind(Vec<ResourceId>),
}

/// An edge between two of the chosen.
struct Link {
    dependent: u32,
    dependency: u32,
    lifted: Option<EdgeIndex>,
}

/// The links within a manager: nothing lifted stands for them.
fn direct(links: &[Link]) -> impl Iterator<Item = (u32, u32)> + Clone {
    links.iter().filter(|link| link.lifted.is_none()).map(|link| (link.dependent, link.dependency))
}

impl Graph {
    /// Puts the chosen in order. Unless `force`, a resource with a live dependent that is not going to be cleaned
    /// is left out, with everything behind it; with it, dependencies among the chosen still hold.
    pub(crate) fn order(&self, places: &[Place], chosen: &[Chosen], force: bool) -> Order {
        let among = Among::new(self, chosen);
        if stand_in_order(places, chosen) && among.linked().next().is_none() {
            return Order::as_they_stand(chosen, self.version);
        }
        let (mut links, is_closed) = among.links();
        let left_out = if force { Vec::new() } else { among.left_out(&links) };
        let mut part = vec![true; chosen.len()];
        for left in &left_out {
            part[left.index as usize] = false;
        }
        if !left_out.is_empty() {
            links.retain(|link| part[link.dependent as usize] && part[link.dependency as usize]);
        }
        let tree = Tree::new(places, chosen, &part);
        let lifted = among.lifted(&links, &tree);
        let line = Line::new(&tree, &links, &lifted, chosen, places);
        let steps = Steps::new(tree.steps(&links, &lifted), part);
        let (sequence, class) = (line.sequence(), line.class());
        let mut urgency = line.urgency;
        urgency.truncate(chosen.len());
        let (seats, version) = (among.nodes, self.version);
        Order { sequence, class, urgency, left_out, steps, seats, version, is_closed }
    }
}

impl Order {
    /// Of these, nobody needs anybody, and they [stand in order](stand_in_order).
    fn as_they_stand(chosen: &[Chosen], version: Version) -> Order {
        let count = chosen.len();
        Order {
            sequence: (0..count as u32).collect(),
            class: vec![0; count],
            urgency: chosen.iter().map(|chosen| chosen.priority).collect(),
            left_out: Vec::new(),
            steps: Steps::new(Rows::new(count, std::iter::empty()), vec![true; count]),
            seats: vec![Seat::NOWHERE; count],
            version,
            is_closed: true,
        }
    }
}

/// Whether these are all the root's own, one as urgent as the other, and each is newer than the next: what one thread has
/// registered with one manager comes so.
fn stand_in_order(places: &[Place], chosen: &[Chosen]) -> bool {
    let (Some(root), Some(first)) = (places.first(), chosen.first()) else { return false };
    let is_alike = |one: &Chosen| one.manager == root.manager && one.priority == first.priority;
    chosen.iter().all(is_alike) && chosen.is_sorted_by(|one, other| one.stamp > other.stamp)
}

/// The chosen, found in the graph.
struct Among<'a> {
    graph: &'a Graph,
    chosen: &'a [Chosen],
    nodes: Vec<Seat>,
    /// By node: the index of the chosen resource there, plus one.
    at: Marks,
}

impl Among<'_> {
    fn new<'a>(graph: &'a Graph, chosen: &'a [Chosen]) -> Among<'a> {
        let seat =
            |chosen: &Chosen| graph.find(chosen.id).map_or(Seat::NOWHERE, |at| Seat(at.index() as u32));
        let nodes: Vec<_> = chosen.iter().map(seat).collect();
        let mut at = Marks::new(chosen.len(), graph.graph.node_count());
        for (index, node) in (1..).zip(&nodes).filter(|(_, node)| node.is_somewhere()) {
            at.set(node.0 as usize, index);
        }
        Among { graph, chosen, nodes, at }
    }

    fn index(&self, node: NodeIndex) -> Option<u32> {
        self.at.get(node.index()).checked_sub(1)
    }

    /// The chosen in the graph, by index.
    fn linked(&self) -> impl Iterator<Item = (u32, NodeIndex)> {
        (0..)
            .zip(&self.nodes)
            .filter(|(_, seat)| seat.is_somewhere())
            .map(|(index, seat)| (index, seat.node()))
    }

    /// The edges among the chosen, and whether these have no others that go out.
    fn links(&self) -> (Vec<Link>, bool) {
        let (mut links, mut is_closed) = (Vec::new(), true);
        for (dependent, node) in self.linked() {
            for (lifted, dependency) in self.graph.dependencies_at(node) {
                match self.index(dependency) {
                    Some(dependency) => links.push(Link { dependent, dependency, lifted }),
                    None => is_closed = false,
                }
            }
        }
        (links, is_closed)
    }

    fn left_out(&self, links: &[Link]) -> Vec<LeftOut> {
        let mut why = vec![None; self.chosen.len()];
        let mut waiting = Vec::new();
        for (index, outside) in self.outside(links) {
            why[index as usize] = Some(Why::Outside(outside));
            waiting.push(index);
        }
        if waiting.is_empty() {
            return Vec::new();
        }
        let rows = Rows::new(self.chosen.len(), links.iter().map(|link| (link.dependent, link.dependency)));
        while let Some(behind) = waiting.pop() {
            for &index in rows.followers(behind) {
                let id = self.chosen[behind as usize].id;
                match &mut why[index as usize] {
                    Some(Why::Outside(_)) => {}
                    Some(Why::Behind(ids)) => ids.push(id),
                    none => {
                        *none = Some(Why::Behind(vec![id]));
                        waiting.push(index);
                    }
                }
            }
        }
        let left = (0..).zip(why).filter_map(|(index, why)| Some(LeftOut { index, why: why?.sorted() }));
        left.collect()
    }

    /// Those with live dependents that were not chosen, and these.
    fn outside(&self, links: &[Link]) -> impl Iterator<Item = (u32, Vec<ResourceId>)> {
        let mut inside = vec![0; self.chosen.len()];
        for link in links {
            inside[link.dependency as usize] += 1;
        }
        self.linked().filter_map(move |(index, node)| {
            if self.graph.graph[node].dependents == inside[index as usize] {
                return None;
            }
            let outside = self.graph.dependents_at(node).filter(|other| self.index(*other).is_none());
            Some((index, self.graph.sorted(outside)))
        })
    }

    /// The lifted edges of these links as pairs of units, each once.
    fn lifted(&self, links: &[Link], tree: &Tree) -> Vec<(u32, u32)> {
        let mut seen = Marks::new(links.len(), self.graph.graph.edge_count());
        let mut pairs = Vec::new();
        for edge in links.iter().filter_map(|link| link.lifted) {
            if seen.set(edge.index(), 1) > 0 {
                continue;
            }
            let Some((from, to)) = self.graph.graph.edge_endpoints(edge) else { continue };
            let pair = self.unit(from, tree).zip(self.unit(to, tree));
            debug_assert!(pair.is_some(), "what holds a chosen resource is in the subtree");
            pairs.extend(pair);
        }
        pairs
    }

    fn unit(&self, node: NodeIndex, tree: &Tree) -> Option<u32> {
        match self.graph.graph[node].unit {
            Unit::Resource(_) => self.index(node),
            Unit::Manager(id) => tree.place_of.get(&id).map(|place| tree.resources as u32 + place),
        }
    }
}

impl Why {
    fn sorted(mut self) -> Why {
        let (Why::Outside(ids) | Why::Behind(ids)) = &mut self;
        ids.sort_unstable();
        self
    }
}
