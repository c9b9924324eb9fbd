//! The slab alone against a list, with enough at once that pages come and go.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::registry::slab::{Key, Slab};

#[derive(Clone, Copy, Debug)]
enum Shelve {
    Put { count: usize },
    Remove { which: usize, count: usize },
    Vacate { which: usize },
    PutForUses { uses: u32 },
}

fn shelves() -> impl Strategy<Value = Vec<Shelve>> {
    let which = 0..5_000usize;
    let step = prop_oneof![
        4 => (0..300usize).prop_map(|count| Shelve::Put { count }),
        4 => (which.clone(), 0..400usize).prop_map(|(which, count)| Shelve::Remove { which, count }),
        2 => which.prop_map(|which| Shelve::Vacate { which }),
        1 => (1..300u32).prop_map(|uses| Shelve::PutForUses { uses }),
    ];
    prop::collection::vec(step, 1..40)
}

/// The slab, and a list of what it has to hold.
struct Shelf {
    slab: Slab<u32>,
    held: Vec<(Key, u32)>,
    stale: Vec<Key>,
    next: u32,
}

impl Shelf {
    fn step(&mut self, step: Shelve) {
        match step {
            Shelve::Put { count } => (0..count).for_each(|_| self.put(0)),
            Shelve::PutForUses { uses } => self.put(uses),
            Shelve::Remove { which, count } => {
                for _ in 0..count.min(self.held.len()) {
                    let (key, value) = self.held.swap_remove(which % self.held.len());
                    assert_eq!(self.slab.remove(key), Some(value), "{key:?}");
                    self.stale.push(key);
                }
            }
            Shelve::Vacate { which } if !self.held.is_empty() => {
                let (key, _) = self.held.swap_remove(which % self.held.len());
                self.slab.vacate(key);
                self.stale.push(key);
            }
            Shelve::Vacate { .. } => {}
        }
    }

    /// One more; after so many uses of its slot, if any, of which only the last remains.
    fn put(&mut self, uses: u32) {
        let taken = if uses == 0 { self.slab.occupy() } else { self.slab.occupy_for(uses) };
        let (first, place) = taken.expect("there is room");
        self.next += 1;
        *place = self.next;
        let key = Key { generation: first.generation + uses, ..first };
        self.slab.renew(key);
        if uses > 0 {
            self.stale.push(first);
        }
        self.held.push((key, self.next));
    }

    fn check(&mut self) {
        for &(key, value) in &self.held {
            assert_eq!(self.slab.get(key), Some(&value), "{key:?}");
            assert_eq!(self.slab.at_mut(key.index).map(|(key, value)| (key, *value)), Some((key, value)));
        }
        for &key in &self.stale {
            assert_eq!(self.slab.get(key), None, "{key:?} is of the past");
            assert_eq!(self.slab.remove(key), None, "{key:?} is of the past");
        }
        let pages = (0..).map_while(|page| self.slab.on_page(page));
        let seen: BTreeSet<u32> = pages.flatten().copied().collect();
        let held: BTreeSet<u32> = self.held.iter().map(|(_, value)| *value).collect();
        assert_eq!(seen, held, "its pages show each value");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_slab_holds_what_a_list_would(steps in shelves()) {
        let mut shelf = Shelf { slab: Slab::new(1_000), held: Vec::new(), stale: Vec::new(), next: 0 };
        for step in steps {
            shelf.step(step);
            shelf.check();
        }
    }
}
