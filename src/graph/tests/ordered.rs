//! The order of a teardown, case by case.

use super::{across, ids, manager, needs, resource};
use crate::graph::{Chosen, Graph, LeftOut, Order, Place, Why};
use crate::id::{ManagerId, ResourceId, Stamp};
use crate::resource::Priority::{self, Critical, High, Low, Medium};

fn stamp(number: u64) -> Stamp {
    Stamp { turn: 0, shard: 0, number }
}

/// A manager with its parent, as new as its number says; the root is 0.
fn place(id: u64, parent: u64) -> Place {
    Place { manager: ManagerId(id), parent: (id > 0).then_some(ManagerId(parent)), stamp: stamp(id) }
}

/// A resource with its manager, as new as its number says.
fn chosen(id: u64, manager: u64, priority: Priority) -> Chosen {
    Chosen { id: ResourceId(id), manager: ManagerId(manager), priority, stamp: stamp(id) }
}

/// Medium resources of the root.
fn plain<const N: usize>(ids: [u64; N]) -> Vec<Chosen> {
    ids.map(|id| chosen(id, 0, Medium)).to_vec()
}

fn sequence(order: &Order, chosen: &[Chosen]) -> Vec<u64> {
    order.sequence.iter().map(|index| chosen[*index as usize].id.0).collect()
}

#[test]
fn an_empty_teardown_has_an_empty_order() {
    let order = Graph::default().order(&[place(0, 0)], &[], false);
    assert!(order.sequence.is_empty() && order.class.is_empty() && order.left_out.is_empty());
    assert_eq!(order.steps.len(), 0);
}

#[test]
fn the_newest_goes_first_where_nothing_else_decides() {
    let all = plain([2, 3, 1]);
    assert_eq!(sequence(&Graph::default().order(&[place(0, 0)], &all, false), &all), [3, 2, 1]);
}

#[test]
fn what_stands_in_order_stays_so_and_what_does_not_is_put_in_order() {
    let linked = || {
        let mut graph = Graph::default();
        assert_eq!(needs(&mut graph, 1, 3), Ok(()));
        graph
    };
    let as_they_stand = |graph: &Graph, all: &[Chosen], places: &[Place]| {
        let order = graph.order(places, all, false);
        assert!(order.left_out.is_empty() && order.is_closed);
        assert_eq!(order.urgency, all.iter().map(|one| one.priority).collect::<Vec<Priority>>());
        sequence(&order, all)
    };
    let (root, child) = ([place(0, 0)], [place(0, 0), place(4, 0)]);
    assert_eq!(as_they_stand(&Graph::default(), &plain([3, 2, 1]), &root), [3, 2, 1]);
    assert_eq!(as_they_stand(&Graph::default(), &plain([3, 2, 1]), &child), [3, 2, 1]);
    // Edges of others do not matter.
    assert_eq!(as_they_stand(&linked(), &plain([6, 5, 4]), &root), [6, 5, 4]);
    assert_eq!(as_they_stand(&linked(), &plain([3, 2, 1]), &root), [2, 1, 3]);
    assert_eq!(as_they_stand(&Graph::default(), &plain([3, 1, 2]), &root), [3, 2, 1]);
    let mixed = [chosen(3, 0, Medium), chosen(2, 0, Medium), chosen(1, 0, High)];
    assert_eq!(as_they_stand(&Graph::default(), &mixed, &root), [1, 3, 2]);
    // The child is newer than all of the root's own.
    let within = [chosen(3, 0, Medium), chosen(2, 4, Medium), chosen(1, 0, Medium)];
    assert_eq!(as_they_stand(&Graph::default(), &within, &child), [2, 3, 1]);
}

#[test]
fn the_more_urgent_goes_before_the_newer() {
    let all = [chosen(1, 0, High), chosen(2, 0, Low), chosen(3, 0, Medium), chosen(4, 0, Critical)];
    let order = Graph::default().order(&[place(0, 0)], &all, false);
    assert_eq!(sequence(&order, &all), [4, 1, 3, 2]);
    assert_eq!(order.class, [1, 3, 2, 0]);
}

#[test]
fn a_priority_never_moves_a_resource_past_a_dependency() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    let all = [chosen(1, 0, Low), chosen(2, 0, Critical)];
    assert_eq!(sequence(&graph.order(&[place(0, 0)], &all, false), &all), [1, 2]);
}

