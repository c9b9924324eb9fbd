//! A list that grows without moving what it holds: for what a scan finds, which is collected under a shard's lock.

/// How many make a part, and how many are to be done in one go where others wait.
pub(crate) const PART: usize = 128;

pub(crate) struct Pile<T>(Vec<Vec<T>>);

impl<T> Pile<T> {
    pub(crate) const fn new() -> Pile<T> {
        Pile(Vec::new())
    }

    pub(crate) fn push(&mut self, one: T) {
        match self.0.last_mut().filter(|part| part.len() < PART) {
            Some(part) => part.push(one),
            None => {
                let mut part = Vec::with_capacity(PART);
                part.push(one);
                self.0.push(part);
            }
        }
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        self.0.into_iter().flatten().collect()
    }
}
