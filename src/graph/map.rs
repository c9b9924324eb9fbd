//! Maps keyed by ids: they are numbers of our own making, so a multiplication does for a hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Nobody outside the process chooses an id, so the default hasher's defence against chosen keys would defend
/// against nobody, and each look-up would pay for it.
#[derive(Clone, Copy, Default)]
pub(super) struct IdHasher(u64);

impl IdHasher {
    fn mix(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: spreads runs of consecutive numbers (Knuth, TAOCP volume 3, 6.4).
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // A product's high bits are its good ones; the table takes its buckets from the low ones.
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.mix(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    // What the derived `Hash` of an enum writes first.
    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }
}
