//! Many cleanups, which a worker does one after the other without asking in between: nobody's turn is lost by what one of
//! them does, and a worker that has nothing to do takes over what another has not begun.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use castoff::{
    ManagerConfig, Priority, ResourceEvent, ResourceGuard, ResourceId, ResourceManager, ResourceOutcome,
    ResourceState, SkipReason,
};

use crate::support::{Gate, Hang, LIMIT, lock, manager, manager_with, watchdog};

/// More than a worker takes at once.
const MANY: usize = 2_500;
/// One in the midst of a stretch.
const MIDDLE: usize = 1_200;

type Log = Arc<Mutex<Vec<usize>>>;

/// Resources that note their numbers, but for the middle one, which does this within that limit.
fn many(
    manager: &ResourceManager,
    log: &Log,
    limit: Duration,
    middle: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Vec<ResourceGuard<()>> {
    let mut middle = Some(middle);
    let resource = |number| match middle.take_if(|_| number == MIDDLE) {
        Some(middle) => manager.resource("middle").timeout(limit).guard(middle).expect("a middle"),
        None => noting(manager, log, number),
    };
    (0..MANY).map(resource).collect()
}

fn noting(manager: &ResourceManager, log: &Log, number: usize) -> ResourceGuard<()> {
    let log = Arc::clone(log);
    manager.guard("noting", move || lock(&log).push(number))
}

/// All but the middle one, newest first.
fn all_the_others() -> Vec<usize> {
    (0..MANY).rev().filter(|number| *number != MIDDLE).collect()
}

/// The middle one's place, and its outcome.
#[track_caller]
fn assert_middle(report: &castoff::TeardownReport, outcome: ResourceOutcome) {
    let timeline = report.timeline();
    let at = timeline.iter().position(|entry| entry.label == "middle").expect("it has an outcome");
    assert_eq!((at, timeline[at].outcome), (MANY - 1 - MIDDLE, outcome));
    assert!(timeline.is_sorted_by_key(|entry| entry.started), "the timeline is in the order of starting");
    assert!(
        timeline.windows(2).all(|two| two[0].started + two[0].duration <= two[1].started),
        "one at a time"
    );
}

#[test]
fn a_hang_in_the_midst_of_many_is_given_up_and_costs_nobody_else_a_turn() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), Log::default(), Hang::new());
        let hangs = hang.cleanup();
        let _guards = many(&manager, &log, Duration::from_millis(100), move || {
            hangs();
            Ok(())
        });
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.cleaned(), report.timed_out()), (MANY, MANY - 1, 1));
        assert_middle(&report, ResourceOutcome::TimedOut);
        assert_eq!(*lock(&log), all_the_others());
        assert_eq!((manager.stats().cleaned, manager.stats().timed_out), (MANY as u64 - 1, 1));
        assert_eq!(manager.stats().cleanup_latency.count(), MANY as u64);
    });
}

#[test]
fn a_panic_in_the_midst_of_many_is_one_outcome_and_the_rest_goes_on() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), Log::default());
        let _guards = many(&manager, &log, LIMIT, || panic!("in the midst"));
        let report = manager.cleanup();
        assert_eq!((report.cleaned(), report.failed()), (MANY - 1, 1));
        assert_middle(&report, ResourceOutcome::Panicked);
        assert_eq!(*lock(&log), all_the_others());
    });
}

#[test]
fn a_failure_in_the_midst_of_many_stops_the_rest_where_that_was_asked_for() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), Log::default());
        let guards = many(&manager, &log, LIMIT, || Err(String::from("no disk")));
        let report = manager.teardown().stop_on_error().run();
        assert_eq!((report.cleaned(), report.failed()), (MANY - 1 - MIDDLE, 1));
        assert_eq!(report.skipped().len(), MIDDLE);
        assert!(report.skipped().iter().all(|one| one.reason == SkipReason::StoppedOnError));
        assert_eq!(manager.resource_count(), MIDDLE);
        assert!(guards[..MIDDLE].iter().all(|guard| ResourceGuard::state(guard) == ResourceState::Live));
        assert!(manager.cleanup().is_success());
        assert_eq!(*lock(&log), all_the_others());
    });
}