#[test]
fn what_stands_before_a_critical_resource_is_as_urgent_as_it() {
    let mut graph = Graph::default();
    // A low cache (1) over a middling store (2) over a critical pool (3), and unrelated work (4).
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(needs(&mut graph, 2, 3), Ok(()));
    let all = [chosen(1, 0, Low), chosen(2, 0, Medium), chosen(3, 0, Critical), chosen(4, 0, High)];
    let order = graph.order(&[place(0, 0)], &all, false);
    assert_eq!(sequence(&order, &all), [1, 2, 3, 4]);
    assert_eq!(order.urgency, [Critical, Critical, Critical, High]);
    assert_eq!(order.class, [0, 0, 0, 1]);
}

#[test]
fn a_dependency_that_was_not_chosen_decides_nothing() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    assert_eq!(needs(&mut graph, 2, 3), Ok(()));
    let all = plain([1, 3]);
    let order = graph.order(&[place(0, 0)], &all[..1], false);
    assert_eq!(sequence(&order, &all), [1]);
    assert!(order.left_out.is_empty());
}

#[test]
fn a_live_dependent_outside_leaves_a_resource_and_what_is_behind_it_out() {
    let mut graph = Graph::default();
    // 1 and 9 need 2, which needs 3; 4 needs 3 as well; 9 is not chosen.
    for (dependent, dependency) in [(1, 2), (9, 2), (2, 3), (4, 3)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    let all = plain([1, 2, 3, 4]);
    let order = graph.order(&[place(0, 0)], &all, false);
    assert_eq!(sequence(&order, &all), [4, 1]);
    let left = [(1, Why::Outside(ids([9]))), (2, Why::Behind(ids([2])))];
    assert_eq!(order.left_out, left.map(|(index, why)| LeftOut { index, why }));
    for (node, part) in (0..).zip([true, false, false, true]) {
        assert_eq!(order.steps.is_part(node), part);
        assert_eq!(order.steps.waits_for()[node as usize], 0);
        assert!(order.steps.followers(node).is_empty());
    }
}

#[test]
fn outside_wins_over_behind() {
    let mut graph = Graph::default();
    for (dependent, dependency) in [(8, 1), (1, 2), (9, 2)] {
        assert_eq!(needs(&mut graph, dependent, dependency), Ok(()));
    }
    let order = graph.order(&[place(0, 0)], &plain([1, 2]), false);
    let left = [(0, Why::Outside(ids([8]))), (1, Why::Outside(ids([9])))];
    assert_eq!(order.left_out, left.map(|(index, why)| LeftOut { index, why }));
}

#[test]
fn a_dependent_that_has_gone_leaves_nothing_out() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    graph.remove(ResourceId(1));
    assert!(graph.order(&[place(0, 0)], &plain([2]), false).left_out.is_empty());
}

#[test]
fn force_leaves_nothing_out_and_still_goes_dependents_first() {
    let mut graph = Graph::default();
    assert_eq!(needs(&mut graph, 9, 1), Ok(()));
    assert_eq!(needs(&mut graph, 1, 2), Ok(()));
    let all = plain([1, 2]);
    let order = graph.order(&[place(0, 0)], &all, true);
    assert!(order.left_out.is_empty());
    assert_eq!(sequence(&order, &all), [1, 2]);
}

#[test]
fn a_child_is_one_stretch_at_the_place_of_its_own_age() {
    let places = [place(0, 0), place(5, 0)];
    // 3 and 7 are the root's; what is in the child is newer than both, and the child between them.
    let all = [chosen(3, 0, Medium), chosen(7, 0, Medium), chosen(10, 5, Medium), chosen(11, 5, Low)];
    let order = Graph::default().order(&places, &all, false);
    assert_eq!(sequence(&order, &all), [7, 10, 11, 3]);
}

#[test]
fn a_child_is_as_urgent_as_the_most_urgent_at_any_depth_in_it() {
    let places = [place(0, 0), place(4, 0), place(5, 4), place(6, 5)];
    let all = [chosen(7, 0, High), chosen(10, 4, Low), chosen(11, 6, Critical)];
    let order = Graph::default().order(&places, &all, false);
    assert_eq!(sequence(&order, &all), [11, 10, 7]);
    assert_eq!(order.urgency, [High, Low, Critical]);
    assert_eq!(order.class, [2, 1, 0], "all of the urgent child before the root's own");
}

#[test]
fn what_stands_before_an_urgent_child_is_as_urgent_as_it() {
    let mut graph = Graph::default();
    let places = [place(0, 0), place(5, 0)];
    // 1 needs the low 10 in the child, where 11 is critical; 2 has nothing to do with it.
    assert_eq!(across(&mut graph, (1, resource(1)), (10, manager(5))), Ok(()));
    let all = [chosen(1, 0, Low), chosen(2, 0, High), chosen(10, 5, Low), chosen(11, 5, Critical)];
    let order = graph.order(&places, &all, false);
    assert_eq!(sequence(&order, &all), [1, 11, 10, 2]);
    assert_eq!(order.urgency, [Critical, High, Low, Critical]);
}

