//! What the live graph refuses, forgets and holds.

use super::{across, circle, ids, manager, needs, resource};
use crate::graph::{Edge, Graph, Node, Seat, Unit};
use crate::id::ResourceId;

#[test]
fn what_needs_itself_is_refused_with_its_path() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 1), circle([resource(1), resource(1)]));
    assert!(!graph.contains(ResourceId(1)));
}

#[test]
fn a_circle_of_two_is_refused_with_its_path() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(needs(&mut graph, 2, 1), circle([2, 1, 2].map(resource)));
}

#[test]
fn a_circle_of_five_is_refused_with_its_path() {
    let mut graph = Graph::default();
    for id in 1..5 {
        assert_eq!(needs(&mut graph, id, id + 1), Ok(()));
    }
    assert_eq!(needs(&mut graph, 5, 1), circle([5, 1, 2, 3, 4, 5].map(resource)));
}

#[test]
fn a_refused_edge_changes_nothing() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    let before = format!("{graph:?}");
    assert!(needs(&mut graph, 2, 1).is_err());
    assert!(needs(&mut graph, 3, 3).is_err());
    assert_eq!(format!("{graph:?}"), before);
}

#[test]
fn an_edge_given_twice_counts_once() {
    let mut graph = Graph::default();
    for _ in 0..2 {
        assert_eq!(needs(&mut graph, 1, 2), Ok(()));
        assert_eq!(across(&mut graph, (1, resource(1)), (3, manager(7))), Ok(()));
    }
    assert_eq!(graph.dependents(ResourceId(2)), ids([1]));
    let mut freed = graph.remove(ResourceId(1));
    freed.sort_unstable();
    assert_eq!(freed, ids([2, 3]));
}

#[test]
fn managers_have_one_edge_between_them_for_all_their_resources_edges() {
    let mut graph = Graph::default();
    for number in 0..4 {
        let ends = ((10 + number, manager(1)), (20 + number, manager(2)));
        assert_eq!(across(&mut graph, ends.0, ends.1), Ok(()));
    }
    assert_eq!(graph.graph.edge_count(), 4 + 1);
}

#[test]
fn two_managers_that_need_each_other_are_refused_though_no_resource_needs_itself() {
    let mut graph = Graph::default();
    let (left, right) = (manager(1), manager(2));
    assert_eq!(across(&mut graph, (1, left), (2, right)), Ok(()));
    assert_eq!(across(&mut graph, (3, right), (4, left)), circle([right, left, right]));
    assert!(!graph.contains(ResourceId(3)) && !graph.contains(ResourceId(4)));
}

#[test]
fn a_resource_between_two_of_a_child_is_refused() {
    let mut graph = Graph::default();
    let child = manager(1);
    assert_eq!(across(&mut graph, (1, resource(1)), (2, child)), Ok(()));
    assert_eq!(across(&mut graph, (3, child), (1, resource(1))), circle([child, resource(1), child]));
}

#[test]
fn a_circle_over_resources_and_managers_names_the_units_alone() {
    let mut graph = Graph::default();
    let child = manager(1);
    // In the parent 1 -> 2 -> child, by way of resource 10 in it; then 11 in the child wants 1.
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(across(&mut graph, (2, resource(2)), (10, child)), Ok(()));
    assert_eq!(needs(&mut graph, 10, 11), Ok(()));
    let path = [child, resource(1), resource(2), child];
    assert_eq!(across(&mut graph, (11, child), (1, resource(1))), circle(path));
}

#[test]
fn a_lifted_edge_counts_only_while_both_its_resources_live() {
    let (left, right) = (manager(1), manager(2));
    for gone in [1, 2] {
        let mut graph = Graph::default();
        assert_eq!(across(&mut graph, (1, left), (2, right)), Ok(()));
        assert!(across(&mut graph, (3, right), (4, left)).is_err());
        graph.remove(ResourceId(gone));
        assert_eq!(across(&mut graph, (3, right), (4, left)), Ok(()), "{gone} is gone");
        assert_eq!(across(&mut graph, (5, left), (6, right)), circle([left, right, left]));
    }
}

