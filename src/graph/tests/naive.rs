//! The graph and the order once more, straight from their definitions and as slow as that is: what the real
//! ones are checked against.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{manager, resource};
use crate::graph::{Chosen, LeftOut, Place, Unit, Why};
use crate::id::ResourceId;
use crate::resource::Priority;

/// Managers by number, each with its parent (the first is its own); resources by id, each with its manager.
#[derive(Default, Debug)]
pub(super) struct World {
    pub(super) parents: Vec<usize>,
    pub(super) homes: BTreeMap<u64, usize>,
    pub(super) edges: Vec<(u64, u64)>,
    /// Live resources that have or had an edge.
    pub(super) known: BTreeSet<u64>,
}

impl World {
    /// From the root down to the resource itself.
    fn line(&self, id: u64) -> Vec<Unit> {
        let mut line = vec![resource(id)];
        let mut at = self.homes[&id];
        loop {
            line.push(manager(at as u64));
            if at == 0 {
                line.reverse();
                return line;
            }
            at = self.parents[at];
        }
    }

    /// Where the lines of two different resources part.
    pub(super) fn units(&self, dependent: u64, dependency: u64) -> (Unit, Unit) {
        let pairs = self.line(dependent).into_iter().zip(self.line(dependency));
        pairs.into_iter().find(|(one, other)| one != other).expect("different resources part somewhere")
    }

    pub(super) fn unit_edges(&self) -> BTreeSet<(Unit, Unit)> {
        self.edges.iter().map(|(dependent, dependency)| self.units(*dependent, *dependency)).collect()
    }

    /// Whether a new edge would close a circle of units.
    pub(super) fn closes_circle(&self, dependent: u64, dependency: u64) -> bool {
        if dependent == dependency {
            return true;
        }
        let (above, below) = self.units(dependent, dependency);
        let edges = self.unit_edges();
        let mut reached = BTreeSet::from([below]);
        loop {
            let next: Vec<Unit> = edges
                .iter()
                .filter(|(from, to)| reached.contains(from) && !reached.contains(to))
                .map(|(_, to)| *to)
                .collect();
            if next.is_empty() {
                return reached.contains(&above);
            }
            reached.extend(next);
        }
    }

    pub(super) fn connect(&mut self, dependent: u64, dependency: u64) {
        if !self.edges.contains(&(dependent, dependency)) {
            self.edges.push((dependent, dependency));
        }
        self.known.extend([dependent, dependency]);
    }

    pub(super) fn remove(&mut self, id: u64) -> BTreeSet<ResourceId> {
        let needed: Vec<u64> = self.dependencies(id).iter().map(|id| id.0).collect();
        self.edges.retain(|(dependent, dependency)| *dependent != id && *dependency != id);
        self.homes.remove(&id);
        self.known.remove(&id);
        needed.into_iter().filter(|id| self.dependents(*id).is_empty()).map(ResourceId).collect()
    }

    pub(super) fn dependents(&self, id: u64) -> BTreeSet<ResourceId> {
        self.edges
            .iter()
            .filter(|(_, dependency)| *dependency == id)
            .map(|(one, _)| ResourceId(*one))
            .collect()
    }

    pub(super) fn dependencies(&self, id: u64) -> BTreeSet<ResourceId> {
        self.edges.iter().filter(|(dependent, _)| *dependent == id).map(|(_, one)| ResourceId(*one)).collect()
    }
}

/// What a teardown does, by definition.
pub(super) struct Naive<'a> {
    world: &'a World,
    places: &'a [Place],
    chosen: &'a [Chosen],
    pub(super) left_out: Vec<LeftOut>,
    urgencies: BTreeMap<Unit, Priority>,
}

