//! Deadlines: the whole teardown ends in time, one hang takes nothing else with it, and what is merely slow
//! still counts.

use std::time::{Duration, Instant};

use castoff::{CleanupErrorKind, ResourceGuard, ResourceOutcome, ResourceState, SkipReason, TeardownReport};

use crate::support::{Gate, Hang, LIMIT, OrderLog, Recorder, manager, watchdog};

const DEADLINE: Duration = Duration::from_secs(1);

/// What a busy machine may add. A hang that is waited for would take far longer.
const SLACK: Duration = Duration::from_secs(4);

fn outcome(report: &TeardownReport, label: &str) -> Option<ResourceOutcome> {
    report.timeline().iter().find(|entry| &*entry.label == label).map(|entry| entry.outcome)
}

#[test]
fn a_deadline_of_zero_skips_all_and_leaves_it_live() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let one = manager.guard("one", log.cleanup("one"));
        let _two = manager.resource("two").depends_on(&one).guard(log.cleanup("two")).unwrap();
        let report = manager.teardown().deadline(Duration::ZERO).run();
        assert!(!report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.skipped().len()), (2, 0, 2));
        assert!(report.skipped().iter().all(|skipped| skipped.reason == SkipReason::DeadlinePassed));
        log.assert_is(&[]);
        assert_eq!(ResourceGuard::state(&one), ResourceState::Live);
        assert!(manager.cleanup().is_success());
        log.assert_is(&["two", "one"]);
    });
}

#[test]
fn a_deadline_of_zero_over_nothing_is_a_success() {
    watchdog(LIMIT, || assert!(manager().teardown().deadline(Duration::ZERO).run().is_success()));
}

#[test]
fn a_deadline_that_is_far_away_changes_nothing() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        assert!(manager.teardown().deadline(LIMIT).run().is_success());
        log.assert_is(&["three", "two", "one"]);
    });
}

#[test]
fn one_hang_does_not_take_the_others_with_it() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _others = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        let _stuck = manager.guard("stuck", hang.cleanup());
        let start = Instant::now();
        let report = manager.teardown().deadline(DEADLINE).run();
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
        assert_eq!((report.processed(), report.cleaned(), report.timed_out()), (4, 3, 1));
        assert_eq!(outcome(&report, "stuck"), Some(ResourceOutcome::TimedOut));
        log.assert_is(&["three", "two", "one"]);
    });
}

#[test]
fn one_hang_does_not_take_what_stands_behind_it() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let disk = manager.guard("disk", log.cleanup("disk"));
        let pool = manager.resource("pool").depends_on(&disk).guard(log.cleanup("pool")).unwrap();
        let _others = ["one", "two"].map(|label| manager.guard(label, log.cleanup(label)));
        let _stuck = manager.resource("stuck").depends_on(&pool).guard(hang.cleanup()).unwrap();
        let start = Instant::now();
        let report = manager.teardown().deadline(DEADLINE).run();
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
        assert_eq!((report.cleaned(), report.timed_out(), report.skipped().len()), (4, 1, 0));
        log.assert_is(&["two", "one", "pool", "disk"]);
    });
}

#[test]
fn a_slow_cleanup_that_ends_in_time_is_cleaned_and_is_not_overtaken_by_what_it_uses() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        // The slow one ends only when the other has been cleaned: it has been left running by then.
        let go_on = Gate::new("the other cleanup");
        let (waits, told) = (go_on.clone(), log.clone());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let run = log.cleanup("other");
        let _other = manager.guard("other", move || {
            run();
            go_on.open();
        });
        let slow = manager.resource("slow").depends_on(&pool);
        let slow = slow.guard(move || {
            waits.wait();
            told.push("slow");
        });
        let slow = slow.unwrap();
        let report = manager.teardown().deadline(Duration::from_secs(4)).run();
        assert!(report.is_success(), "{report}");
        log.assert_is(&["other", "slow", "pool"]);
        assert_eq!(outcome(&report, "slow"), Some(ResourceOutcome::Cleaned));
        let entry = |label: &str| report.timeline().iter().find(|entry| &*entry.label == label).unwrap();
        assert!(entry("slow").started + entry("slow").duration >= entry("other").started, "its real end");
        assert_eq!(ResourceGuard::state(&slow), ResourceState::Cleaned);
        assert_eq!((manager.stats().cleaned, manager.stats().timed_out), (3, 0));
        assert!(ResourceGuard::close(slow).is_ok());
    });
}

