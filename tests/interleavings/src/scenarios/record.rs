//! What ran, in which order.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::ManagerConfig;
use crate::manager::ResourceManager;
use crate::stand_in::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A tree of its own, so that nothing is left from another scenario.
pub(super) fn manager() -> ResourceManager {
    ResourceManager::isolated("explored", ManagerConfig::default())
}

/// The beginnings and ends of cleanups, as they came.
#[derive(Clone)]
pub(super) struct Record(Arc<Inner>);

struct Inner {
    /// Others get in here, and in a model these are what makes two orders of cleanups two interleavings.
    step: AtomicUsize,
    seen: Mutex<Vec<(&'static str, Edge)>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    Begins,
    Ends,
}

impl Record {
    pub(super) fn new() -> Record {
        Record(Arc::new(Inner { step: AtomicUsize::new(0), seen: Mutex::default() }))
    }

    fn note(&self, name: &'static str, edge: Edge) {
        self.0.step.fetch_add(1, SeqCst);
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push((name, edge));
    }

    /// A cleanup that takes a while, as far as others are concerned.
    pub(super) fn cleanup(&self, name: &'static str) -> impl FnOnce() + Send + 'static {
        let record = self.clone();
        move || {
            record.note(name, Edge::Begins);
            record.note(name, Edge::Ends);
        }
    }

    fn seen(&self) -> Vec<(&'static str, Edge)> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn times(&self, name: &str) -> usize {
        self.seen().iter().filter(|seen| **seen == (name, Edge::Ends)).count()
    }

    /// Each of these ran exactly once, and nothing else did.
    #[track_caller]
    pub(super) fn once_each(&self, names: &[&'static str]) {
        let mut expected: Vec<_> = names.iter().flat_map(|name| [(*name, 0), (*name, 1)]).collect();
        let mut seen: Vec<_> = self.seen().iter().map(|(name, edge)| (*name, *edge as usize)).collect();
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected, "what ran: {:?}", self.seen());
    }

    /// The first had ended before the second began.
    #[track_caller]
    pub(super) fn before(&self, first: &'static str, second: &'static str) {
        let seen = self.seen();
        let at = |what| seen.iter().position(|seen| *seen == what);
        let (end, begin) = (at((first, Edge::Ends)), at((second, Edge::Begins)));
        assert!(end.is_some() && end < begin, "{first} before {second}: {seen:?}");
    }
}