impl Naive<'_> {
    pub(super) fn new<'a>(
        world: &'a World,
        places: &'a [Place],
        chosen: &'a [Chosen],
        force: bool,
    ) -> Naive<'a> {
        let mut naive = Naive { world, places, chosen, left_out: Vec::new(), urgencies: BTreeMap::new() };
        if !force {
            naive.leave_out();
        }
        naive.find_urgencies();
        naive
    }

    fn leave_out(&mut self) {
        let all: BTreeSet<ResourceId> = self.chosen.iter().map(|chosen| chosen.id).collect();
        let mut left = BTreeSet::new();
        loop {
            let held = |id: &ResourceId| {
                self.world.dependents(id.0).iter().any(|other| !all.contains(other) || left.contains(other))
            };
            let now: BTreeSet<ResourceId> = all.iter().copied().filter(held).collect();
            if now == left {
                break;
            }
            left = now;
        }
        for (index, chosen) in (0..).zip(self.chosen).filter(|(_, chosen)| left.contains(&chosen.id)) {
            let dependents = self.world.dependents(chosen.id.0);
            let outside: Vec<_> = dependents.difference(&all).copied().collect();
            let behind = dependents.intersection(&left).copied().collect();
            let why = if outside.is_empty() { Why::Behind(behind) } else { Why::Outside(outside) };
            self.left_out.push(LeftOut { index, why });
        }
    }

    pub(super) fn part(&self) -> Vec<&Chosen> {
        let left = |index| self.left_out.iter().any(|left| left.index == index);
        (0..).zip(self.chosen).filter(|(index, _)| !left(*index)).map(|(_, chosen)| chosen).collect()
    }

    fn edges(&self) -> Vec<(u64, u64)> {
        let part: BTreeSet<u64> = self.part().iter().map(|chosen| chosen.id.0).collect();
        let inside = |(one, other): &&(u64, u64)| part.contains(one) && part.contains(other);
        self.world.edges.iter().filter(inside).copied().collect()
    }

    /// From the unit below the teardown's root down to the resource itself.
    fn way(&self, id: ResourceId) -> Vec<Unit> {
        let line = self.world.line(id.0);
        let root = line.iter().position(|unit| *unit == Unit::Manager(self.places[0].manager));
        line[root.expect("chosen below the root") + 1..].to_vec()
    }

    fn find_urgencies(&mut self) {
        let part = self.part();
        let mut own: BTreeMap<Unit, Priority> =
            part.iter().map(|chosen| (Unit::Resource(chosen.id), chosen.priority)).collect();
        let edges = self.edges();
        inherit(&mut own, edges.iter().map(|(one, other)| (resource(*one), resource(*other))).collect());
        let mut units = own.clone();
        for chosen in part {
            let urgency = own[&Unit::Resource(chosen.id)];
            for unit in self.way(chosen.id) {
                let known = units.entry(unit).or_insert(urgency);
                *known = urgency.min(*known);
            }
        }
        inherit(&mut units, edges.iter().map(|(one, other)| self.world.units(*one, *other)).collect());
        self.urgencies = units;
    }

    pub(super) fn urgency(&self, chosen: &Chosen) -> Priority {
        self.urgencies.get(&Unit::Resource(chosen.id)).copied().unwrap_or(chosen.priority)
    }

    /// The rank of each that has a part, in the order of `part`.
    pub(super) fn classes(&self) -> Vec<usize> {
        let ways: Vec<Vec<Priority>> = self
            .part()
            .iter()
            .map(|chosen| self.way(chosen.id).iter().map(|unit| self.urgencies[unit]).collect())
            .collect();
        let mut sorted = ways.clone();
        sorted.sort_by(|one, other| compare(one, other));
        sorted.dedup_by(|one, other| compare(one, other).is_eq());
        let rank = |way: &Vec<Priority>| sorted.iter().position(|other| compare(way, other).is_eq());
        ways.iter().filter_map(rank).collect()
    }

    pub(super) fn sequence(&self) -> Vec<ResourceId> {
        self.sequence_of(Unit::Manager(self.places[0].manager))
    }

    fn sequence_of(&self, parent: Unit) -> Vec<ResourceId> {
        let mut waiting: BTreeSet<Unit> = BTreeSet::new();
        for chosen in self.part() {
            let line = self.world.line(chosen.id.0);
            let at = line.iter().position(|unit| *unit == parent);
            waiting.extend(at.and_then(|at| line.get(at + 1)));
        }
        let edges: Vec<_> = self.edges().iter().map(|(one, other)| self.world.units(*one, *other)).collect();
        let mut sequence = Vec::new();
        while !waiting.is_empty() {
            let ready =
                |unit: &&Unit| !edges.iter().any(|(above, below)| below == *unit && waiting.contains(above));
            let first = waiting
                .iter()
                .filter(ready)
                .min_by_key(|unit| (self.urgencies[*unit], std::cmp::Reverse(self.stamp(**unit))));
            let first = *first.expect("no circle");
            waiting.remove(&first);
            match first {
                Unit::Resource(id) => sequence.push(id),
                Unit::Manager(_) => sequence.extend(self.sequence_of(first)),
            }
        }
        sequence
    }

    fn stamp(&self, unit: Unit) -> crate::id::Stamp {
        let resources = self.chosen.iter().map(|chosen| (Unit::Resource(chosen.id), chosen.stamp));
        let managers = self.places.iter().map(|place| (Unit::Manager(place.manager), place.stamp));
        resources.chain(managers).find(|(known, _)| *known == unit).expect("a unit of this teardown").1
    }

    /// Every pair of which the first has to end before the second starts: all of one unit before all of the
    /// other, for each edge, and what follows from these pairs.
    pub(super) fn before(&self) -> BTreeSet<(ResourceId, ResourceId)> {
        let part = self.part();
        let within = |unit: Unit| {
            part.iter().map(|one| one.id).filter(move |id| self.world.line(id.0).contains(&unit))
        };
        let mut before: BTreeSet<_> = BTreeSet::new();
        for (dependent, dependency) in self.edges() {
            let (above, below) = self.world.units(dependent, dependency);
            before.extend(within(above).flat_map(|one| within(below).map(move |other| (one, other))));
        }
        for middle in &part {
            let ahead: Vec<_> = part.iter().filter(|one| before.contains(&(one.id, middle.id))).collect();
            let after: Vec<_> = part.iter().filter(|one| before.contains(&(middle.id, one.id))).collect();
            before.extend(ahead.iter().flat_map(|one| after.iter().map(|other| (one.id, other.id))));
        }
        before
    }
}

/// Element by element; a shorter one goes on with its last.
fn compare(one: &[Priority], other: &[Priority]) -> Ordering {
    let longest = one.len().max(other.len());
    let full = |way: &[Priority]| -> Vec<Priority> {
        let last = way.last().copied();
        way.iter().copied().chain(last.into_iter().cycle()).take(longest).collect()
    };
    full(one).cmp(&full(other))
}

fn inherit(urgencies: &mut BTreeMap<Unit, Priority>, edges: Vec<(Unit, Unit)>) {
    // After as many rounds as there are edges the longest way has been gone.
    for _ in 0..edges.len() {
        for (above, below) in &edges {
            let urgency = urgencies[above].min(urgencies[below]);
            urgencies.insert(*above, urgency);
        }
    }
}
