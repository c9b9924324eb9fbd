//! What a teardown does, as it was ordered: by item, everything that never changes while it runs.

use crate::graph::Order;
use crate::teardown::choose::Item;
use crate::teardown::stretch::SHORTEST;

/// What never changes while a teardown runs.
pub(crate) struct Line {
    pub(crate) order: Order,
    /// By item: its place in the sequence.
    place: Vec<u32>,
    /// What is ready is begun in this order: by class, and then in sequence. Empty where that is the sequence.
    ranks: Vec<u32>,
    /// By item: its place in that. Empty likewise.
    rank: Vec<u32>,
    /// By item: whether its cleanup is asynchronous.
    pub(super) is_async: Vec<bool>,
    /// By item: whether it may be done in a stretch.
    pub(super) is_plain: Vec<bool>,
    pub(super) concurrency: usize,
}

impl Line {
    pub(crate) fn new(order: Order, items: &[Item], concurrency: usize) -> Line {
        let place = places(&order.sequence, items.len());
        // One after the other the sequence holds the classes already.
        let (mut ranks, mut rank) = (Vec::new(), Vec::new());
        if concurrency > 1 {
            ranks = order.sequence.clone();
            ranks.sort_by_key(|index| order.class[*index as usize]);
            rank = places(&ranks, items.len());
        }
        let is_plain = |item: &Item| !item.is_async && !item.has_last_resort && item.limit >= SHORTEST;
        Line {
            order,
            place,
            ranks,
            rank,
            is_async: items.iter().map(|item| item.is_async).collect(),
            is_plain: items.iter().map(is_plain).collect(),
            concurrency: concurrency.max(1),
        }
    }

    pub(super) fn rank(&self, index: u32) -> u32 {
        let rank = if self.rank.is_empty() { &self.place } else { &self.rank };
        rank[index as usize]
    }

    pub(super) fn at_rank(&self, rank: u32) -> u32 {
        let ranks = if self.ranks.is_empty() { &self.order.sequence } else { &self.ranks };
        ranks[rank as usize]
    }

    /// Ranks matter only where several run at once: one after the other, the sequence holds them already.
    pub(super) fn class(&self, index: u32) -> u32 {
        if self.concurrency == 1 { 0 } else { self.order.class[index as usize] }
    }
}

/// By item: where it stands in this line.
fn places(line: &[u32], items: usize) -> Vec<u32> {
    let mut places = vec![0; items];
    for (at, index) in (0..).zip(line) {
        places[*index as usize] = at;
    }
    places
}
