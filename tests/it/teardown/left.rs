//! What a teardown has given up, and what it keeps of its time for that.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{Cleanup, ManagerConfig, ResourceGuard, ResourceId, ResourceManager, TeardownReport};

use crate::support::{
    DropCounter, Gate, Hang, LIMIT, OrderLog, PATIENCE, lock, manager, manager_with, until,
};
use crate::support::{shortly, watchdog};

#[test]
fn a_value_without_a_guard_stays_until_the_cleanup_that_was_given_up_has_ended() {
    watchdog(LIMIT, || {
        let (manager, drops, hang) = (manager(), DropCounter::new(), Hang::new());
        let stuck = manager.resource("stuck").timeout(Duration::from_millis(50));
        let stuck = stuck.keep(drops.value(), Cleanup::sync(hang.cleanup()));
        ResourceGuard::leak(stuck.unwrap());
        assert_eq!(manager.cleanup().timed_out(), 1);
        assert_eq!(drops.dropped(), 0);
        hang.release();
        until("the value to be dropped", || drops.dropped() == 1);
        drops.assert_each_once();
    });
}

#[test]
fn what_a_hang_held_back_outside_of_a_teardown_is_cleaned_when_the_deadline_has_come() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let stuck = manager.resource("stuck").timeout(LIMIT).depends_on(&pool);
        let stuck = stuck.guard(hang.cleanup()).unwrap();
        drop(pool);
        let only = [ResourceGuard::id(&stuck)];
        let report = manager.teardown().ids(&only).deadline(Duration::from_millis(200)).run();
        assert_eq!((report.processed(), report.timed_out()), (1, 1));
        until("the pool to be cleaned", || log.entries() == ["pool"]);
        shortly(move || hang.release());
    });
}

/// Tears a manager down within this deadline. Returns between which two moments it began, and until when a cleanup was
/// told that it has.
fn told_within(deadline: Duration, has_last_resort: bool) -> (Instant, Instant, Option<Instant>) {
    let (manager, told) = (manager(), Arc::new(Mutex::new(None)));
    let tells = told.clone();
    let mut resource = manager.resource("one").timeout(LIMIT);
    if has_last_resort {
        resource = resource.last_resort(|| ());
    }
    let _one = resource.guard_with_context(move |cx| *lock(&tells) = cx.deadline()).unwrap();
    let before = Instant::now();
    assert!(manager.teardown().deadline(deadline).run().is_success());
    let told = *lock(&told);
    (before, Instant::now(), told)
}

#[test]
fn a_tenth_of_a_deadline_is_kept_where_there_is_a_last_resort_and_nothing_where_there_is_none() {
    watchdog(LIMIT, || {
        for (has_last_resort, kept) in [(true, 1), (false, 0)] {
            let (before, after, told) = told_within(Duration::from_secs(10), has_last_resort);
            let (told, less) = (told.expect("a teardown has a deadline"), Duration::from_secs(10 - kept));
            assert!(before + less <= told && told <= after + less, "{has_last_resort}");
        }
    });
}

#[test]
fn of_a_deadline_of_a_moment_half_is_kept_at_most() {
    watchdog(LIMIT, || {
        let deadline = Duration::from_millis(180);
        // On a busy machine nothing may have started within it.
        let start = Instant::now();
        loop {
            let (before, after, told) = told_within(deadline, true);
            if let Some(told) = told {
                assert!(before + deadline / 2 <= told && told <= after + deadline / 2);
                return;
            }
            assert!(start.elapsed() < PATIENCE, "nothing was started");
        }
    });
}

/// After one alone, three at once, which meet. Nothing else ever wakes anybody.
fn meeting(manager: &ResourceManager) -> TeardownReport {
    let (come, all) = (Arc::new(Mutex::new(0)), Gate::new("the others to come"));
    let meet = || {
        let (come, all) = (come.clone(), all.clone());
        move || {
            *lock(&come) += 1;
            if *lock(&come) == 3 {
                all.open();
            }
            all.wait();
        }
    };
    let below = [(); 3].map(|()| manager.guard("below", meet()));
    let above = manager.resource("above").depends_on(&below[0]).depends_on(&below[1]).depends_on(&below[2]);
    let _above = above.guard(|| ()).unwrap();
    manager.teardown().concurrency(3).run()
}

