//! The parts of the graph, each by itself: hashes of ids, and what is ready.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use petgraph::graph::NodeIndex;

use super::{across, manager, needs};
use crate::graph::map::IdHasher;
use crate::graph::{Chosen, Graph, Place, Ready, Seat, Unit};
use crate::id::{ManagerId, ResourceId, Stamp};
use crate::resource::Priority;

fn hash(of: impl Hash) -> u64 {
    BuildHasherDefault::<IdHasher>::default().hash_one(of)
}

#[test]
fn ids_in_a_row_have_hashes_of_their_own_that_spread_over_a_table() {
    const MANY: u64 = 4_096;
    let all = |hash: fn(u64) -> u64| (0..MANY).map(hash).collect::<Vec<u64>>();
    for hashes in [
        all(|n| hash(Unit::Resource(ResourceId(n)))),
        all(|n| hash(Unit::Manager(ManagerId(n)))),
        all(|n| hash(NodeIndex::<u32>::new(n as usize))),
        all(|n| hash(n as usize)),
    ] {
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len() as u64, MANY);
        // A table takes a bucket by the low bits, and tells apart what is there by the seven highest.
        let buckets: HashSet<u64> = hashes.iter().map(|hash| hash % MANY).collect();
        assert!(buckets.len() as u64 > MANY / 2, "{}", buckets.len());
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(tags.len(), 128);
    }
}

#[test]
fn a_resource_and_a_manager_of_the_same_number_have_different_hashes() {
    assert!((1..1_000).all(|n| hash(Unit::Resource(ResourceId(n))) != hash(Unit::Manager(ManagerId(n)))));
}

/// Numbers that look like any.
fn random(below: u32) -> impl Iterator<Item = u32> {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::iter::successors(Some(1), next).map(move |state| (state >> 33) as u32 % below)
}

#[test]
fn what_is_ready_is_a_set_of_which_the_first_is_found() {
    for len in [1, 64, 65, 4_096, 5_000] {
        let (mut ready, mut naive) = (Ready::new(len as usize), BTreeSet::new());
        let mut numbers = random(len);
        let mut number = || numbers.next().expect("they never end");
        for step in 0..3_000 {
            let (at, end) = (number(), number());
            // It grows, and then it shrinks.
            if (step / 500 + step) % 3 == 0 {
                assert_eq!(ready.remove(at), naive.remove(&at));
            } else if step % 7 == 0 {
                let expected = if at < end { naive.range(at..end).next().copied() } else { None };
                assert_eq!(ready.take_first(at..end), expected);
                naive.retain(|one| Some(*one) != expected);
            } else {
                assert_eq!(ready.insert(at), naive.insert(at));
            }
            assert_eq!(ready.first(), naive.first().copied());
            assert_eq!(ready.contains(end), naive.contains(&end));
        }
        while let Some(first) = naive.pop_first() {
            assert_eq!(ready.take_first(0..len), Some(first));
        }
        assert_eq!((ready.first(), ready.take_first(0..len)), (None, None));
    }
}

#[test]
fn all_are_ready_at_once_as_if_one_had_come_after_the_other() {
    for len in [0, 1, 63, 64, 65, 4_095, 4_096, 4_097, 5_000] {
        let (mut full, mut filled) = (Ready::full(len as usize), Ready::new(len as usize));
        assert!((0..len).all(|number| filled.insert(number)));
        assert_eq!(format!("{full:?}"), format!("{filled:?}"));
        assert!((0..len).all(|number| full.take_first(0..len) == Some(number)));
        assert_eq!(full.first(), None);
    }
}

/// A chain in which each depends on the next, from the first.
fn chain(of: u64) -> Graph {
    let mut graph = Graph::default();
    for n in 1..of {
        assert_eq!(needs(&mut graph, n, n + 1), Ok(()));
    }
    graph
}

#[test]
fn the_dead_stay_until_they_are_more_than_the_living_and_some() {
    let mut graph = chain(200);
    // 200 nodes and 199 edges; each that ends leaves one of both.
    for n in 1..=115 {
        graph.remove(ResourceId(n));
    }
    assert_eq!((graph.graph.node_count(), graph.graph.edge_count()), (200, 199));
    graph.remove(ResourceId(116));
    assert_eq!((graph.graph.node_count(), graph.graph.edge_count()), (84, 83));
}

#[test]
fn a_seat_from_before_all_had_gone_is_not_taken_for_one_of_now() {
    let mut graph = chain(2);
    let chosen = |id: u64| Chosen {
        id: ResourceId(id),
        manager: ManagerId(0),
        priority: Priority::Medium,
        stamp: Stamp { turn: 0, shard: 0, number: id },
    };
    let root = Place { manager: ManagerId(0), parent: None, stamp: Stamp { turn: 0, shard: 0, number: 0 } };
    let order = graph.order(&[root], &[chosen(1), chosen(2)], false);
    assert_eq!(graph.seat(ResourceId(2), order.seats[1], order.version), order.seats[1]);
    assert!(!graph.has_grown(order.version));
    for id in [1, 2] {
        graph.remove(ResourceId(id));
    }
    assert_eq!(graph.seat(ResourceId(2), order.seats[1], order.version), Seat::NOWHERE);
    for (dependent, dependency) in [(3, 4), (1, 2)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    assert!(graph.has_grown(order.version));
    assert_eq!(graph.seat(ResourceId(2), order.seats[1], order.version), Seat(3));
}

#[test]
fn a_manager_stands_where_it_does_while_any_edge_across_is_left() {
    let [above, between, below, other] = [1, 2, 3, 4].map(manager);
    let mut graph = Graph::default();
    for (dependent, dependency) in
        [((11, above), (21, between)), ((41, other), (22, between)), ((23, between), (31, below))]
    {
        assert_eq!(across(&mut graph, dependent, dependency), Ok(()));
    }
    // As many edges lead to it as away from it.
    graph.remove(ResourceId(41));
    assert!(across(&mut graph, (32, below), (12, above)).is_err());
    // None leads away.
    graph.remove(ResourceId(23));
    assert!(across(&mut graph, (24, between), (12, above)).is_err());
    // None is left.
    graph.remove(ResourceId(11));
    assert_eq!(across(&mut graph, (24, between), (12, above)), Ok(()));
}
