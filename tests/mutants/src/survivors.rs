//! survivors.txt: mutants that no test notices, each under the reason why none can.

use std::collections::BTreeMap;

use crate::list::Mutant;

/// How many of each name are explained: two changes of the same kind in one function have the same name, and a line each.
pub(crate) struct Survivors<'a>(BTreeMap<&'a str, usize>);

impl<'a> Survivors<'a> {
    /// One a line, after `- `, under a line with `#` and the reason.
    pub(crate) fn of(text: &'a str) -> Survivors<'a> {
        let mut all = BTreeMap::new();
        for name in text.lines().filter_map(|line| line.strip_prefix("- ")) {
            *all.entry(name).or_default() += 1;
        }
        Survivors(all)
    }

    pub(crate) fn has(&self, mutant: &Mutant) -> bool {
        self.has_all(mutant, 1)
    }

    /// Whether so many of this name are explained.
    pub(crate) fn has_all(&self, mutant: &Mutant, count: usize) -> bool {
        self.0.get(&*mutant.line()).is_some_and(|explained| *explained >= count)
    }

    /// Whether it was explained, and not yet crossed off as often as it is.
    pub(crate) fn cross_off(&mut self, mutant: &Mutant) -> bool {
        match self.0.get_mut(&*mutant.line()) {
            Some(left @ 1..) => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

pub(crate) fn explained() -> Survivors<'static> {
    Survivors::of(include_str!("../survivors.txt"))
}