#[test]
fn a_lifted_edge_stands_as_long_as_one_of_those_it_stands_for() {
    let mut graph = Graph::default();
    let (left, right) = (manager(1), manager(2));
    for id in [1, 3, 5] {
        assert_eq!(across(&mut graph, (id, left), (id + 1, right)), Ok(()));
    }
    for gone in [1, 4] {
        graph.remove(ResourceId(gone));
        assert!(across(&mut graph, (10, right), (11, left)).is_err());
    }
    graph.remove(ResourceId(5));
    assert_eq!(across(&mut graph, (10, right), (11, left)), Ok(()));
}

#[test]
fn removing_tells_which_dependencies_nobody_needs_any_more() {
    let mut graph = Graph::default();
    for (dependent, dependency) in [(1, 3), (2, 3), (2, 4)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    assert_eq!(graph.remove(ResourceId(1)), ids([]));
    assert!(graph.has_dependents(ResourceId(3)));
    let mut freed = graph.remove(ResourceId(2));
    freed.sort_unstable();
    assert_eq!(freed, ids([3, 4]));
    assert!(!graph.has_dependents(ResourceId(3)));
}

#[test]
fn a_dependency_that_goes_first_leaves_its_dependents() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(needs(&mut graph, 1, 3), Ok(()));
    assert_eq!(graph.remove(ResourceId(2)), ids([]));
    assert_eq!(graph.dependencies(ResourceId(1)), ids([3]));
    assert_eq!(graph.remove(ResourceId(1)), ids([3]));
}

#[test]
fn removing_what_has_no_edge_or_is_gone_frees_nothing() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(graph.remove(ResourceId(9)), ids([]));
    assert_eq!(graph.remove(ResourceId(1)), ids([2]));
    assert_eq!(graph.remove(ResourceId(1)), ids([]));
}

/// A graph with circles, past what `connect` would refuse.
fn unchecked(edges: &[(Unit, Unit, Edge)]) -> Graph {
    let mut graph = Graph::default();
    for (from, to, edge) in edges {
        let (from, to) = (graph.node(*from), graph.node(*to));
        graph.graph.add_edge(from, to, *edge);
    }
    graph
}

#[test]
fn validate_finds_a_circle_wherever_it_is() {
    for length in [1, 2, 5] {
        let step = |id| (resource(id), resource(id % length + 1), Edge::Needs);
        let mut edges: Vec<_> = (1..=length).map(step).collect();
        edges.push((resource(100), resource(1), Edge::Needs));
        edges.push((resource(1), resource(200), Edge::Needs));
        let graph = unchecked(&edges);
        let path = graph.validate().expect_err("there is one").path;
        assert_eq!(path.len() as u64, length + 1);
        assert_eq!(path.first(), path.last());
        assert!(
            path.windows(2).all(|pair| edges.iter().any(|(from, to, _)| (*from, *to) == (pair[0], pair[1])))
        );
    }
}

#[test]
fn validate_finds_a_circle_of_managers() {
    let graph =
        unchecked(&[(manager(1), manager(2), Edge::Lifted(1)), (manager(2), manager(1), Edge::Lifted(3))]);
    let path = graph.validate().expect_err("there is one").path;
    assert!(path == [1, 2, 1].map(manager) || path == [2, 1, 2].map(manager));
}

#[test]
fn validate_overlooks_what_is_dead() {
    let mut graph = unchecked(&[
        (resource(1), resource(2), Edge::Needs),
        (resource(2), resource(1), Edge::Needs),
        (manager(1), manager(2), Edge::Lifted(1)),
        (manager(2), manager(1), Edge::Lifted(0)),
    ]);
    let dead = graph.node(resource(2));
    let node: &mut Node = &mut graph.graph[dead];
    node.live = false;
    assert_eq!(graph.validate(), Ok(()));
}