#[test]
fn inside_a_child_the_urgency_of_what_is_needed_elsewhere_decides() {
    let mut graph = Graph::default();
    let places = [place(0, 0), place(5, 0)];
    assert_eq!(across(&mut graph, (10, manager(5)), (1, resource(1))), Ok(()));
    let all = [chosen(1, 0, Critical), chosen(10, 5, Low), chosen(11, 5, Medium)];
    let order = graph.order(&places, &all, false);
    assert_eq!(sequence(&order, &all), [10, 11, 1], "the whole child goes before what one in it needs");
    assert_eq!(order.urgency, [Critical, Critical, Medium]);
}

#[test]
fn equals_of_the_root_and_of_a_child_are_of_one_class() {
    let places = [place(0, 0), place(5, 0), place(6, 5)];
    let all = [chosen(1, 0, Medium), chosen(10, 5, Medium), chosen(11, 6, Medium), chosen(12, 6, Low)];
    assert_eq!(Graph::default().order(&places, &all, false).class, [0, 0, 0, 1]);
    // Not because nothing is before them.
    let all = [chosen(2, 0, Critical), chosen(1, 0, Medium), chosen(10, 5, Medium), chosen(11, 6, Medium)];
    assert_eq!(Graph::default().order(&places, &all, false).class, [0, 1, 1, 1]);
}

#[test]
fn gates_hold_all_of_a_unit_before_all_of_the_next_nested_ones_too() {
    let mut graph = Graph::default();
    // Managers 1 and 2 of the root, 3 in 2; 20 is in 1, and needs 30 in 3; in 2, 40 needs 31 in 3.
    let places = [place(0, 0), place(1, 0), place(2, 0), place(3, 2)];
    assert_eq!(across(&mut graph, (20, manager(1)), (30, manager(2))), Ok(()));
    assert_eq!(across(&mut graph, (40, resource(40)), (31, manager(3))), Ok(()));
    let all = [20, 21, 40, 30, 31].map(|id| chosen(id, [1, 3, 2][(id / 10 - 2) as usize], Medium));
    let order = graph.order(&places, &all, false);
    assert_eq!(sequence(&order, &all), [21, 20, 40, 31, 30]);
    assert_eq!(waves(&order), [vec![0, 1], vec![2], vec![3, 4]]);
    assert_eq!(order.steps.len(), all.len() + 6);
}

#[test]
fn a_unit_has_ended_when_all_units_in_it_have() {
    let mut graph = Graph::default();
    // Manager 1 is the root's, and 2 is in it; 10 and 11 are in 1: 10 needs 30 in the root, 11 needs 20 in 2.
    let places = [place(0, 0), place(1, 0), place(2, 1)];
    assert_eq!(across(&mut graph, (10, manager(1)), (30, resource(30))), Ok(()));
    assert_eq!(across(&mut graph, (11, resource(11)), (20, manager(2))), Ok(()));
    let all = [(10, 1), (11, 1), (20, 2), (30, 0)].map(|(id, manager)| chosen(id, manager, Medium));
    assert_eq!(waves(&graph.order(&places, &all, false)), [vec![0, 1], vec![2], vec![3]]);
}

/// The resources by the round in which a concurrent teardown without a limit would start them; virtual nodes
/// take no time of their own.
fn waves(order: &Order) -> Vec<Vec<u32>> {
    let steps = &order.steps;
    let mut waits_for = steps.waits_for().to_vec();
    let mut round = vec![0; steps.len()];
    let mut free: Vec<u32> = (0..steps.len() as u32).filter(|node| waits_for[*node as usize] == 0).collect();
    let mut waves = Vec::new();
    while let Some(node) = free.pop() {
        let now = round[node as usize];
        if !steps.is_virtual(node) {
            waves.resize(waves.len().max(now + 1), Vec::new());
            waves[now].push(node);
        }
        for follower in steps.followers(node).iter().map(|follower| *follower as usize) {
            round[follower] = round[follower].max(now + usize::from(!steps.is_virtual(node)));
            waits_for[follower] -= 1;
            if waits_for[follower] == 0 {
                free.push(follower as u32);
            }
        }
    }
    waves.iter_mut().for_each(|wave| wave.sort_unstable());
    waves
}
