//! The naive model: what castoff means, on one thread, with plain vectors and quadratic loops. It is written to be
//! compared with the documented semantics by eye; nothing in it is fast.
//!
//! 1. A resource is a number, a manager is a number; 0 is the root manager. Nothing is ever removed.
//! 2. `State::Live` and `State::Deferred` are alive: they count, hold their dependencies back, and are selected.
//! 3. What a teardown cleans is said beforehand, by `plan`; what a call did is played back by `follow`.

use std::cmp::Reverse;

use castoff::Priority;

use super::history::{Ending, Filter, Profile};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Refused,
    Live,
    Deferred,
    Cleaned,
    Failed,
    Released,
}

#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) manager: usize,
    pub(crate) born: usize,
    pub(crate) profile: Profile,
    pub(crate) needs: Vec<usize>,
    pub(crate) state: State,
    /// Whether somebody holds its guard, and with it its value.
    pub(crate) held: bool,
}

#[derive(Clone, Debug)]
struct Manager {
    parent: Option<usize>,
    born: usize,
}

/// What has one place in a manager's order: a resource of its own, or a child manager with all that is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Resource(usize),
    Manager(usize),
}

/// A teardown before it runs.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Plan {
    pub(crate) selected: Vec<usize>,
    /// What is cleaned, in order.
    pub(crate) order: Vec<usize>,
    pub(crate) skipped: Vec<Skipped>,
}

/// One that is selected and not cleaned, and why: any of these may hold.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Skipped {
    pub(crate) resource: usize,
    /// Its live dependents outside the selection.
    pub(crate) outside: Vec<usize>,
    /// Its dependents that are skipped themselves.
    pub(crate) behind: Vec<usize>,
    /// An error before its turn stopped the teardown.
    pub(crate) stopped: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) resources: Vec<Resource>,
    managers: Vec<Manager>,
    births: usize,
}

impl Naive {
    pub(crate) fn new() -> Naive {
        Naive { resources: Vec::new(), managers: vec![Manager { parent: None, born: 0 }], births: 1 }
    }

    pub(crate) fn child(&mut self, parent: usize) -> usize {
        let born = self.birth();
        self.managers.push(Manager { parent: Some(parent), born });
        self.managers.len() - 1
    }

    /// A new live resource whose guard is held. The caller looks for cycles and for dependencies that are gone.
    pub(crate) fn register(&mut self, manager: usize, mut needs: Vec<usize>, profile: Profile) -> usize {
        needs.sort_unstable();
        needs.dedup();
        let born = self.birth();
        self.resources.push(Resource { manager, born, profile, needs, state: State::Live, held: true });
        self.resources.len() - 1
    }

    fn birth(&mut self) -> usize {
        self.births += 1;
        self.births
    }

    pub(crate) fn alive(&self, resource: usize) -> bool {
        matches!(self.resources[resource].state, State::Live | State::Deferred)
    }

    /// Those alive in a manager and its children, oldest first.
    pub(crate) fn alive_in(&self, manager: usize) -> Vec<usize> {
        let all = 0..self.resources.len();
        all.filter(|&one| self.alive(one) && self.is_inside(self.resources[one].manager, manager)).collect()
    }

    /// Those that are alive and directly depend on this one.
    pub(crate) fn dependents(&self, resource: usize) -> Vec<usize> {
        let all = 0..self.resources.len();
        all.filter(|&one| self.alive(one) && self.resources[one].needs.contains(&resource)).collect()
    }

    pub(crate) fn is_inside(&self, manager: usize, ancestor: usize) -> bool {
        self.upwards(manager).contains(&ancestor)
    }

    /// The manager itself, its parent, and so on to the root.
    pub(crate) fn upwards(&self, manager: usize) -> Vec<usize> {
        let mut way = vec![manager];
        while let Some(parent) = self.managers[way[way.len() - 1]].parent {
            way.push(parent);
        }
        way
    }

    /// The closest manager that holds both, directly or in children.
    pub(crate) fn common_manager(&self, a: usize, b: usize) -> usize {
        let above_b = self.upwards(self.resources[b].manager);
        let above_a = self.upwards(self.resources[a].manager);
        above_a.into_iter().find(|manager| above_b.contains(manager)).expect("the root holds all")
    }

    /// The unit directly below `manager` that a resource inside it is, or is in.
    fn unit(&self, resource: usize, manager: usize) -> Unit {
        let way = self.upwards(self.resources[resource].manager);
        let position =
            way.iter().position(|&step| step == manager).expect("the resource is inside the manager");
        if position == 0 { Unit::Resource(resource) } else { Unit::Manager(way[position - 1]) }
    }

    /// The dependencies among some resources, lifted to the units directly below one manager. Those that have
    /// a common manager further down or further up belong to that one's order.
    fn lifted(&self, manager: usize, among: &[usize]) -> Vec<(Unit, Unit)> {
        let mut edges = Vec::new();
        for &dependent in among {
            for &dependency in &self.resources[dependent].needs {
                if among.contains(&dependency) && self.common_manager(dependent, dependency) == manager {
                    edges.push((self.unit(dependent, manager), self.unit(dependency, manager)));
                }
            }
        }
        edges
    }

    /// The resource itself, or those alive in the manager.
    pub(crate) fn resources_in(&self, unit: Unit) -> Vec<usize> {
        match unit {
            Unit::Resource(one) => vec![one],
            Unit::Manager(child) => self.alive_in(child),
        }
    }