#[test]
fn nothing_is_held_once_all_has_gone() {
    let mut graph = Graph::default();
    for id in 1..=100 {
        assert_eq!(needs(&mut graph, id, id + 1), Ok(()));
        assert_eq!(across(&mut graph, (id, manager(1)), (id + 1000, manager(2))), Ok(()));
    }
    for id in (1..=101).chain(1001..=1100) {
        graph.remove(ResourceId(id));
    }
    assert_eq!(graph.graph.capacity(), (0, 0));
    assert_eq!(graph.index.capacity(), 0);
}

#[test]
fn what_comes_and_goes_leaves_nothing_with_what_stays() {
    let mut graph = Graph::default();
    for id in 1..=10_000 {
        // A pool that stays, a child manager for each user of it.
        assert_eq!(across(&mut graph, (id, manager(id)), (0, resource(0))), Ok(()));
        assert_eq!(graph.remove(ResourceId(id)), ids([0]));
        assert!(graph.graph.node_count() + graph.graph.edge_count() < 100);
    }
    assert!(graph.index.capacity() < 100);
    assert!(graph.contains(ResourceId(0)));
}

/// The seat that an order would have found.
fn seat(graph: &Graph, id: u64) -> Seat {
    let at = graph.find(ResourceId(id)).expect("it has an edge");
    Seat(at.index() as u32)
}

#[test]
fn a_way_through_what_has_ended_closes_no_circle() {
    let mut graph = Graph::default();
    for (dependent, dependency) in [(1, 2), (2, 3), (4, 3)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    graph.remove(ResourceId(2));
    assert!(graph.graph.node_count() > 3, "it is still there, dead");
    assert_eq!(needs(&mut graph, 3, 1), Ok(()));
    assert!(needs(&mut graph, 1, 4).is_err());
}

#[test]
fn what_was_buried_and_is_removed_is_counted_once() {
    let mut graph = Graph::default();
    for (dependent, dependency) in [(1, 2), (2, 3)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    graph.bury(seat(&graph, 1));
    assert_eq!(graph.remove(ResourceId(1)), ids([]));
    assert_eq!(graph.remove(ResourceId(2)), ids([3]));
    assert!(graph.contains(ResourceId(3)));
    graph.remove(ResourceId(3));
    assert_eq!(graph.graph.node_count(), 0);
}

#[test]
fn what_is_buried_is_forgotten_and_let_go_of_when_it_is_tidied() {
    let mut graph = Graph::default();
    for id in 1..=200 {
        assert_eq!(needs(&mut graph, id, id + 1), Ok(()));
    }
    let version = graph.version;
    for id in 1..=150 {
        let at = seat(&graph, id);
        assert!(!graph.is_needed(at) && graph.is_needed(seat(&graph, id + 1)), "{id}");
        graph.bury(at);
        assert!(!graph.contains(ResourceId(id)));
    }
    assert_eq!(graph.remove(ResourceId(7)), ids([]), "it had gone");
    assert_eq!(graph.dependents(ResourceId(151)), ids([]));
    assert_eq!(graph.dependencies(ResourceId(151)), ids([152]));
    assert_eq!(graph.version, version, "nothing has moved yet");
    assert_eq!(graph.validate(), Ok(()));
    graph.tidy();
    assert!(graph.graph.node_count() < 150, "{}", graph.graph.node_count());
    assert!(!graph.has_grown(version));
    for id in 151..=201 {
        let then = Seat(id as u32 - 1);
        let now = graph.seat(ResourceId(id), then, version);
        assert_eq!(now, seat(&graph, id));
        graph.bury(now);
    }
    graph.tidy();
    assert_eq!((graph.graph.capacity(), graph.index.capacity()), ((0, 0), 0));
}

#[test]
fn an_edge_that_has_come_is_noticed() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    let version = graph.version;
    assert_eq!(needs(&mut graph, 1, 2), Ok(()), "it is there already");
    graph.remove(ResourceId(1));
    assert!(!graph.has_grown(version));
    assert_eq!(needs(&mut graph, 3, 2), Ok(()));
    assert!(graph.has_grown(version));
}
