//! The waves of a shutdown: as many as there is something to do for, within one deadline.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{CleanupContext, ManagerConfig, ResourceGuard, ResourceManager};

use crate::support::{Hang, LIMIT, OrderLog, Recorder, lock, manager, manager_with, shortly, watchdog};

fn waves(recorder: &Recorder) -> usize {
    recorder.words().iter().filter(|words| *words == "teardown started test").count()
}

type Deadlines = Arc<Mutex<Vec<Option<Instant>>>>;

/// A cleanup that notes its deadline, after another has been registered that does the same.
fn noting(
    manager: &ResourceManager,
    deadlines: &Deadlines,
    more: u32,
) -> impl FnOnce(&CleanupContext) + Send + use<> {
    let (manager, deadlines) = (manager.clone(), deadlines.clone());
    move |context| {
        lock(&deadlines).push(context.deadline());
        if more > 0 {
            let next = noting(&manager, &deadlines, more - 1);
            let next = manager.resource("next").timeout(LIMIT).guard_with_context(next);
            ResourceGuard::leak(next.expect("a shutdown takes two waves along"));
        }
    }
}

#[test]
fn every_wave_of_a_shutdown_has_what_is_left_of_its_deadline() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().shutdown_deadline(LIMIT / 2));
        let deadlines = Deadlines::default();
        let first = noting(&manager, &deadlines, 2);
        let _first = manager.resource("first").timeout(LIMIT).guard_with_context(first).unwrap();
        assert_eq!(manager.shutdown().cleaned(), 3);
        let deadlines = lock(&deadlines);
        assert!(deadlines[0].is_some());
        assert_eq!((deadlines.len(), deadlines[1], deadlines[2]), (3, deadlines[0], deadlines[0]));
    });
}

#[test]
fn a_shutdown_that_leaves_nothing_has_one_wave() {
    watchdog(LIMIT, || {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        let _guard = manager.guard("pool", || ());
        assert_eq!(manager.shutdown().cleaned(), 1);
        assert_eq!(waves(&recorder), 1);
    });
}

#[test]
fn a_shutdown_of_nothing_has_one_wave() {
    watchdog(LIMIT, || {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        assert_eq!(manager.shutdown().processed(), 0);
        assert_eq!(waves(&recorder), 1);
    });
}

#[test]
fn a_shutdown_has_a_wave_more_for_what_has_registered_in_it() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let recorder = Recorder::on(&manager);
        let (inside, late) = (manager.clone(), log.cleanup("late"));
        let _first = manager.guard("first", move || ResourceGuard::leak(inside.guard("late", late)));
        assert_eq!(manager.shutdown().cleaned(), 2);
        assert_eq!(waves(&recorder), 2);
    });
}

#[test]
fn a_shutdown_does_not_try_again_what_it_has_given_up() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let recorder = Recorder::on(&manager);
        let short = Duration::from_millis(50);
        let stuck = manager.resource("stuck").timeout(short).guard(hang.cleanup()).unwrap();
        let report = manager.shutdown();
        assert_eq!((report.processed(), report.timed_out()), (1, 1));
        assert_eq!(waves(&recorder), 1);
        shortly(move || hang.release());
        drop(stuck);
    });
}

#[test]
fn a_shutdown_has_no_second_wave_for_what_somebody_else_still_cleans() {
    watchdog(LIMIT, || {
        let short = ManagerConfig::default().default_timeout(Duration::from_millis(50));
        let (manager, hang) = (manager_with(short), Hang::new());
        let recorder = Recorder::on(&manager);
        let stuck = manager.guard("stuck", hang.cleanup());
        let elsewhere = thread::spawn(move || drop(stuck));
        hang.wait_started();
        assert_eq!(manager.shutdown().timed_out(), 1);
        assert_eq!(waves(&recorder), 1);
        hang.release();
        elsewhere.join().expect("it only drops");
    });
}