#[test]
fn a_slow_cleanup_that_fails_in_time_is_a_failure_and_its_error_is_not_lost() {
    watchdog(LIMIT, || {
        let (manager, go_on) = (manager(), Gate::new("the other cleanup"));
        let waits = go_on.clone();
        let _other = manager.guard("other", move || go_on.open());
        let _slow = manager.guard("slow", move || {
            waits.wait();
            Err("no disk")
        });
        let report = manager.teardown().deadline(Duration::from_secs(4)).run();
        assert_eq!((report.cleaned(), report.failed(), report.timed_out()), (1, 1, 0));
        let [error] = report.errors() else { panic!("{:?}", report.errors()) };
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
    });
}

#[test]
fn no_error_is_lost_when_a_deadline_fires() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _journal = manager.guard("journal", log.failing("journal"));
        let _stuck = manager.guard("stuck", hang.cleanup());
        let _wobbly = manager.guard("wobbly", || panic!("boom"));
        let report = manager.teardown().deadline(DEADLINE).run();
        assert_eq!((report.processed(), report.failed(), report.timed_out()), (3, 2, 1));
        let mut named: Vec<&str> = report.errors().iter().map(|error| &*error.label).collect();
        named.sort_unstable();
        assert_eq!(named, ["journal", "stuck", "wobbly"]);
    });
}

#[test]
fn many_hangs_end_by_the_deadline_with_one_outcome_each() {
    const MANY: usize = 20;
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let guards = [(); MANY].map(|()| manager.guard("stuck", hang.cleanup()));
        let start = Instant::now();
        let report = manager.teardown().deadline(DEADLINE).run();
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
        assert_eq!(report.processed(), MANY);
        assert_eq!((report.cleaned(), report.timed_out() + report.skipped().len()), (0, MANY));
        assert!(report.skipped().iter().all(|skipped| skipped.reason == SkipReason::DeadlinePassed));
        let live = guards.iter().filter(|guard| ResourceGuard::state(guard) == ResourceState::Live).count();
        assert_eq!(live, report.skipped().len());
        // What was skipped is live: let go of it here, so that its drop does not wait for the hang.
        guards.into_iter().for_each(ResourceGuard::release);
    });
}

#[test]
fn a_timeout_shorter_than_the_deadline_holds_inside_it() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let short = Duration::from_millis(50);
        let _one = manager.guard("one", log.cleanup("one"));
        let _stuck = manager.resource("stuck").timeout(short).guard(hang.cleanup()).unwrap();
        let report = manager.teardown().deadline(LIMIT).run();
        let [error] = report.errors() else { panic!("{:?}", report.errors()) };
        assert!(
            matches!(error.kind, CleanupErrorKind::TimedOut(limit) if limit == short),
            "{:?}",
            error.kind
        );
        log.assert_is(&["one"]);
    });
}

#[test]
fn a_deadline_holds_with_concurrency_too() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _others = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        let _stuck = [(); 2].map(|()| manager.guard("stuck", hang.cleanup()));
        let start = Instant::now();
        let report = manager.teardown().concurrency(2).deadline(DEADLINE).run();
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
        assert_eq!((report.processed(), report.cleaned(), report.timed_out()), (5, 3, 2));
        assert_eq!(log.entries().len(), 3);
    });
}

#[test]
fn what_a_deadline_left_behind_is_told_when_it_ends() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let recorder = Recorder::on(&manager);
        let stuck = manager.guard("stuck", hang.cleanup());
        assert_eq!(manager.teardown().deadline(Duration::from_millis(300)).run().timed_out(), 1);
        hang.release();
        recorder.wait_for("finished late stuck");
        assert_eq!(ResourceGuard::state(&stuck), ResourceState::TimedOut);
    });
}