/// Whether a deadline of 150 times as long as each of many cleanups takes came when some had begun and others had not:
/// on a slow machine it may be over before the first has.
fn meets_a_deadline(each: Duration) -> bool {
    let (manager, log, over) = (manager(), Log::default(), Gate::new("the teardown"));
    let slow = |number: usize| {
        let (log, over) = (Arc::clone(&log), over.clone());
        manager.guard(number.to_string(), move || {
            over.opens_within(each);
            lock(&log).push(number);
        })
    };
    let _guards: Vec<_> = (0..MANY).map(slow).collect();
    let report = manager.teardown().deadline(each * 150).run();
    let done = lock(&log).clone();
    over.open();
    assert_eq!(report.processed(), MANY);
    assert!(report.skipped().iter().all(|one| one.reason == SkipReason::DeadlinePassed));
    assert!(report.skipped().iter().all(|one| manager.get(one.id).is_some()));
    // Who is held up is overtaken, and may have begun and not ended.
    let begun: Vec<usize> = report.timeline().iter().map(|entry| entry.label.parse().unwrap()).collect();
    assert!(begun.iter().copied().eq((0..MANY).rev().take(begun.len())), "{begun:?}");
    assert_eq!(report.cleaned() + report.timed_out(), begun.len());
    assert_eq!(report.skipped().len(), MANY - begun.len());
    let cleaned =
        report.timeline().iter().zip(&begun).filter(|(entry, _)| entry.outcome == ResourceOutcome::Cleaned);
    assert!(cleaned.into_iter().all(|(_, number)| done.contains(number)), "{done:?}");
    assert!(done.iter().all(|number| begun.contains(number)), "{done:?}");
    report.cleaned() > 0 && !report.skipped().is_empty()
}

#[test]
fn what_a_deadline_finds_not_begun_is_skipped_and_live() {
    watchdog(LIMIT, || {
        assert!([1, 8, 64].into_iter().any(|millis| meets_a_deadline(Duration::from_millis(millis))));
    });
}

#[test]
fn one_in_the_midst_that_uses_up_the_patience_of_a_deadline_is_overtaken_by_the_others() {
    watchdog(LIMIT, || {
        let (manager, log, last) = (manager(), Log::default(), Gate::new("the oldest cleanup"));
        let opens = last.clone();
        let _oldest = manager.guard("oldest", move || opens.open());
        let mut slow = Some(last);
        let resource = |number| match slow.take_if(|_| number == MIDDLE) {
            Some(last) => manager.guard("waits for the oldest", move || last.wait()),
            None => noting(&manager, &log, number),
        };
        let _guards: Vec<_> = (0..MANY).map(resource).collect();
        let report = manager.teardown().deadline(Duration::from_secs(4)).run();
        assert_eq!(report.cleaned(), MANY + 1, "{}", report.timed_out());
        assert_eq!(*lock(&log), all_the_others());
    });
}

#[test]
fn a_cleanup_in_the_midst_may_close_register_and_tear_down() {
    watchdog(LIMIT, || {
        let (manager, log, kept) = (manager(), Log::default(), Arc::new(Mutex::new(Vec::new())));
        let (inside, told, keep) = (manager.clone(), Arc::clone(&log), Arc::clone(&kept));
        let other = ResourceManager::new("another");
        let _elsewhere = noting(&other, &log, 90_001);
        lock(&kept).push(noting(&manager, &log, 90_002));
        let guards = many(&manager, &log, LIMIT, move || {
            let later = lock(&keep).pop().expect("one that has not had its turn");
            ResourceGuard::close(later).map_err(|error| error.to_string())?;
            assert!(other.cleanup().is_success());
            assert!(inside.cleanup().is_handed_over());
            let pool = noting(&inside, &told, 90_003);
            let needs =
                inside.resource("late").depends_on(&pool).guard(|| ()).map_err(|it| it.to_string())?;
            lock(&keep).extend([needs, pool]);
            Ok(())
        });
        let report = manager.cleanup();
        assert!(report.is_success(), "{} of {}", report.cleaned(), report.processed());
        assert_eq!(report.cleaned(), MANY + 1, "what was closed was this teardown's as well");
        // The request that was handed over has cleaned what came late.
        let mut expected = all_the_others();
        expected.splice(MANY - 1 - MIDDLE..MANY - 1 - MIDDLE, [90_002, 90_001]);
        expected.push(90_003);
        assert_eq!(*lock(&log), expected);
        assert!(guards.iter().all(|guard| ResourceGuard::state(guard) == ResourceState::Cleaned));
    });
}

#[test]
fn who_begins_to_listen_in_the_midst_hears_of_all_later_ends() {
    watchdog(LIMIT, || {
        let (manager, log, heard) = (manager(), Log::default(), Arc::new(AtomicUsize::new(0)));
        let (inside, hears) = (manager.clone(), Arc::clone(&heard));
        let subscription = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&subscription);
        let _guards = many(&manager, &log, LIMIT, move || {
            *lock(&keep) = Some(inside.subscribe(move |event| {
                if matches!(event, ResourceEvent::Cleaned { .. }) {
                    hears.fetch_add(1, Ordering::Relaxed);
                }
            }));
            Ok(())
        });
        assert!(manager.cleanup().is_success());
        // The middle one's own end, and those of all that is older.
        assert_eq!(heard.load(Ordering::Relaxed), MIDDLE + 1);
    });
}