#[test]
fn what_the_end_of_one_lets_go_on_is_begun_at_once_and_together() {
    watchdog(LIMIT, || {
        let never = ManagerConfig::default().default_timeout(Duration::MAX).slow_after(Duration::MAX);
        let report = meeting(&manager_with(never));
        assert!(report.is_success(), "{report}");
        assert_eq!(report.cleaned(), 4);
    });
}

#[test]
fn what_is_given_up_is_seen_to_also_when_every_thread_has_waited_for_work_before() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let together = || {
            let (come, both) = (Arc::new(Mutex::new(0)), Gate::new("the other of two"));
            move || {
                *lock(&come) += 1;
                if *lock(&come) == 2 {
                    both.open();
                }
                both.wait();
            }
        };
        let short = || manager.resource("stuck").timeout(Duration::from_millis(50));
        // Level by level, from what goes last: two, and one, in turns. While there is one, a thread waits.
        let last = [(); 2].map(|()| short().guard(hang.cleanup()).unwrap());
        let mut below: Vec<ResourceId> = last.iter().map(ResourceGuard::id).collect();
        let mut guards = Vec::from(last);
        for _ in 0..3 {
            let one = manager.resource("one").depends_on_all(below.iter().copied()).guard(|| ()).unwrap();
            let meet = together();
            let two = [(); 2].map(|()| {
                let two = manager.resource("two").timeout(LIMIT).depends_on(&one);
                two.guard(meet.clone()).unwrap()
            });
            below = two.iter().map(ResourceGuard::id).collect();
            guards.push(one);
            guards.extend(two);
        }
        let report = manager.teardown().concurrency(2).run();
        assert_eq!((report.cleaned(), report.timed_out()), (9, 2));
        shortly(move || hang.release());
    });
}

#[test]
fn a_limit_is_kept_behind_a_longer_one_whether_or_not_there_is_a_last_resort() {
    watchdog(LIMIT, || {
        for has_last_resort in [false, true] {
            let never = ManagerConfig::default().default_timeout(Duration::MAX).slow_after(Duration::MAX);
            let (manager, hang) = (manager_with(never), Hang::new());
            let mut stuck = manager.resource("stuck").timeout(Duration::from_millis(50));
            if has_last_resort {
                stuck = stuck.last_resort(|| ());
            }
            let stuck = stuck.guard(hang.cleanup()).unwrap();
            // Meanwhile whoever watches goes to sleep until its limit.
            let first = manager.resource("first").timeout(LIMIT * 2).last_resort(|| ()).depends_on(&stuck);
            let _first = first.guard(|| thread::sleep(Duration::from_millis(50))).unwrap();
            let report = manager.cleanup();
            assert_eq!((report.cleaned(), report.timed_out()), (1, 1));
            shortly(move || hang.release());
        }
    });
}

#[test]
fn a_limit_is_kept_behind_one_that_has_none_where_nothing_else_ever_wakes_anybody() {
    watchdog(LIMIT, || {
        let never = ManagerConfig::default().default_timeout(Duration::MAX).slow_after(Duration::MAX);
        let (manager, hang) = (manager_with(never), Hang::new());
        let last = manager.guard("last", || ());
        let stuck = manager.resource("stuck").timeout(Duration::from_millis(50));
        let stuck = stuck.depends_on(&last).guard(hang.cleanup()).unwrap();
        let _first = manager.resource("first").depends_on(&stuck).guard(|| ()).unwrap();
        let report = manager.cleanup();
        assert_eq!((report.cleaned(), report.timed_out()), (2, 1));
        shortly(move || hang.release());
    });
}
