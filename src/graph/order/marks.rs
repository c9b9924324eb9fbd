//! Numbers noted against nodes or edges of the whole graph, for the few or the many of them that were chosen.

use super::super::map::Map;

/// Up to this share of the whole a map takes less than a vector: an entry of it takes 9 bytes of which at least 7
/// in 16 are in use, one of a vector 4.
const SPARSE: usize = 8;

pub(super) enum Marks {
    /// By place. Zeros cost nothing until they are written to.
    Many(Vec<u32>),
    Few(Map<usize, u32>),
}

impl Marks {
    /// For about `expected` of `all`. Nothing as large as `all` is asked for where few are expected.
    pub(super) fn new(expected: usize, all: usize) -> Marks {
        if expected.saturating_mul(SPARSE) < all {
            Marks::Few(Map::default())
        } else {
            Marks::Many(vec![0; all])
        }
    }

    /// Zero where nothing was noted.
    pub(super) fn get(&self, at: usize) -> u32 {
        match self {
            Marks::Many(marks) => marks[at],
            Marks::Few(marks) => marks.get(&at).copied().unwrap_or(0),
        }
    }

    /// Notes a number; returns the one before.
    pub(super) fn set(&mut self, at: usize, mark: u32) -> u32 {
        match self {
            Marks::Many(marks) => std::mem::replace(&mut marks[at], mark),
            Marks::Few(marks) => marks.insert(at, mark).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_what_was_noted_last_whether_few_or_many_are_expected() {
        assert!(matches!(Marks::new(9, 80), Marks::Few(_)) && matches!(Marks::new(10, 80), Marks::Many(_)));
        for mut marks in [Marks::new(1, 80), Marks::new(80, 80)] {
            assert_eq!((marks.get(7), marks.set(7, 3), marks.get(7)), (0, 0, 3));
            assert_eq!((marks.set(7, 4), marks.get(7), marks.get(6)), (3, 4, 0));
        }
    }
}
