//! Where entries are kept: a slab with generations that grows without copying and gives memory back.
//!
//! A slot is filled and emptied in place: moving an entry about costs more than all else that a registration does.
//!
//! Invariants:
//! 1. A [`Key`] names one use of one slot: the generations at an index only grow, also while its page is given back.
//!    A slot whose generations are used up is never handed out again.
//! 2. A page is given back when its last entry goes and another page has room, so that an entry that comes and
//!    goes at the edge of a page does not allocate each time.
//! 3. Growing allocates one page and moves nothing. No page is longer than a fifth of those before it (but the
//!    first few), so that little of the memory is unused.

/// Slots of the first pages. Every [`ALIKE`] pages their length doubles, up to [`LARGEST`].
const FIRST: u32 = 32;
const ALIKE: u32 = 4;
const DOUBLINGS: u32 = 7;
const LARGEST: u32 = FIRST << DOUBLINGS;
/// A page is kept for good once a slot of it has come this far: its generations would have to be remembered.
const WORN: u32 = u32::MAX / 2;
const NONE: u32 = u32::MAX;
/// The last generation that is handed out: a slot that is worn out has the one after it, which no key has.
const LAST: u32 = u32::MAX - 1;
/// Bits of an index that name the place on a page.
pub(crate) const PLACE_BITS: u32 = LARGEST.ilog2();
/// Instead of the next free slot: this one is in use.
const TAKEN: u32 = u32::MAX - 1;

/// One use of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: T,
}

#[derive(Debug)]
struct Page<T> {
    /// Empty while the page is given back.
    slots: Box<[Slot<T>]>,
    first_generation: u32,
    used: u32,
    free: u32,
    /// Where this page stands in `roomy`, if it does.
    place: u32,
}

#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Page<T>>,
    /// Pages that have a free slot; the last one is used next.
    roomy: Vec<u32>,
    /// Pages that were given back, or have been since: some of these numbers may be stale.
    vacant: Vec<u32>,
    /// The first generation of a page that is made anew.
    first_generation: u32,
    limit: u32,
}

/// The page and the place on it of an index. A short page leaves indexes out: there are more than enough.
#[inline]
fn page_of(index: u32) -> (usize, usize) {
    ((index >> PLACE_BITS) as usize, (index & (LARGEST - 1)) as usize)
}

#[inline]
fn start_of(page: u32) -> u32 {
    page << PLACE_BITS
}

fn length_of(page: u32) -> u32 {
    FIRST << (page / ALIKE).min(DOUBLINGS)
}

impl<T: Default> Slab<T> {
    /// A slab of so many pages at most.
    pub(crate) const fn new(limit: u32) -> Slab<T> {
        Slab { pages: Vec::new(), roomy: Vec::new(), vacant: Vec::new(), first_generation: 1, limit }
    }

    /// Takes a slot, to be filled in place: it holds a default value. `None` when every index is in use.
    #[inline]
    pub(crate) fn occupy(&mut self) -> Option<(Key, &mut T)> {
        if self.roomy.is_empty() && !self.grow() {
            return None;
        }
        let number = *self.roomy.last()?;
        let page = &mut self.pages[number as usize];
        let at = page.free;
        let slot = &mut page.slots[at as usize];
        page.free = slot.next_free;
        page.used += 1;
        slot.next_free = TAKEN;
        if page.free == NONE {
            page.place = NONE;
            self.roomy.pop();
        }
        Some((Key { index: start_of(number) + at, generation: slot.generation }, &mut slot.value))
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let (page, at) = page_of(index);
        self.pages.get_mut(page)?.slots.get_mut(at).filter(|slot| slot.next_free == TAKEN)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let (page, at) = page_of(key.index);
        let slot = self.pages.get(page)?.slots.get(at)?;
        (slot.generation == key.generation).then_some(&slot.value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (page, at) = page_of(key.index);
        let slot = self.pages.get_mut(page)?.slots.get_mut(at)?;
        (slot.generation == key.generation).then_some(&mut slot.value)
    }

    /// The entry that stands at an index now, with its key.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(Key, &mut T)> {
        self.slot_mut(index).map(|slot| (Key { index, generation: slot.generation }, &mut slot.value))
    }

