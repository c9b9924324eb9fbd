//! Priority classes: which resources of a concurrent teardown run together, over all managers of the tree.
//!
//! A resource's class is the rank of its *way*: the urgencies met on the way down to it, that of the unit at the
//! root first, its own last. Ways compare from the root down, so that what is in an urgent child comes first
//! as a whole. A way that ends goes on with its last urgency: a resource of the root runs together with those of
//! a child where neither is more urgent, which is so everywhere unless somebody said otherwise.

use crate::resource::Priority;

const NONE: u32 = u32::MAX;
const URGENCIES: [Priority; 4] = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low];

/// All ways that were asked for, with their beginnings in common.
pub(super) struct Ways {
    nodes: Vec<Way>,
}

struct Way {
    last: Option<Priority>,
    longer: [u32; URGENCIES.len()],
}

impl Ways {
    /// The way of the root itself: no urgency yet.
    pub(super) const ROOT: u32 = 0;

    pub(super) fn new() -> Ways {
        Ways { nodes: vec![Way { last: None, longer: [NONE; 4] }] }
    }

    /// The way that goes on from this one with that urgency.
    pub(super) fn step(&mut self, way: u32, urgency: Priority) -> u32 {
        let new = self.nodes.len() as u32;
        let longer = &mut self.nodes[way as usize].longer[urgency as usize];
        if *longer != NONE {
            return *longer;
        }
        *longer = new;
        self.nodes.push(Way { last: Some(urgency), longer: [NONE; 4] });
        new
    }

    /// The ranks of the ways given, from 0 without gaps.
    pub(super) fn ranks(&self, ways: &[Option<u32>]) -> Vec<u32> {
        let full = self.in_full();
        let mut used = vec![false; self.nodes.len()];
        for way in ways.iter().flatten() {
            used[full[*way as usize] as usize] = true;
        }
        let mut rank = vec![0; self.nodes.len()];
        for (next, way) in (0..).zip(self.in_order().into_iter().filter(|way| used[*way as usize])) {
            rank[way as usize] = next;
        }
        ways.iter().map(|way| way.map_or(0, |way| rank[full[way as usize] as usize])).collect()
    }

    /// For each way the longest one that means the same: as long as its last urgency can be repeated.
    fn in_full(&self) -> Vec<u32> {
        let mut full: Vec<u32> = (0..self.nodes.len() as u32).collect();
        // What is longer was made later.
        for (at, way) in self.nodes.iter().enumerate().rev() {
            if let Some(same) = way.repeated() {
                full[at] = full[same as usize];
            }
        }
        full
    }

    /// The ways in full, most urgent first.
    fn in_order(&self) -> Vec<u32> {
        enum Visit {
            Longer(u32),
            Itself(u32),
        }
        let mut order = Vec::new();
        let mut stack = vec![Visit::Longer(Ways::ROOT)];
        while let Some(visit) = stack.pop() {
            let at = match visit {
                Visit::Itself(at) => {
                    order.push(at);
                    continue;
                }
                Visit::Longer(at) => at,
            };
            let way = &self.nodes[at as usize];
            for urgency in URGENCIES.into_iter().rev() {
                let longer = way.longer[urgency as usize];
                if longer != NONE {
                    stack.push(Visit::Longer(longer));
                } else if way.last == Some(urgency) {
                    stack.push(Visit::Itself(at));
                }
            }
        }
        order
    }
}

impl Way {
    fn repeated(&self) -> Option<u32> {
        let same = self.longer[self.last? as usize];
        (same != NONE).then_some(same)
    }
}
