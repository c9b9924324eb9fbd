//! Teardowns of random graphs with `concurrency(n)`: no order is exact any more, but every declared one holds.

use std::fmt;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Duration;

use castoff::{ManagerConfig, Priority, ResourceManager};
use proptest::collection::vec;
use proptest::prelude::*;

use super::history::{Cleans, Ending, Filter, Profile, awaits};
use super::naive::{Naive, Unit};
use super::outcome::{Comparison, label};
use crate::storm::quiet::ON_PURPOSE;
use crate::storm::watchdog::Watchdog;

/// Resources in a root manager, a child of it and a child of that one, each needing some of the earlier.
#[derive(Clone)]
pub(crate) struct Graph {
    managers: usize,
    concurrency: usize,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    manager: usize,
    needs: Vec<usize>,
    priority: Priority,
    ending: Ending,
    awaits: bool,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} managers, concurrency {}", self.managers, self.concurrency)?;
        self.nodes.iter().try_for_each(|node| write!(f, "\n  {node:?}"))
    }
}

pub(crate) fn graphs() -> impl Strategy<Value = Graph> {
    let priority = prop_oneof![
        4 => Just(Priority::Medium), 1 => Just(Priority::Low), 1 => Just(Priority::High), 1 => Just(Priority::Critical)
    ];
    let ending = prop_oneof![6 => Just(Ending::Ends), 1 => Just(Ending::Fails), 1 => Just(Ending::Panics)];
    let node = (0_usize..3, vec(0_usize..24, 0..=3), priority, ending, awaits()).prop_map(
        |(manager, needs, priority, ending, awaits)| Node { manager, needs, priority, ending, awaits },
    );
    (prop_oneof![2 => Just(1_usize), 1 => 2_usize..=3], 1_usize..=4, vec(node, 1..=24))
        .prop_map(|(managers, concurrency, nodes)| Graph { managers, concurrency, nodes })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    Start(usize),
    End(usize),
}

#[derive(Clone, Default)]
struct Moments(Arc<Mutex<Vec<Moment>>>);

impl Moments {
    fn note(&self, moment: Moment) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }

    fn cleanup(&self, resource: usize, ending: Ending) -> Result<(), String> {
        self.note(Moment::Start(resource));
        // The others get their chance to start too early, or to be too many.
        (0..5).for_each(|_| std::thread::yield_now());
        self.note(Moment::End(resource));
        match ending {
            Ending::Ends => Ok(()),
            Ending::Fails => Err(super::probe::failure(resource)),
            Ending::Panics => panic!("{}", super::probe::failure(resource)),
        }
    }
}

/// Registers a graph, tears it down, and checks the moments and the report.
pub(crate) fn tear_down(graph: &Graph) -> Result<(), String> {
    let root = ResourceManager::isolated("m0", ManagerConfig::default());
    let mut handles = vec![root.clone()];
    let mut naive = Naive::new();
    for manager in 1..graph.managers {
        naive.child(manager - 1);
        handles.push(handles[manager - 1].child(format!("m{manager}")));
    }
    let moments = Moments::default();
    let mut guards = Vec::new();
    for node in &graph.nodes {
        let resource = modelled(&mut naive, node, graph.managers);
        let known = &naive.resources[resource];
        let registration = handles[known.manager]
            .resource(label(resource))
            .priority(node.priority)
            .depends_on_all(known.needs.iter().map(|&on| &guards[on]));
        let (moments, ending) = (moments.clone(), node.ending);
        let cleanup = super::probe::cleanup(move || moments.cleanup(resource, ending), node.awaits);
        let guard = registration.with_cleanup(cleanup);
        guards.push(guard.map_err(|refused| format!("r{resource}: {refused}"))?);
    }

    let plan = naive.plan(0, &Filter::default());
    let report = root.teardown().concurrency(graph.concurrency).run();
    let moments = moments.0.lock().unwrap_or_else(PoisonError::into_inner);
    check(graph, &naive, &plan.order, &moments)
        .map_err(|difference| format!("{difference}\nin {moments:?}"))?;
    let ids: Vec<_> = guards.iter().map(|guard| Some(guard.into())).collect();
    Comparison { report: &report, plan: &plan, naive: &naive, ids: &ids }.check_unordered()?;
    super::outcome::same("resource_count() at the end", &root.resource_count(), &0)
}