    /// The same as [`occupy`](Self::occupy) for so many uses one after the other, each with a generation of its own after
    /// the key's.
    pub(crate) fn occupy_for(&mut self, uses: u32) -> Option<(Key, &mut T)> {
        let (key, _) = self.occupy()?;
        if key.generation > LAST - uses {
            self.vacate(key);
            return None;
        }
        self.get_mut(key).map(|value| (key, value))
    }

    /// The slot is in this use of it.
    pub(crate) fn renew(&mut self, key: Key) {
        if let Some(slot) = self.slot_mut(key.index) {
            slot.generation = key.generation;
        }
    }

    /// Every entry of one page. `None` behind the last page.
    pub(crate) fn on_page(&self, page: usize) -> Option<impl Iterator<Item = &T>> {
        let taken = |slot: &Slot<T>| slot.next_free == TAKEN;
        let slots = &self.pages.get(page)?.slots;
        Some(slots.iter().filter(move |slot| taken(slot)).map(|slot| &slot.value))
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let value = std::mem::take(self.get_mut(key)?);
        self.vacate(key);
        Some(value)
    }

    /// Gives a slot up whose value has been emptied in place.
    #[inline]
    pub(crate) fn vacate(&mut self, key: Key) {
        let (number, at) = page_of(key.index);
        let Some(page) = self.pages.get_mut(number) else { return };
        let Some(slot) = page.slots.get_mut(at) else { return };
        if slot.generation != key.generation {
            return;
        }
        page.used -= 1;
        slot.generation += 1;
        if slot.generation > LAST {
            slot.next_free = NONE; // worn out: in no free list, for ever
            return;
        }
        slot.next_free = page.free;
        page.free = at as u32;
        if page.place == NONE {
            page.place = self.roomy.len() as u32;
            self.roomy.push(number as u32);
        }
        if page.used == 0 && (self.roomy.len() > 1 || self.pages.len() > ALIKE as usize) {
            self.emptied(number);
        }
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let Some(number) = self.vacant_page() else { return false };
        let length = length_of(number);
        let page = &mut self.pages[number as usize];
        let generation = page.first_generation;
        let next = |at: u32| if at + 1 < length { at + 1 } else { NONE };
        page.slots =
            (0..length).map(|at| Slot { generation, next_free: next(at), value: T::default() }).collect();
        page.free = 0;
        page.place = self.roomy.len() as u32;
        self.roomy.push(number);
        true
    }

    /// The number of a page without slots: one that was given back, or one more.
    fn vacant_page(&mut self) -> Option<u32> {
        while let Some(number) = self.vacant.pop() {
            if self.pages.get(number as usize).is_some_and(|page| page.slots.is_empty()) {
                return Some(number);
            }
        }
        let number = self.pages.len() as u32;
        if number >= self.limit {
            return None;
        }
        let first_generation = self.first_generation;
        self.pages.push(Page { slots: Box::default(), first_generation, used: 0, free: NONE, place: NONE });
        Some(number)
    }

    /// A page holds nothing any more. It stays if it is the only one with room, unless it is the last of many: a
    /// crowd has come and gone then, and a short page will do.
    #[cold]
    fn emptied(&mut self, number: usize) {
        let only = self.roomy.len() == 1;
        let crowd = self.pages.len() > ALIKE as usize && self.vacant.len() + 1 >= self.pages.len();
        if !only || crowd {
            self.give_back(number);
        }
    }

    fn give_back(&mut self, number: usize) {
        let page = &mut self.pages[number];
        let newest = page.slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
        if newest >= WORN {
            return;
        }
        page.first_generation = newest;
        page.slots = Box::default();
        page.free = NONE;
        let place = std::mem::replace(&mut page.place, NONE) as usize;
        self.roomy.swap_remove(place);
        if let Some(&moved) = self.roomy.get(place) {
            self.pages[moved as usize].place = place as u32;
        }
        self.vacant.push(number as u32);
        self.trim();
    }

