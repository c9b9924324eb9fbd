//! The managers of a teardown as they hold each other, and the steps that follow from it.

use super::steps::Rows;
use super::{Chosen, Link, NONE, Place, ROOT, direct};
use crate::graph::map::Map;
use crate::id::ManagerId;

/// The managers, and which of them holds what.
pub(super) struct Tree {
    pub(super) resources: usize,
    /// By unit: the manager that orders it. [`NONE`] for what has no part: the left out, managers with nothing
    /// chosen in them, and the root.
    pub(super) host: Vec<u32>,
    /// By place; the root's is itself.
    pub(super) parent: Vec<u32>,
    pub(super) place_of: Map<ManagerId, u32>,
}

impl Tree {
    pub(super) fn new(places: &[Place], chosen: &[Chosen], part: &[bool]) -> Tree {
        let resources = chosen.len();
        let place_of: Map<ManagerId, u32> = places.iter().map(|place| place.manager).zip(0..).collect();
        let find = |id: &ManagerId| {
            let place = place_of.get(id).copied();
            debug_assert!(place.is_some(), "{id:?} is not in the subtree");
            place.unwrap_or(ROOT as u32)
        };
        let mut parent = vec![ROOT as u32; places.len().max(1)];
        for (place, parent) in places.iter().zip(&mut parent).skip(1) {
            *parent = place.parent.as_ref().map_or(ROOT as u32, find);
        }
        let mut host = vec![NONE; resources + parent.len()];
        for (index, chosen) in chosen.iter().enumerate().filter(|(index, _)| part[*index]) {
            host[index] = find(&chosen.manager);
        }
        let mut inhabited = vec![false; parent.len()];
        for &place in host[..resources].iter().filter(|place| **place != NONE) {
            inhabited[place as usize] = true;
        }
        for place in (1..parent.len()).rev() {
            inhabited[parent[place] as usize] |= inhabited[place];
        }
        for place in (1..parent.len()).filter(|place| inhabited[*place]) {
            host[resources + place] = parent[place];
        }
        Tree { resources, host, parent, place_of }
    }

    /// Whether no child manager has a part.
    pub(super) fn is_flat(&self) -> bool {
        self.host[self.resources..].iter().all(|host| *host == NONE)
    }

    /// The units that have a part.
    pub(super) fn units(&self) -> impl Iterator<Item = usize> {
        (0..self.host.len()).filter(|unit| self.host[*unit] != NONE)
    }

    /// What a teardown runs. A child manager that takes part in a lifted edge gets two virtual nodes: all that is
    /// in it comes after the one and before the other, and the edge is between these. Of gates within gates
    /// only the nearest is linked to a resource, so that depth costs nothing.
    pub(super) fn steps(&self, links: &[Link], lifted: &[(u32, u32)]) -> Rows {
        let resources = self.resources as u32;
        let mut gate = vec![NONE; self.parent.len()];
        let mut nodes = resources;
        for unit in
            lifted.iter().flat_map(|(above, below)| [*above, *below]).filter(|unit| *unit >= resources)
        {
            let gate = &mut gate[(unit - resources) as usize];
            if *gate == NONE {
                *gate = nodes;
                nodes += 2;
            }
        }
        let mut around = Vec::new();
        let mut nearest = vec![NONE; self.parent.len()];
        for place in 0..self.parent.len() {
            let outer = nearest[self.parent[place] as usize];
            nearest[place] = if gate[place] == NONE { outer } else { gate[place] };
            if gate[place] != NONE && outer != NONE {
                around.extend([(outer, gate[place]), (gate[place] + 1, outer + 1)]);
            }
        }
        if nodes > resources {
            for unit in self.units().take_while(|unit| *unit < self.resources) {
                let gate = nearest[self.host[unit] as usize];
                if gate != NONE {
                    around.extend([(gate, unit as u32), (unit as u32, gate + 1)]);
                }
            }
        }
        let begin = |unit: u32| unit.checked_sub(resources).map_or(unit, |place| gate[place as usize]);
        let end = |unit: u32| unit.checked_sub(resources).map_or(unit, |place| gate[place as usize] + 1);
        let between = lifted.iter().map(|(above, below)| (end(*above), begin(*below)));
        Rows::new(nodes as usize, direct(links).chain(between).chain(around.iter().copied()))
    }
}
