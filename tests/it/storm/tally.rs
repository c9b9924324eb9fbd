//! What a storm counts: the runs of each cleanup, one counter each, and whether a dependency had gone before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use super::quiet::{ON_PURPOSE, hush};

/// One in so many cleanups fails, and one panics.
const FAILING: usize = 47;

/// Counters for resources numbered from 0.
pub(crate) struct Tally {
    runs: Vec<AtomicU32>,
    /// A dependency had been cleaned before this one.
    late: Vec<AtomicBool>,
}

impl Tally {
    pub(crate) fn new(resources: usize) -> Arc<Tally> {
        hush();
        let runs = (0..resources).map(|_| AtomicU32::new(0)).collect();
        let late = (0..resources).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Tally { runs, late })
    }

    /// A cleanup that counts.
    pub(crate) fn cleanup(self: &Arc<Tally>, one: usize) -> impl FnOnce() + Send + 'static + use<> {
        let tally = Arc::clone(self);
        move || {
            tally.runs[one].fetch_add(1, SeqCst);
        }
    }

    /// A cleanup that counts, notes whether one of `needs` was cleaned before it, and sometimes fails or panics.
    pub(crate) fn moody_cleanup(
        self: &Arc<Tally>,
        one: usize,
        needs: Vec<usize>,
    ) -> impl FnOnce() -> Result<(), &'static str> + Send + 'static + use<> {
        let tally = Arc::clone(self);
        move || {
            tally.runs[one].fetch_add(1, SeqCst);
            let late = needs.iter().any(|&on| tally.runs(on) > 0);
            tally.late[one].store(late, SeqCst);
            match one % FAILING {
                0 => Err("no disk"),
                1 => panic!("{ON_PURPOSE}a cleanup in a storm"),
                _ => Ok(()),
            }
        }
    }

    pub(crate) fn is_moody(one: usize) -> bool {
        one % FAILING < 2
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(crate) fn runs(&self, one: usize) -> u32 {
        self.runs[one].load(SeqCst)
    }

    /// Whether something that it depends on was cleaned before it.
    pub(crate) fn is_late(&self, one: usize) -> bool {
        self.late[one].load(SeqCst)
    }

    pub(crate) fn assert_each_ran_once(&self) {
        self.assert_runs(|_, runs| runs == 1);
    }

    /// Fails with the first few whose runs are wrong.
    pub(crate) fn assert_runs(&self, right: impl Fn(usize, u32) -> bool) {
        let counted = self.runs.iter().map(|runs| runs.load(SeqCst)).enumerate();
        let wrong: Vec<(usize, u32)> = counted.filter(|&(one, runs)| !right(one, runs)).collect();
        let some = &wrong[..wrong.len().min(10)];
        assert!(
            wrong.is_empty(),
            "{} of {} ran wrongly; (which, runs): {some:?}",
            wrong.len(),
            self.runs.len()
        );
    }
}

#[test]
#[should_panic(expected = "1 of 3 ran wrongly; (which, runs): [(1, 2)]")]
fn a_tally_sees_a_second_run() {
    let tally = Tally::new(3);
    for one in [0, 1, 1, 2] {
        tally.cleanup(one)();
    }
    tally.assert_each_ran_once();
}

#[test]
#[should_panic(expected = "1 of 2 ran wrongly; (which, runs): [(1, 0)]")]
fn a_tally_sees_a_lost_one() {
    let tally = Tally::new(2);
    tally.cleanup(0)();
    tally.assert_each_ran_once();
}

#[test]
fn a_tally_sees_a_dependency_that_went_first() {
    let tally = Tally::new(50);
    tally.moody_cleanup(3, vec![2])().expect("the third is not moody");
    assert!(!tally.is_late(3));
    tally.moody_cleanup(4, vec![2, 3])().expect("nor is the fourth");
    assert!(tally.is_late(4));
    assert!(tally.moody_cleanup(47, vec![])().is_err());
}