    /// Forgets the pages at the end that were given back; later ones begin where the furthest of them was.
    fn trim(&mut self) {
        while let Some(last) = self.pages.pop_if(|page| page.slots.is_empty()) {
            self.first_generation = self.first_generation.max(last.first_generation);
        }
        if self.pages.len() < self.pages.capacity() / 4 {
            let pages = self.pages.len();
            self.vacant.retain(|number| (*number as usize) < pages);
            self.pages.shrink_to(2 * pages);
            self.vacant.shrink_to(2 * pages);
            self.roomy.shrink_to(2 * pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: u32 = 1_000;

    fn put<T: Default>(slab: &mut Slab<T>, value: T) -> Option<Key> {
        let (key, slot) = slab.occupy()?;
        *slot = value;
        Some(key)
    }

    #[test]
    fn a_stale_key_names_nothing_also_after_its_page_was_given_back() {
        let mut slab = Slab::new(PAGES);
        let first: Vec<Key> = (0..1_000).filter_map(|n| put(&mut slab, n)).collect();
        assert_eq!(first.len(), 1_000);
        for key in &first {
            assert!(slab.remove(*key).is_some());
        }
        assert!(slab.pages.len() < 5, "pages were given back");
        let second: Vec<Key> = (0..1_000).filter_map(|n| put(&mut slab, n)).collect();
        assert!(first.iter().all(|key| slab.get(*key).is_none() && !second.contains(key)));
        assert!(second.iter().enumerate().all(|(n, key)| slab.get(*key) == Some(&n)));
    }

    #[test]
    fn a_full_slab_refuses() {
        let mut slab = Slab::new(1);
        for n in 0..FIRST {
            assert!(put(&mut slab, n).is_some());
        }
        assert_eq!(put(&mut slab, 99), None);
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_not_used_again() {
        let mut slab = Slab::new(1);
        let Some(key) = put(&mut slab, 'a') else { panic!("there is room") };
        slab.pages[0].slots[key.index as usize].generation = LAST;
        let worn = Key { generation: LAST, ..key };
        assert_eq!(slab.remove(worn), Some('a'));
        let others: Vec<Key> = (1..FIRST).filter_map(|_| put(&mut slab, 'b')).collect();
        assert_eq!(others.len(), FIRST as usize - 1);
        assert!(others.iter().all(|other| other.index != key.index));
        assert_eq!(put(&mut slab, 'c'), None);
    }

    #[test]
    fn memory_goes_back_when_a_million_have_gone() {
        let mut slab = Slab::new(PAGES);
        let keys: Vec<Key> = (0..1_000_000).filter_map(|n: u32| put(&mut slab, n)).collect();
        for key in keys {
            slab.remove(key);
        }
        let slots: usize = slab.pages.iter().map(|page| page.slots.len()).sum();
        assert!(slots <= LARGEST as usize, "{slots} slots are kept");
        assert!(slab.vacant.capacity() + slab.roomy.capacity() + slab.pages.capacity() < 1_000);
    }

    #[test]
    fn a_slot_is_taken_for_as_many_uses_as_it_has_generations_left_and_no_more() {
        for (uses, is_enough) in [(1, true), (7, true), (8, false)] {
            let mut slab = Slab::new(1);
            let Some(key) = put(&mut slab, 'a') else { panic!("there is room") };
            slab.pages[0].slots[key.index as usize].generation = LAST - 8;
            assert!(slab.remove(Key { generation: LAST - 8, ..key }).is_some());
            let taken = slab.occupy_for(uses).map(|(key, _)| key);
            assert_eq!(taken, is_enough.then_some(Key { generation: LAST - 7, ..key }), "{uses}");
            // Given up, it is worn by one generation, and nobody's.
            assert_eq!(slab.pages[0].used, u32::from(is_enough));
        }
    }

    #[test]
    fn a_page_that_was_given_back_in_the_middle_is_used_again_also_when_those_behind_it_are_forgotten() {
        let mut slab = Slab::new(PAGES);
        let keys: Vec<Key> = (0..1_000_000).filter_map(|n: u32| put(&mut slab, n)).collect();
        // The first of the fourth page stays.
        let (stays, go): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(|key| key.index == start_of(3));
        for key in go {
            slab.remove(key);
        }
        assert_eq!(stays.len(), 1);
        let without = |slab: &Slab<u32>| slab.pages.iter().filter(|page| page.slots.is_empty()).count();
        let (pages, given_back) = (slab.pages.len(), without(&slab));
        assert!(given_back > 0, "of {pages}");
        for n in 1..FIRST * pages as u32 {
            put(&mut slab, n);
        }
        assert_eq!((slab.pages.len(), without(&slab)), (pages, 0));
    }

    #[test]
    fn a_page_is_as_long_as_a_few_before_it_and_then_twice_that_up_to_a_bound() {
        let lengths: Vec<u32> = (0..40).map(length_of).collect();
        let expected = |page: u32| [32, 64, 128, 256, 512, 1_024, 2_048, 4_096][(page / 4).min(7) as usize];
        assert_eq!(lengths, (0..40).map(expected).collect::<Vec<u32>>());
        for (page, at) in [(0, 0), (3, 31), (9, 4_095)] {
            assert_eq!(page_of(start_of(page) + at), (page as usize, at as usize));
        }
        let mut slab = Slab::new(PAGES);
        let places: Vec<u32> = (0..128).filter_map(|n| put(&mut slab, n)).map(|key| key.index).collect();
        let in_turn = (0..4).flat_map(|page| (0..FIRST).map(move |at| start_of(page) + at));
        assert_eq!(places, in_turn.collect::<Vec<u32>>());
    }

    /// So many entries, and where there are slots for how many.
    fn filled(count: u32) -> (Slab<u32>, Vec<Key>) {
        let mut slab = Slab::new(PAGES);
        let keys = (0..count).filter_map(|n| put(&mut slab, n)).collect();
        (slab, keys)
    }

    fn lengths(slab: &Slab<u32>) -> Vec<usize> {
        slab.pages.iter().map(|page| page.slots.len()).collect()
    }

    #[test]
    fn what_comes_and_goes_at_the_edge_of_a_page_does_not_give_it_back_each_time() {
        for (count, expected) in [(1, vec![32]), (33, vec![32; 2]), (129, vec![32, 32, 32, 32, 64])] {
            let (mut slab, keys) = filled(count);
            assert!(keys.last().and_then(|last| slab.remove(*last)).is_some());
            assert_eq!(lengths(&slab), expected);
        }
    }

    #[test]
    fn a_page_goes_when_another_has_room_and_all_go_after_a_crowd() {
        let (mut slab, keys) = filled(65);
        assert!(keys[..32].iter().all(|key| slab.remove(*key).is_some()));
        assert_eq!(lengths(&slab), [0, 32, 32]);
        // It is the last, and few: it stays.
        assert!(keys[32..].iter().all(|key| slab.remove(*key).is_some()));
        assert_eq!(lengths(&slab), [0, 0, 32]);
        let (mut slab, keys) = filled(129);
        assert!(keys.iter().all(|key| slab.remove(*key).is_some()));
        assert!(slab.pages.is_empty() && slab.roomy.is_empty() && slab.vacant.is_empty());
    }

    #[test]
    fn what_is_remembered_of_pages_shrinks_with_them() {
        let (mut slab, keys) = filled(1_000_000);
        assert!(slab.pages.capacity() > 200);
        for key in keys.iter().skip(1) {
            slab.remove(*key);
        }
        assert_eq!(slab.pages.len(), 1);
        let kept = [slab.pages.capacity(), slab.vacant.capacity(), slab.roomy.capacity()];
        assert!(kept.iter().all(|kept| *kept <= 4), "{kept:?}");
    }
}
