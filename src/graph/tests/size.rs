//! Long chains and wide hubs: each test ends in a moment, or its watchdog says that something grew with the
//! square or went down a stack.

use std::sync::mpsc;
use std::time::Duration;

use super::{across, ids, manager, needs, resource};
use crate::graph::{Chosen, Edge, Graph, Order, Place};
use crate::id::{ManagerId, ResourceId, Stamp};
use crate::resource::Priority;

/// Runs the body on a thread of its own and fails unless it ends in time.
fn watched(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        done.send(())
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after a minute"),
        // It ended, well or not.
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(sent) => assert_eq!(sent, Ok(())),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

fn stamp(number: u64) -> Stamp {
    Stamp { turn: 0, shard: 0, number }
}

fn root() -> Place {
    Place { manager: ManagerId(0), parent: None, stamp: stamp(0) }
}

fn chosen(id: u64, manager: u64, priority: Priority) -> Chosen {
    Chosen { id: ResourceId(id), manager: ManagerId(manager), priority, stamp: stamp(id) }
}

fn order_all(graph: &Graph, resources: std::ops::Range<u64>) -> Order {
    let mut all: Vec<Chosen> = resources.map(|id| chosen(id, 0, Priority::Medium)).collect();
    // Otherwise there would be nothing to inherit.
    if let Some(last) = all.last_mut() {
        last.priority = Priority::Critical;
    }
    graph.order(&[root()], &all, false)
}

const CHAIN: u64 = 100_000;
const HUB: u64 = 100_000;

#[test]
fn a_chain_of_a_hundred_thousand_made_from_its_end_is_checked_ordered_and_taken_down() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 1..CHAIN {
            assert_eq!(needs(&mut graph, id, id - 1), Ok(()));
        }
        assert_eq!(graph.validate(), Ok(()));
        let order = order_all(&graph, 0..CHAIN);
        assert!(order.sequence.iter().copied().eq((0..CHAIN as u32).rev()));
        for id in (1..CHAIN).rev() {
            assert_eq!(graph.remove(ResourceId(id)), ids([id - 1]));
        }
    });
}

#[test]
fn a_chain_of_a_hundred_thousand_made_from_its_head_is_checked_ordered_and_taken_down_from_below() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 1..CHAIN {
            assert_eq!(needs(&mut graph, id - 1, id), Ok(()));
        }
        assert_eq!(graph.validate(), Ok(()));
        let order = order_all(&graph, 0..CHAIN);
        assert!(order.sequence.iter().copied().eq(0..CHAIN as u32));
        assert!(order.urgency.iter().all(|urgency| *urgency == Priority::Critical));
        for id in (1..CHAIN).rev() {
            assert_eq!(graph.remove(ResourceId(id)), ids([]));
        }
    });
}

#[test]
fn closing_a_chain_of_a_hundred_thousand_is_refused_with_all_of_it() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 1..CHAIN {
            assert_eq!(needs(&mut graph, id, id - 1), Ok(()));
        }
        let path = needs(&mut graph, 0, CHAIN - 1).expect_err("a circle").path;
        assert_eq!(path[0], resource(0));
        assert!(path[1..].iter().copied().eq((0..CHAIN).rev().map(resource)));
    });
}

#[test]
fn validate_finds_a_circle_of_a_hundred_thousand() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 1..CHAIN {
            assert_eq!(needs(&mut graph, id, id - 1), Ok(()));
        }
        let (from, to) = (graph.node(resource(0)), graph.node(resource(CHAIN - 1)));
        graph.graph.add_edge(from, to, Edge::Needs);
        assert_eq!(graph.validate().expect_err("a circle").path.len() as u64, CHAIN + 1);
    });
}

#[test]
fn what_a_hub_holds_up_goes_oldest_first_in_a_moment() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 1..=HUB {
            assert_eq!(needs(&mut graph, id, 0), Ok(()));
        }
        for id in 1..HUB {
            assert_eq!(graph.remove(ResourceId(id)), ids([]));
            assert!(graph.has_dependents(ResourceId(0)));
        }
        assert_eq!(graph.remove(ResourceId(HUB)), ids([0]));
    });
}

#[test]
fn what_needs_a_hundred_thousand_is_connected_ordered_and_outlived_in_a_moment() {
    watched(|| {
        let mut graph = Graph::default();
        // All stand in the graph already and something needs the hub, so that nothing is known without a look.
        let (hub, above, below) = (HUB, HUB + 1, HUB + 2);
        assert_eq!(needs(&mut graph, above, hub), Ok(()));
        for id in 0..HUB {
            assert_eq!(needs(&mut graph, id, below), Ok(()));
            assert_eq!(needs(&mut graph, hub, id), Ok(()));
        }
        let order = order_all(&graph, 0..HUB + 3);
        assert_eq!(order.sequence[..2], [above as u32, hub as u32]);
        for id in 0..HUB {
            assert_eq!(graph.remove(ResourceId(id)), if id + 1 < HUB { ids([]) } else { ids([below]) });
        }
        assert_eq!(graph.remove(ResourceId(above)), ids([hub]));
    });
}

#[test]
fn two_large_managers_one_above_the_other_are_ordered_in_a_moment() {
    watched(|| {
        let mut graph = Graph::default();
        for id in 0..HUB {
            assert_eq!(across(&mut graph, (id, manager(1)), (HUB + id, manager(2))), Ok(()));
        }
        let child = |id| Place { manager: ManagerId(id), parent: Some(ManagerId(0)), stamp: stamp(id) };
        let all: Vec<Chosen> = (0..2 * HUB).map(|id| chosen(id, 1 + id / HUB, Priority::Medium)).collect();
        let order = graph.order(&[root(), child(1), child(2)], &all, false);
        assert!(order.sequence[..HUB as usize].iter().all(|index| u64::from(*index) < HUB));
        assert_eq!(order.steps.len() as u64, 2 * HUB + 4);
        let edges: usize = (0..order.steps.len() as u32).map(|node| order.steps.followers(node).len()).sum();
        assert_eq!(edges as u64, 4 * HUB + 1, "two for each resource, and one between the managers");
    });
}

#[test]
fn managers_within_managers_ten_thousand_deep_are_ordered_from_the_newest_in() {
    watched(|| {
        const DEPTH: u64 = 10_000;
        let place = |id: u64| Place {
            manager: ManagerId(id),
            parent: id.checked_sub(1).map(ManagerId),
            stamp: stamp(id),
        };
        let places: Vec<Place> = (0..DEPTH).map(place).collect();
        // The resource of each manager is older than the child in it.
        let all: Vec<Chosen> = (0..DEPTH).map(|id| chosen(id, id, Priority::Low)).collect();
        let order = Graph::default().order(&places, &all, false);
        assert!(order.sequence.iter().copied().eq((0..DEPTH as u32).rev()));
        assert!(order.class.iter().all(|class| *class == 0));
    });
}
