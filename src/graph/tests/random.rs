//! Random histories and random teardowns, each step checked against the naive version and the invariants.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::visit::EdgeRef;
use proptest::prelude::*;

use super::naive::{Naive, World};
use super::{manager, resource};
use crate::graph::dead::SLACK;
use crate::graph::{Chosen, Edge, Graph, Order, Place, Unit};
use crate::id::{ManagerId, ResourceId, Stamp};
use crate::resource::Priority;

/// More would make the naive version too slow; fewer would leave nothing to order.
const MOST_LIVE: usize = 24;

#[derive(Clone, Copy, Debug)]
enum Step {
    Register { manager: usize },
    Connect { dependent: usize, dependency: usize },
    Remove { which: usize },
}

fn steps(least: usize, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let any = 0..1000usize;
    let step = prop_oneof![
        2 => any.clone().prop_map(|manager| Step::Register { manager }),
        4 => (any.clone(), any.clone()).prop_map(|(dependent, dependency)| Step::Connect { dependent, dependency }),
        1 => any.prop_map(|which| Step::Remove { which }),
    ];
    proptest::collection::vec(step, least..most)
}

/// By manager: its parent's number; the first is the root. Every other one is a child of the one before, so that
/// they get deep.
fn trees() -> impl Strategy<Value = Vec<usize>> {
    let parent = |(at, raw): (usize, &usize)| match raw % 2 {
        0 => at.saturating_sub(1),
        _ => raw / 2 % at.max(1),
    };
    proptest::collection::vec(0..1000usize, 1..9)
        .prop_map(move |raw| raw.iter().enumerate().map(parent).collect())
}

/// The real graph and the naive one, taken through the same steps.
#[derive(Default)]
struct Both {
    graph: Graph,
    world: World,
    last: u64,
}

impl Both {
    fn new(parents: Vec<usize>) -> Both {
        Both { world: World { parents, ..World::default() }, ..Both::default() }
    }

