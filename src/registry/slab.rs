//! Where entries are kept: a slab with generations that grows without copying and gives memory back.
//!
//! Invariants:
//! 1. A [`Key`] names one use of one slot: the generation of a slot only grows, also while its page is given back.
//!    A slot whose generations are used up is never handed out again.
//! 2. A page is given back when its last entry goes and another page has room, so that an entry that comes and
//!    goes at the edge of a page does not allocate each time.
//! 3. Growing allocates one page and moves nothing.

/// Slots of the first page; each of the next is twice as long, up to [`LARGEST`].
const FIRST: u32 = 32;
const DOUBLINGS: u32 = 7;
const LARGEST: u32 = FIRST << DOUBLINGS;
/// Slots in the pages before the first one of length [`LARGEST`] that is not a doubling.
const DOUBLED: u32 = FIRST * ((1 << (DOUBLINGS + 1)) - 1);
/// A page is kept for good once a slot of it has come this far: its generations would have to be remembered.
const WORN: u32 = u32::MAX / 2;
const NONE: u32 = u32::MAX;

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
    value: Option<T>,
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
    /// Pages that were given back.
    vacant: Vec<u32>,
    limit: u32,
}

fn page_of(index: u32) -> (usize, usize) {
    if index < DOUBLED {
        let page = (index / FIRST + 1).ilog2();
        (page as usize, (index - FIRST * ((1 << page) - 1)) as usize)
    } else {
        let beyond = index - DOUBLED;
        ((DOUBLINGS + 1 + beyond / LARGEST) as usize, (beyond % LARGEST) as usize)
    }
}

fn start_of(page: u32) -> u32 {
    match page {
        0..=DOUBLINGS => FIRST * ((1 << page) - 1),
        _ => DOUBLED + (page - DOUBLINGS - 1) * LARGEST,
    }
}

fn length_of(page: u32) -> u32 {
    FIRST << page.min(DOUBLINGS)
}

impl<T> Slab<T> {
    /// A slab with indexes below `limit`.
    pub(crate) const fn new(limit: u32) -> Slab<T> {
        Slab { pages: Vec::new(), roomy: Vec::new(), vacant: Vec::new(), limit }
    }

    /// Keeps a value, or gives it back when every index is in use.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        if self.roomy.is_empty() && !self.grow() {
            return Err(value);
        }
        let Some(&number) = self.roomy.last() else { return Err(value) };
        let page = &mut self.pages[number as usize];
        let at = page.free;
        let slot = &mut page.slots[at as usize];
        page.free = slot.next_free;
        page.used += 1;
        slot.value = Some(value);
        let key = Key { index: start_of(number) + at, generation: slot.generation };
        if page.free == NONE {
            page.place = NONE;
            self.roomy.pop();
        }
        Ok(key)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let (page, at) = page_of(key.index);
        let slot = self.pages.get(page)?.slots.get(at)?;
        if slot.generation == key.generation { slot.value.as_ref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (page, at) = page_of(key.index);
        let slot = self.pages.get_mut(page)?.slots.get_mut(at)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// The entry that stands at an index now, with its key.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(Key, &mut T)> {
        let (page, at) = page_of(index);
        let slot = self.pages.get_mut(page)?.slots.get_mut(at)?;
        let generation = slot.generation;
        slot.value.as_mut().map(|value| (Key { index, generation }, value))
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let (number, at) = page_of(key.index);
        let page = self.pages.get_mut(number)?;
        let slot = page.slots.get_mut(at)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        page.used -= 1;
        if slot.generation == u32::MAX {
            return Some(value); // worn out: it stays out of the free list for ever
        }
        slot.generation += 1;
        slot.next_free = page.free;
        page.free = at as u32;
        if page.place == NONE {
            page.place = self.roomy.len() as u32;
            self.roomy.push(number as u32);
        }
        if page.used == 0 && self.roomy.len() > 1 {
            self.give_back(number);
        }
        Some(value)
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let number = match self.vacant.pop() {
            Some(number) => number,
            None => {
                let number = self.pages.len() as u32;
                if start_of(number) + length_of(number) > self.limit {
                    return false;
                }
                self.pages.push(Page {
                    slots: Box::default(),
                    first_generation: 1,
                    used: 0,
                    free: NONE,
                    place: NONE,
                });
                number
            }
        };
        let length = length_of(number);
        let page = &mut self.pages[number as usize];
        let generation = page.first_generation;
        let next = |at: u32| if at + 1 < length { at + 1 } else { NONE };
        page.slots = (0..length).map(|at| Slot { generation, next_free: next(at), value: None }).collect();
        page.free = 0;
        page.place = self.roomy.len() as u32;
        self.roomy.push(number);
        true
    }

    #[cold]
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_found_on_its_page() {
        let mut index = 0;
        for page in 0..20 {
            assert_eq!(start_of(page), index);
            assert_eq!(page_of(index), (page as usize, 0));
            let last = length_of(page) - 1;
            assert_eq!(page_of(index + last), (page as usize, last as usize));
            index += length_of(page);
        }
    }

    #[test]
    fn a_stale_key_names_nothing_also_after_its_page_was_given_back() {
        let mut slab = Slab::new(u32::MAX);
        let first: Vec<Key> = (0..1_000).filter_map(|n| slab.insert(n).ok()).collect();
        assert_eq!(first.len(), 1_000);
        for key in &first {
            assert!(slab.remove(*key).is_some());
        }
        assert!(!slab.vacant.is_empty(), "pages were given back");
        let second: Vec<Key> = (0..1_000).filter_map(|n| slab.insert(n).ok()).collect();
        assert!(first.iter().all(|key| slab.get(*key).is_none() && !second.contains(key)));
        assert!(second.iter().enumerate().all(|(n, key)| slab.get(*key) == Some(&n)));
    }

    #[test]
    fn a_full_slab_gives_the_value_back() {
        let mut slab = Slab::new(FIRST);
        for n in 0..FIRST {
            assert!(slab.insert(n).is_ok());
        }
        assert_eq!(slab.insert(99), Err(99));
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_not_used_again() {
        let mut slab = Slab::new(FIRST);
        let Ok(key) = slab.insert('a') else { panic!("there is room") };
        slab.pages[0].slots[key.index as usize].generation = u32::MAX;
        let worn = Key { generation: u32::MAX, ..key };
        assert_eq!(slab.remove(worn), Some('a'));
        let others: Vec<Key> = (1..FIRST).filter_map(|_| slab.insert('b').ok()).collect();
        assert_eq!(others.len(), FIRST as usize - 1);
        assert!(others.iter().all(|other| other.index != key.index));
        assert_eq!(slab.insert('c'), Err('c'));
    }

    #[test]
    fn memory_goes_back_when_a_million_have_gone() {
        let mut slab = Slab::new(u32::MAX);
        let keys: Vec<Key> = (0..1_000_000).filter_map(|n: u32| slab.insert(n).ok()).collect();
        for key in keys {
            slab.remove(key);
        }
        let slots: usize = slab.pages.iter().map(|page| page.slots.len()).sum();
        assert!(slots <= LARGEST as usize, "{slots} slots are kept");
    }
}