/// Notes a node in the naive model. Dependencies that would make a cycle of managers are left out.
fn modelled(naive: &mut Naive, node: &Node, managers: usize) -> usize {
    let earlier = naive.resources.len();
    let needs: Vec<usize> = node.needs.iter().filter(|_| earlier > 0).map(|need| need % earlier).collect();
    let profile = Profile {
        category: castoff::Category::Event,
        priority: Some(node.priority),
        tags: Vec::new(),
        ending: node.ending,
        cleans: Cleans::Always,
        awaits: node.awaits,
    };
    let resource = naive.register(node.manager % managers, needs, profile);
    if naive.has_cycle() {
        naive.resources[resource].needs.clear();
    }
    resource
}

fn check(graph: &Graph, naive: &Naive, order: &[usize], moments: &[Moment]) -> Result<(), String> {
    for &resource in order {
        for moment in [Moment::Start(resource), Moment::End(resource)] {
            let times = moments.iter().filter(|&&seen| seen == moment).count();
            super::outcome::same(&format!("times of {moment:?}"), &times, &1)?;
        }
    }
    check_limit(graph.concurrency, moments)?;
    if graph.concurrency == 1 {
        let starts = moments
            .iter()
            .filter_map(|moment| if let Moment::Start(one) = moment { Some(*one) } else { None });
        super::outcome::same("the order of one at a time", starts.collect::<Vec<_>>().as_slice(), order)?;
    }
    for (dependent, dependency) in naive.edges() {
        let (before, after) = (naive.resources_in(dependent), naive.resources_in(dependency));
        check_apart(&before, &after, moments)
            .map_err(|pair| format!("{pair}: {dependent:?} needs {dependency:?}"))?;
    }
    if graph.managers == 1 { check_classes(naive, order, moments) } else { Ok(()) }
}

fn check_limit(limit: usize, moments: &[Moment]) -> Result<(), String> {
    let mut running = 0;
    for moment in moments {
        match moment {
            Moment::Start(_) => running += 1,
            Moment::End(_) => running -= 1,
        }
        if running > limit {
            return Err(format!("more than {limit} run at once, at {moment:?}"));
        }
    }
    Ok(())
}

/// Every one of `before` has ended when the first of `after` starts.
fn check_apart(before: &[usize], after: &[usize], moments: &[Moment]) -> Result<(), String> {
    let at = |moment: Moment| moments.iter().position(|&seen| seen == moment);
    for &first in before {
        for &second in after {
            if at(Moment::End(first)) > at(Moment::Start(second)) {
                return Err(format!("r{second} started before r{first} had ended"));
            }
        }
    }
    Ok(())
}

/// Priority class by priority class: the next begins when nothing of the one before it is left.
fn check_classes(naive: &Naive, order: &[usize], moments: &[Moment]) -> Result<(), String> {
    let edges = naive.edges();
    let class = |one: usize| naive.urgency(Unit::Resource(one), order, &edges);
    for &one in order {
        let less_urgent: Vec<usize> =
            order.iter().copied().filter(|&other| class(other) > class(one)).collect();
        check_apart(&[one], &less_urgent, moments).map_err(|pair| format!("{pair}, which is more urgent"))?;
    }
    Ok(())
}

#[test]
fn as_many_cleanups_as_allowed_run_at_once() {
    let _watchdog = Watchdog::new("as_many_cleanups_as_allowed_run_at_once", Duration::from_secs(60));
    let manager = ResourceManager::isolated("together", ManagerConfig::default());
    let all_are_here = Arc::new(Barrier::new(4));
    let meet = || {
        let all_are_here = Arc::clone(&all_are_here);
        manager.guard("waits for three others", move || {
            all_are_here.wait();
        })
    };
    let _guards = [meet(), meet(), meet(), meet()];
    let report = manager.teardown().concurrency(4).run();
    assert!(report.is_success(), "{report}");
    assert_eq!(report.cleaned(), 4);
}

#[test]
fn a_broken_order_is_seen() {
    use Moment::{End, Start};
    let overlapping = [Start(0), Start(1), End(0), End(1)];
    assert!(check_apart(&[0], &[1], &overlapping).is_err());
    assert!(check_apart(&[0], &[1], &[Start(0), End(0), Start(1), End(1)]).is_ok());
    assert!(check_limit(1, &overlapping).is_err());
    assert!(check_limit(2, &overlapping).is_ok());
    assert!(!super::probe::failure(1).is_empty() && super::probe::failure(1).starts_with(ON_PURPOSE));
}