    fn pick(&self, which: usize) -> Option<u64> {
        let live = &self.world.homes;
        live.keys().nth(which.checked_rem(live.len())?).copied()
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Register { .. } if self.world.homes.len() >= MOST_LIVE => {
                self.go(Step::Remove { which: 0 })
            }
            Step::Register { manager } => {
                self.last += 1;
                self.world.homes.insert(self.last, manager % self.world.parents.len());
            }
            Step::Connect { dependent, dependency } => {
                if let Some(ids) = self.pick(dependent).zip(self.pick(dependency)) {
                    self.connect(ids.0, ids.1);
                }
            }
            Step::Remove { which } => {
                if let Some(id) = self.pick(which) {
                    let freed = self.graph.remove(ResourceId(id));
                    assert_eq!(
                        freed.iter().collect::<BTreeSet<_>>().len(),
                        freed.len(),
                        "none is freed twice"
                    );
                    assert_eq!(freed.into_iter().collect::<BTreeSet<_>>(), self.world.remove(id));
                }
            }
        }
    }

    fn connect(&mut self, dependent: u64, dependency: u64) {
        let units = match dependent == dependency {
            true => (resource(dependent), resource(dependent)),
            false => self.world.units(dependent, dependency),
        };
        let before = self.world.edges.len();
        let refused = self.world.closes_circle(dependent, dependency);
        match self.graph.connect(ResourceId(dependent), ResourceId(dependency), units) {
            Ok(()) => {
                assert!(!refused, "{dependent} -> {dependency} closes a circle");
                self.world.connect(dependent, dependency);
            }
            Err(circle) => {
                assert!(refused, "{dependent} -> {dependency} closes no circle, but {circle:?}");
                assert_eq!(self.world.edges.len(), before);
                self.check_circle(units, &circle.path);
            }
        }
    }

    /// The refused edge, then edges that are there, each unit once, and home again.
    fn check_circle(&self, units: (Unit, Unit), path: &[Unit]) {
        assert_eq!((path[0], path[1]), units);
        assert_eq!(path.last(), Some(&units.0));
        let edges = self.world.unit_edges();
        assert!(path[1..].windows(2).all(|pair| edges.contains(&(pair[0], pair[1]))), "{path:?}");
        assert_eq!(path[1..].iter().collect::<BTreeSet<_>>().len(), path.len() - 1, "{path:?}");
    }

    fn check(&self) {
        for id in 1..=self.last {
            let real = ResourceId(id);
            let sorted = |ids: BTreeSet<ResourceId>| ids.into_iter().collect::<Vec<_>>();
            assert_eq!(self.graph.dependents(real), sorted(self.world.dependents(id)));
            assert_eq!(self.graph.dependencies(real), sorted(self.world.dependencies(id)));
            assert_eq!(self.graph.has_dependents(real), !self.world.dependents(id).is_empty());
            assert_eq!(self.graph.contains(real), self.world.known.contains(&id));
        }
        assert_eq!(self.graph.validate(), Ok(()));
        self.check_invariants();
    }

    fn check_invariants(&self) {
        let graph = &self.graph.graph;
        let live: BTreeMap<Unit, _> =
            graph.node_indices().filter(|at| graph[*at].live).map(|at| (graph[at].unit, at)).collect();
        assert_eq!(live, self.graph.index.iter().map(|(unit, at)| (*unit, *at)).collect());
        let live_edges: Vec<_> =
            graph.edge_references().filter(|edge| self.graph.is_live(edge.id())).collect();
        assert_eq!(live_edges.len(), self.graph.live_edges);
        let held = graph.node_count() + graph.edge_count();
        assert!(held <= 2 * (live.len() + live_edges.len()) + SLACK);
        let mut lifted: BTreeMap<_, u32> = BTreeMap::new();
        for edge in &live_edges {
            assert!(graph[edge.source()].live && graph[edge.target()].live);
            if let Edge::Across(edge_of_units) = edge.weight() {
                assert!(*edge_of_units < edge.id());
                *lifted.entry(*edge_of_units).or_default() += 1;
            }
        }
        for edge in live_edges {
            if let Edge::Lifted(count) = edge.weight() {
                assert_eq!(lifted.remove(&edge.id()), Some(*count));
            }
        }
        assert!(lifted.is_empty(), "an edge across always has its lifted edge");
    }
}

/// A subtree of managers with its stamps, what was chosen in it, and whether by force.
#[derive(Clone, Debug)]
struct Request {
    root: usize,
    /// By number, round and round: out of ten, how much an age differs from the number, and the priority.
    marks: Vec<(u8, u8, u8)>,
    chance: u8,
    force: bool,
}

fn requests() -> impl Strategy<Value = Request> {
    let marks = proptest::collection::vec((0..10u8, 0..3u8, 0..4u8), 37);
    (0..1000usize, marks, 5..12u8, any::<bool>()).prop_map(|(root, marks, chance, force)| Request {
        root,
        marks,
        chance,
        force,
    })
}

const PRIORITIES: [Priority; 4] = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low];

impl Request {
    fn stamp(&self, number: u64) -> Stamp {
        let (turn, shard, _) = self.marks[number as usize % self.marks.len()];
        Stamp { turn: u64::from(turn), shard: u32::from(shard), number }
    }

    fn places(&self, world: &World) -> Vec<Place> {
        // As often as not the root of the whole.
        let root = (self.root / 2 * (self.root % 2)) % world.parents.len();
        let mut within = BTreeSet::from([root]);
        // Parents have lower numbers than their children.
        for at in 1..world.parents.len() {
            if within.contains(&world.parents[at]) {
                within.insert(at);
            }
        }
        let place = |at: usize| Place {
            manager: ManagerId(at as u64),
            parent: (at > 0).then(|| ManagerId(world.parents[at] as u64)),
            stamp: self.stamp(10_000 + at as u64),
        };
        within.into_iter().map(place).collect()
    }