#[test]
fn many_with_dependencies_and_priorities_go_as_the_plan_says() {
    watchdog(LIMIT, || {
        for late_edges in [false, true] {
            let (manager, log) = (manager(), Arc::new(Mutex::new(Vec::<ResourceId>::new())));
            let mut guards: Vec<ResourceGuard<()>> = Vec::new();
            for number in 0..MANY {
                let (log, own) = (Arc::clone(&log), Arc::new(Mutex::new(None)));
                let priority = [Priority::Medium, Priority::Low, Priority::High][number * 7 % 3];
                let needs = [number / 2, number / 3].into_iter().filter(|at| number % 5 > 1 && *at < number);
                let needs: Vec<_> = needs.map(|at| ResourceGuard::id(&guards[at])).collect();
                let told = Arc::clone(&own);
                let mut one = manager.resource("one").priority(priority);
                for id in needs {
                    one = one.depends_on(id);
                }
                guards
                    .push(one.guard(move || lock(&log).extend(*lock(&told))).expect("what it needs is live"));
                *lock(&own) = Some(ResourceGuard::id(&guards[number]));
            }
            if late_edges {
                // From older to newer, and so no way round.
                for number in (0..MANY - 20).filter(|number| number % 5 < 2) {
                    let newer =
                        (number..number + 20).find(|at| at % 5 > 1).expect("there is one in any five");
                    let (late, needed) =
                        (ResourceGuard::id(&guards[number]), ResourceGuard::id(&guards[newer]));
                    drop(manager.add_dependency(late, needed));
                }
            }
            let plan = manager.plan().order();
            assert!(manager.cleanup().is_success());
            assert_eq!(*lock(&log), plan, "late edges: {late_edges}");
        }
    });
}

#[test]
fn side_by_side_each_runs_once_and_after_all_that_depends_on_it() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), Arc::new(Mutex::new(Vec::<usize>::new())));
        let mut guards: Vec<ResourceGuard<()>> = Vec::new();
        for number in 0..MANY {
            let told = Arc::clone(&log);
            let one = manager.resource("one");
            let one = if number > 0 && number % 3 > 0 { one.depends_on(&guards[number / 2]) } else { one };
            guards.push(one.guard(move || lock(&told).push(number)).expect("what it needs is live"));
        }
        let report = manager.teardown().concurrency(4).run();
        assert_eq!(report.cleaned(), MANY);
        let log = lock(&log);
        let at: HashMap<usize, usize> = log.iter().enumerate().map(|(at, number)| (*number, at)).collect();
        assert_eq!((log.len(), at.len()), (MANY, MANY));
        for number in (1..MANY).filter(|number| number % 3 > 0) {
            assert!(at[&number] < at[&(number / 2)], "{number} depends on {}", number / 2);
        }
    });
}

#[test]
fn what_a_busy_worker_has_not_begun_is_taken_over_by_an_idle_one() {
    watchdog(LIMIT, || {
        // Nobody else looks after what takes long.
        let never = ManagerConfig::default().default_timeout(Duration::MAX).slow_after(Duration::MAX);
        let (manager, log) = (manager_with(never), Log::default());
        let (all, left) = (Gate::new("all the others"), Arc::new(AtomicUsize::new(MANY - 1)));
        let mut waiting = Some(all.clone());
        let resource = |number| match waiting.take_if(|_| number == MIDDLE) {
            Some(all) => manager.guard("waits for all the others", move || all.wait()),
            None => {
                let (left, all, log) = (Arc::clone(&left), all.clone(), Arc::clone(&log));
                manager.guard("quick", move || {
                    lock(&log).push(number);
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        all.open();
                    }
                })
            }
        };
        let _guards: Vec<_> = (0..MANY).map(resource).collect();
        assert!(manager.teardown().concurrency(2).run().is_success());
        let mut log = lock(&log).clone();
        log.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(log, all_the_others());
    });
}

#[test]
fn a_thread_that_has_done_one_teardown_does_the_next() {
    watchdog(LIMIT, || {
        let mut threads: HashMap<ThreadId, usize> = HashMap::new();
        // It takes the thread a moment to be free again, and other tests want it as well.
        for _ in 0..1_000 {
            let (manager, ran_on) = (manager(), Arc::new(Mutex::new(None)));
            let told = Arc::clone(&ran_on);
            let _guard = manager.guard("one", move || *lock(&told) = Some(thread::current().id()));
            assert!(manager.cleanup().is_success());
            let thread = lock(&ran_on).take().expect("it has run");
            let times = threads.entry(thread).or_default();
            *times += 1;
            if *times == 3 {
                return;
            }
        }
        panic!("every teardown had a thread of its own");
    });
}
