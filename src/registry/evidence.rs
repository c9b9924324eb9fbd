//! What the manager of a test knows besides: failures that nobody else is told of.

use crate::error::CleanupError;
use crate::sync::Lock;

/// What the manager of a test keeps until the test is judged.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) keeps_in_panics: bool,
    unheard: Lock<Unheard>,
}

/// Failures of cleanups that had nobody to return them to: the first few, and how many more.
#[derive(Default, Debug)]
pub(crate) struct Unheard {
    pub(crate) first: Vec<CleanupError>,
    pub(crate) more: usize,
}

/// Failures that are kept before the rest is only counted.
const UNHEARD: usize = 20;

impl Evidence {
    pub(crate) fn new(keeps_in_panics: bool) -> Evidence {
        Evidence { keeps_in_panics, unheard: Lock::default() }
    }

    pub(super) fn keep(&self, error: &CleanupError) {
        let mut unheard = self.unheard.lock();
        if unheard.first.len() < UNHEARD { unheard.first.push(error.clone()) } else { unheard.more += 1 }
    }

    pub(crate) fn take(&self) -> Unheard {
        std::mem::take(&mut self.unheard.lock())
    }
}
