//! What is ready in a sort, first position first: a set of small numbers as a tree of words, each bit of a word
//! saying whether the word below it holds anything.
//!
//! It gives exactly what a binary heap would, without comparing: everything has its place in the line before the
//! sort begins. One set serves all managers at once, because each has a stretch of the line for itself.

use std::ops::Range;

const BITS: usize = u64::BITS as usize;

/// `levels[0]` has one bit for each position, each further level one bit for each word of the level before it;
/// the last is a single word.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Vec<Vec<u64>>,
}

impl Ready {
    /// An empty set of numbers below `len`.
    pub(crate) fn new(len: usize) -> Ready {
        let mut levels = Vec::new();
        let mut words = len;
        loop {
            words = words.div_ceil(BITS).max(1);
            levels.push(vec![0; words]);
            if words == 1 {
                return Ready { levels };
            }
        }
    }

    /// All numbers below `len`.
    pub(crate) fn full(len: usize) -> Ready {
        let mut ready = Ready::new(len);
        let mut bits = len;
        for level in &mut ready.levels {
            level[..bits / BITS].fill(!0);
            if !bits.is_multiple_of(BITS) {
                level[bits / BITS] = !(!0 << (bits % BITS));
            }
            bits = bits.div_ceil(BITS);
        }
        ready
    }

    /// Whether it is new.
    pub(crate) fn insert(&mut self, position: u32) -> bool {
        let mut at = position as usize;
        let is_new = !self.contains(position);
        for level in &mut self.levels {
            let word = &mut level[at / BITS];
            let known_above = *word != 0;
            *word |= 1 << (at % BITS);
            if known_above {
                break;
            }
            at /= BITS;
        }
        is_new
    }

    pub(crate) fn contains(&self, position: u32) -> bool {
        let at = position as usize;
        self.levels[0][at / BITS] & 1 << (at % BITS) != 0
    }

    /// The lowest number.
    pub(crate) fn first(&self) -> Option<u32> {
        self.first_from(0).map(|first| first as u32)
    }

    /// Takes the lowest number in the range out of the set.
    pub(crate) fn take_first(&mut self, range: Range<u32>) -> Option<u32> {
        let first = self.first_from(range.start as usize).filter(|first| *first < range.end as usize)?;
        self.remove(first as u32);
        Some(first as u32)
    }

    /// Whether it was there.
    #[inline]
    pub(crate) fn remove(&mut self, position: u32) -> bool {
        if !self.contains(position) {
            return false;
        }
        let mut at = position as usize;
        for level in &mut self.levels {
            let word = &mut level[at / BITS];
            *word &= !(1 << (at % BITS));
            if *word != 0 {
                break;
            }
            at /= BITS;
        }
        true
    }

    fn first_from(&self, from: usize) -> Option<usize> {
        let mut at = from;
        for (height, level) in self.levels.iter().enumerate() {
            let rest = level.get(at / BITS)? & (!0 << (at % BITS));
            if rest != 0 {
                let found = at / BITS * BITS + rest.trailing_zeros() as usize;
                let below = self.levels[..height].iter().rev();
                return Some(below.fold(found, |at, level| at * BITS + level[at].trailing_zeros() as usize));
            }
            // Nothing more in this word: the level above knows which of the words after it is not empty.
            at = at / BITS + 1;
        }
        None
    }
}