    fn chosen(&self, world: &World, places: &[Place]) -> Vec<Chosen> {
        let choose = |(id, home): (&u64, &usize)| {
            let manager = ManagerId(*home as u64);
            let (luck, _, priority) = self.marks[(*id * 7) as usize % self.marks.len()];
            let inside = places.iter().any(|place| place.manager == manager);
            let priority = PRIORITIES[usize::from(priority)];
            (inside && luck < self.chance).then(|| Chosen {
                id: ResourceId(*id),
                manager,
                priority,
                stamp: self.stamp(*id),
            })
        };
        world.homes.iter().filter_map(choose).collect()
    }
}

fn check_order(order: &Order, naive: &Naive<'_>, chosen: &[Chosen]) {
    assert_eq!(order.left_out, naive.left_out);
    let sequence: Vec<ResourceId> = order.sequence.iter().map(|index| chosen[*index as usize].id).collect();
    assert_eq!(sequence, naive.sequence());
    let urgency: Vec<Priority> = chosen.iter().map(|chosen| naive.urgency(chosen)).collect();
    assert_eq!(order.urgency, urgency);
    let part = (0..).zip(&order.class).filter(|(index, _)| order.steps.is_part(*index));
    assert_eq!(part.map(|(_, class)| *class as usize).collect::<Vec<_>>(), naive.classes());
    check_steps(order, naive, chosen);
}

/// What the steps say of the resources, over whatever virtual nodes, is what the definition says.
fn check_steps(order: &Order, naive: &Naive<'_>, chosen: &[Chosen]) {
    let steps = &order.steps;
    let nodes = 0..steps.len() as u32;
    let mut waits_for = vec![0; steps.len()];
    for node in nodes.clone() {
        steps.followers(node).iter().for_each(|follower| waits_for[*follower as usize] += 1);
        assert_eq!(steps.is_virtual(node), node as usize >= chosen.len());
    }
    assert_eq!(steps.waits_for(), waits_for);
    let mut before = BTreeSet::new();
    for from in 0..chosen.len() as u32 {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(at) = waiting.pop() {
            waiting.extend(steps.followers(at).iter().filter(|follower| reached.insert(**follower)));
        }
        let resources = reached.into_iter().filter(|node| !steps.is_virtual(*node));
        before.extend(resources.map(|to| (chosen[from as usize].id, chosen[to as usize].id)));
    }
    assert_eq!(before, naive.before());
    let part: Vec<ResourceId> = naive.part().iter().map(|chosen| chosen.id).collect();
    for (node, chosen) in (0..).zip(chosen) {
        assert_eq!(steps.is_part(node), part.contains(&chosen.id));
    }
    assert!(nodes.skip(chosen.len()).all(|node| steps.is_part(node)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_goes_as_in_the_naive_version(parents in trees(), steps in steps(0, 500)) {
        let mut both = Both::new(parents);
        for step in steps {
            both.go(step);
            both.check();
        }
        while let Some(id) = both.pick(0) {
            both.go(Step::Remove { which: 0 });
            prop_assert!(!both.graph.contains(ResourceId(id)));
        }
        prop_assert_eq!(both.graph.graph.capacity(), (0, 0));
        prop_assert_eq!(both.graph.index.capacity(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_teardown_is_ordered_as_in_the_naive_version(
        parents in trees(),
        steps in steps(50, 250),
        request in requests(),
    ) {
        let mut both = Both::new(parents);
        steps.into_iter().for_each(|step| both.go(step));
        let places = request.places(&both.world);
        let chosen = request.chosen(&both.world, &places);
        let naive = Naive::new(&both.world, &places, &chosen, request.force);
        check_order(&both.graph.order(&places, &chosen, request.force), &naive, &chosen);
    }
}

#[test]
fn the_naive_version_names_the_units_below_the_lowest_common_manager() {
    let mut world = World { parents: vec![0, 0, 1, 1], ..World::default() };
    world.homes.extend([(1, 0), (2, 2), (3, 3), (4, 2)]);
    assert_eq!(world.units(1, 2), (resource(1), manager(1)));
    assert_eq!(world.units(2, 3), (manager(2), manager(3)));
    assert_eq!(world.units(2, 4), (resource(2), resource(4)));
}