    /// All lifted dependencies of those alive: what must never have a cycle.
    pub(crate) fn edges(&self) -> Vec<(Unit, Unit)> {
        let alive = self.alive_in(0);
        (0..self.managers.len()).flat_map(|manager| self.lifted(manager, &alive)).collect()
    }

    pub(crate) fn has_cycle(&self) -> bool {
        let mut edges = self.edges();
        loop {
            // An edge whose dependent nobody needs is on no cycle.
            let needed: Vec<Unit> = edges.iter().map(|&(_, dependency)| dependency).collect();
            let before = edges.len();
            edges.retain(|(dependent, _)| needed.contains(dependent));
            if edges.len() == before {
                return !edges.is_empty();
            }
        }
    }
}

/// Teardowns.
impl Naive {
    /// What a teardown of a manager selects, cleans in which order, and skips. What is skipped has no part in the
    /// order. `force` skips nothing; among the selected the dependencies still hold.
    pub(crate) fn plan(&self, manager: usize, filter: &Filter) -> Plan {
        let mut selected = self.alive_in(manager);
        selected.retain(|&one| filter.selects(one, &self.resources[one].profile));
        let mut skipped = if filter.force { Vec::new() } else { self.skipped(&selected) };
        let mut chosen = selected.clone();
        chosen.retain(|&one| skipped.iter().all(|skip| skip.resource != one));
        let mut order = self.order(manager, &chosen);

        let fails = |&one: &usize| self.resources[one].profile.ending != Ending::Ends;
        if let Some(first) = order.iter().position(fails).filter(|_| filter.stop_on_error) {
            skipped.iter_mut().for_each(|skip| skip.stopped = true);
            skipped.extend(order.drain(first + 1..).map(|resource| Skipped {
                resource,
                outside: Vec::new(),
                behind: Vec::new(),
                stopped: true,
            }));
        }
        Plan { selected, order, skipped }
    }

    /// The selected that are behind a dependent outside the selection, or behind one that is skipped.
    fn skipped(&self, selected: &[usize]) -> Vec<Skipped> {
        let mut skipped: Vec<usize> = Vec::new();
        loop {
            let stays = |one: &usize| !selected.contains(one) || skipped.contains(one);
            let more: Vec<usize> = selected
                .iter()
                .copied()
                .filter(|one| !skipped.contains(one) && self.dependents(*one).iter().any(stays))
                .collect();
            if more.is_empty() {
                break;
            }
            skipped.extend(more);
        }
        let because = |&resource: &usize| {
            let (inside, outside): (Vec<_>, Vec<_>) =
                self.dependents(resource).into_iter().partition(|one| selected.contains(one));
            let behind = inside.into_iter().filter(|one| skipped.contains(one)).collect();
            Skipped { resource, outside, behind, stopped: false }
        };
        skipped.iter().map(because).collect()
    }

    /// Again and again the best of the units that nothing left stands before: the most urgent, then the newest.
    fn order(&self, manager: usize, chosen: &[usize]) -> Vec<usize> {
        let edges = self.lifted(manager, chosen);
        let mut waiting: Vec<Unit> = Vec::new();
        for &one in chosen.iter().filter(|&&one| self.is_inside(self.resources[one].manager, manager)) {
            let unit = self.unit(one, manager);
            if !waiting.contains(&unit) {
                waiting.push(unit);
            }
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let held =
                |unit: &Unit| edges.iter().any(|(dependent, on)| on == unit && waiting.contains(dependent));
            let ready = waiting.iter().copied().filter(|unit| !held(unit));
            let next = ready
                .min_by_key(|&unit| (self.urgency(unit, chosen, &edges), Reverse(self.born(unit))))
                .expect("there is no cycle");
            waiting.retain(|&unit| unit != next);
            match next {
                Unit::Resource(one) => order.push(one),
                Unit::Manager(child) => order.extend(self.order(child, chosen)),
            }
        }
        order
    }

    /// As urgent as the resource, or as the most urgent one chosen in the manager, and as all that it stands before.
    pub(crate) fn urgency(&self, unit: Unit, chosen: &[usize], edges: &[(Unit, Unit)]) -> Priority {
        let own = match unit {
            Unit::Resource(one) => self.inherited(one, chosen),
            Unit::Manager(child) => chosen
                .iter()
                .filter(|&&one| self.is_inside(self.resources[one].manager, child))
                .map(|&one| self.inherited(one, chosen))
                .min()
                .expect("a child without anything chosen is no unit"),
        };
        let before = edges.iter().filter(|(dependent, _)| *dependent == unit);
        before.map(|&(_, on)| self.urgency(on, chosen, edges)).fold(own, Priority::min)
    }

    /// As urgent as itself and as all that it needs, in whichever manager.
    fn inherited(&self, resource: usize, chosen: &[usize]) -> Priority {
        let needs = self.resources[resource].needs.iter().filter(|on| chosen.contains(on));
        let own = self.resources[resource].profile.effective_priority();
        needs.map(|&on| self.inherited(on, chosen)).fold(own, Priority::min)
    }

    fn born(&self, unit: Unit) -> usize {
        match unit {
            Unit::Resource(one) => self.resources[one].born,
            Unit::Manager(child) => self.managers[child].born,
        }
    }
}
