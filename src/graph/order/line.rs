//! All units of a teardown in a line, and what follows from it: the sequence, the classes.
//!
//! Where every edge of a single manager's goes down the line, the line is the sequence as it stands: the first that is left
//! waits for nobody. That is so unless something depends on what is newer than itself, since urgency is inherited.

use super::class::Ways;
use super::ready::Ready;
use super::steps::Rows;
use super::tree::Tree;
use super::{Chosen, Link, NONE, Place, ROOT, direct};
use crate::resource::Priority;

const PRIORITIES: usize = 4;

/// All units in one line, so that the ready one that comes first is the first in the line: by manager, then
/// the most urgent, then the newest.
pub(super) struct Line<'a> {
    tree: &'a Tree,
    /// Every unit is the root's own.
    is_flat: bool,
    edges: Edges<'a>,
    /// By unit.
    pub(super) urgency: Vec<Priority>,
    units: Vec<u32>,
    /// By unit.
    position: Vec<u32>,
    /// By place: where its stretch starts; one more, for the end.
    start: Vec<u32>,
}

impl Line<'_> {
    pub(super) fn new<'a>(
        tree: &'a Tree,
        links: &'a [Link],
        lifted: &'a [(u32, u32)],
        chosen: &[Chosen],
        places: &[Place],
    ) -> Line<'a> {
        let edges = Edges { nodes: tree.host.len(), links, lifted };
        let urgency = urgency(tree, edges, chosen);
        let newest = newest(tree, chosen, places);
        let bucket =
            |unit: u32| tree.host[unit as usize] as usize * PRIORITIES + urgency[unit as usize] as usize;
        let mut next = vec![0; tree.parent.len() * PRIORITIES + 1];
        for &unit in &newest {
            next[bucket(unit) + 1] += 1;
        }
        for at in 1..next.len() {
            next[at] += next[at - 1];
        }
        let start = next.iter().copied().step_by(PRIORITIES).collect();
        let mut units = vec![NONE; newest.len()];
        let mut position = vec![NONE; tree.host.len()];
        for unit in newest {
            let next = &mut next[bucket(unit)];
            units[*next as usize] = unit;
            position[unit as usize] = *next;
            *next += 1;
        }
        let is_flat = tree.is_flat();
        Line { tree, is_flat, edges, urgency, units, position, start }
    }

    /// Takes ready units one after the other, the first in its manager's stretch each time; a child manager is
    /// gone through before its parent goes on.
    pub(super) fn sequence(&self) -> Vec<u32> {
        let goes_down =
            |(before, after): (u32, u32)| self.position[before as usize] < self.position[after as usize];
        if self.is_flat && self.edges.iter().all(goes_down) {
            return self.units.clone();
        }
        self.sorted()
    }

    fn sorted(&self) -> Vec<u32> {
        let rows = self.edges.rows();
        let mut waits_for = rows.waits_for().to_vec();
        let mut ready = Ready::new(self.units.len());
        for unit in self.tree.units().filter(|unit| waits_for[*unit] == 0) {
            ready.insert(self.position[unit]);
        }
        let resources = self.tree.resources as u32;
        let mut sequence = Vec::with_capacity(self.tree.resources);
        let mut open = vec![ROOT as u32];
        while let Some(&place) = open.last() {
            let stretch = self.start[place as usize]..self.start[place as usize + 1];
            let ended = match ready.take_first(stretch).map(|position| self.units[position as usize]) {
                Some(child) if child >= resources => {
                    open.push(child - resources);
                    continue;
                }
                Some(resource) => {
                    sequence.push(resource);
                    resource
                }
                None => {
                    open.pop();
                    resources + place
                }
            };
            for &unit in rows.followers(ended) {
                waits_for[unit as usize] -= 1;
                if waits_for[unit as usize] == 0 {
                    ready.insert(self.position[unit as usize]);
                }
            }
        }
        debug_assert_eq!(
            sequence.len(),
            self.tree.units().filter(|unit| *unit < self.tree.resources).count()
        );
        sequence
    }

    pub(super) fn class(&self) -> Vec<u32> {
        let resources = &self.urgency[..self.tree.resources];
        if self.is_flat && resources.iter().all(|urgency| *urgency == resources[0]) {
            return vec![0; self.tree.resources];
        }
        let mut ways = Ways::new();
        let mut of_place = vec![Ways::ROOT; self.tree.parent.len()];
        let mut of_resource = vec![None; self.tree.resources];
        for place in 1..self.tree.parent.len() {
            let unit = self.tree.resources + place;
            if self.tree.host[unit] != NONE {
                of_place[place] = ways.step(of_place[self.tree.parent[place] as usize], self.urgency[unit]);
            }
        }
        for unit in self.tree.units().take_while(|unit| *unit < self.tree.resources) {
            of_resource[unit] = Some(ways.step(of_place[self.tree.host[unit] as usize], self.urgency[unit]));
        }
        ways.ranks(&of_resource)
    }
}

