//! The naive model's own tests: the sentences of the semantics, by hand.

use castoff::{Category, Priority};

use super::history::{Cleans, Ending, Filter, Profile};
use super::naive::{Naive, State};

fn profile(priority: Priority) -> Profile {
    Profile {
        category: Category::Event,
        priority: Some(priority),
        tags: Vec::new(),
        ending: Ending::Ends,
        cleans: Cleans::Always,
        awaits: false,
    }
}

/// Resources of the root, each with its priority and what it needs.
fn model(resources: &[(Priority, &[usize])]) -> Naive {
    let mut naive = Naive::new();
    for (priority, needs) in resources {
        naive.register(0, needs.to_vec(), profile(*priority));
    }
    naive
}

fn order(naive: &Naive) -> Vec<usize> {
    naive.plan(0, &Filter::default()).order
}

use Priority::{Critical, Low, Medium};

#[test]
fn the_newest_goes_first_where_nothing_is_declared() {
    assert_eq!(order(&model(&[(Medium, &[]), (Medium, &[]), (Medium, &[])])), [2, 1, 0]);
}

#[test]
fn a_dependency_beats_a_priority() {
    assert_eq!(order(&model(&[(Critical, &[]), (Low, &[0])])), [1, 0]);
}

#[test]
fn what_stands_before_a_critical_one_is_as_urgent_as_it() {
    assert_eq!(order(&model(&[(Critical, &[]), (Low, &[0]), (Medium, &[])])), [1, 0, 2]);
}

#[test]
fn urgency_is_inherited_from_another_manager_too() {
    let mut naive = model(&[(Critical, &[])]);
    let child = naive.child(0);
    naive.register(child, vec![0], profile(Low));
    naive.register(child, vec![], profile(Medium));
    assert_eq!(order(&naive), [1, 2, 0]);
}

#[test]
fn a_child_is_one_place_as_urgent_as_what_is_in_it_and_as_old_as_itself() {
    let mut naive = model(&[(Medium, &[])]);
    let child = naive.child(0);
    naive.register(0, vec![], profile(Medium));
    naive.register(child, vec![], profile(Medium));
    naive.register(child, vec![], profile(Low));
    assert_eq!(order(&naive), [1, 2, 3, 0]);
    naive.resources[3].profile = profile(Critical);
    assert_eq!(order(&naive), [3, 2, 1, 0]);
}

#[test]
fn a_dependency_across_managers_is_one_of_units_and_may_close_a_cycle_of_them() {
    let mut naive = model(&[(Medium, &[])]);
    let child = naive.child(0);
    naive.register(child, vec![0], profile(Medium));
    naive.register(child, vec![], profile(Low));
    assert!(!naive.has_cycle());
    assert_eq!(order(&naive), [1, 2, 0]);
    // Nothing in the child needs this one, but the child stands before r0, and r0 would stand before the child.
    naive.resources[0].needs.push(2);
    assert!(naive.has_cycle());
}

#[test]
fn a_filter_that_cuts_a_dependency_skips_and_force_does_not() {
    let naive = model(&[(Medium, &[]), (Medium, &[0]), (Medium, &[1])]);
    let but_the_top = Filter { exclude: vec![2], ..Filter::default() };
    let plan = naive.plan(0, &but_the_top);
    assert!(plan.order.is_empty());
    assert_eq!(plan.skipped.iter().map(|skip| skip.resource).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(plan.skipped[0].outside, [2]);
    assert_eq!(plan.skipped[1].behind, [1]);
    let forced = naive.plan(0, &Filter { force: true, ..but_the_top });
    assert!(forced.skipped.is_empty());
    assert_eq!(forced.order, [1, 0]);
}

#[test]
fn an_error_stops_a_teardown_that_asks_for_it() {
    let mut naive = model(&[(Medium, &[]), (Medium, &[]), (Medium, &[])]);
    naive.resources[1].profile.ending = Ending::Panics;
    assert_eq!(naive.plan(0, &Filter { stop_on_error: true, ..Filter::default() }).order, [2, 1]);
    assert_eq!(order(&naive), [2, 1, 0]);
}

#[test]
fn a_playback_refuses_what_ran_in_the_wrong_order_or_twice_or_not_at_all() {
    let naive = model(&[(Medium, &[]), (Medium, &[0])]);
    let follow = |ran: &[usize]| naive.clone().follow(&[1, 0], ran);
    assert_eq!(follow(&[1, 0]), Ok(()));
    assert!(follow(&[0, 1]).is_err());
    assert!(follow(&[1, 0, 0]).is_err());
    assert!(follow(&[1]).is_err());
}

#[test]
fn deferred_resources_run_when_their_last_dependent_goes_the_most_urgent_first() {
    let mut naive = model(&[(Medium, &[]), (Low, &[]), (Critical, &[]), (Medium, &[0, 1, 2])]);
    for deferred in 0..3 {
        naive.resources[deferred].state = State::Deferred;
    }
    assert_eq!(naive.clone().follow(&[3], &[3, 2, 0, 1]), Ok(()));
    assert!(naive.clone().follow(&[3], &[3, 0, 2, 1]).is_err());
    assert!(naive.clone().follow(&[3], &[0, 3, 2, 1]).is_err());
    assert!(naive.clone().follow(&[3], &[3, 2, 0]).is_err());
}