/// What ends before what, among units.
#[derive(Clone, Copy)]
struct Edges<'a> {
    nodes: usize,
    links: &'a [Link],
    lifted: &'a [(u32, u32)],
}

impl<'a> Edges<'a> {
    fn iter(self) -> impl Iterator<Item = (u32, u32)> + Clone + use<'a> {
        direct(self.links).chain(self.lifted.iter().copied())
    }

    fn rows(self) -> Rows {
        Rows::new(self.nodes, self.iter())
    }
}

/// The units that have a part, newest first.
fn newest(tree: &Tree, chosen: &[Chosen], places: &[Place]) -> Vec<u32> {
    let stamp = |unit: usize| match unit.checked_sub(tree.resources) {
        None => chosen[unit].stamp,
        Some(place) => places[place].stamp,
    };
    // What one thread registered comes so.
    if tree.units().is_sorted_by(|one, other| stamp(*one) > stamp(*other)) {
        return tree.units().map(|unit| unit as u32).collect();
    }
    let mut units: Vec<_> = tree.units().map(|unit| (stamp(unit), unit as u32)).collect();
    // The stable sort, for it is linear on what comes sorted, and what comes is usually by age in stretches.
    units.sort_by(|(one, _), (other, _)| other.cmp(one));
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// By unit: first what resources inherit from what they need, in whichever manager; then a manager is as urgent
/// as the most urgent in it; then units inherit from each other.
fn urgency(tree: &Tree, edges: Edges<'_>, chosen: &[Chosen]) -> Vec<Priority> {
    let mut urgency: Vec<Priority> = chosen.iter().map(|chosen| chosen.priority).collect();
    // Without edges between managers the last step does what the first would.
    if edges.links.iter().any(|link| link.lifted.is_some()) {
        let needs = edges.links.iter().map(|link| (link.dependent, link.dependency));
        inherit(|| Rows::new(tree.resources, needs), &mut urgency);
    }
    urgency.resize(tree.host.len(), Priority::Low);
    // Resources first, then children before their parents.
    for unit in (0..tree.resources).chain((tree.resources..tree.host.len()).rev()) {
        if tree.host[unit] != NONE {
            let host = tree.resources + tree.host[unit] as usize;
            urgency[host] = urgency[host].min(urgency[unit]);
        }
    }
    inherit(|| edges.rows(), &mut urgency);
    urgency
}

/// Makes each node as urgent as the most urgent that follows it, at any distance.
fn inherit(rows: impl FnOnce() -> Rows, urgency: &mut [Priority]) {
    if urgency.iter().all(|one| *one == urgency[0]) {
        return;
    }
    let rows = rows();
    let mut waits_for = rows.waits_for().to_vec();
    let mut sorted: Vec<u32> =
        (0..).zip(&waits_for).filter(|(_, count)| **count == 0).map(|(node, _)| node).collect();
    let mut at = 0;
    while let Some(&node) = sorted.get(at) {
        for &follower in rows.followers(node) {
            waits_for[follower as usize] -= 1;
            if waits_for[follower as usize] == 0 {
                sorted.push(follower);
            }
        }
        at += 1;
    }
    for &node in sorted.iter().rev() {
        let inherited = rows.followers(node).iter().map(|follower| urgency[*follower as usize]).min();
        urgency[node as usize] = urgency[node as usize].min(inherited.unwrap_or(Priority::Low));
    }
}
