//! Several threads register, drop, close, release and hand each other guards in one manager, while another tears it
//! down again and again and one more looks.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{
    Category, CleanupErrorKind, ManagerConfig, RegisterError, ResourceGuard, ResourceId, ResourceManager,
    TeardownReport,
};

use super::tally::Tally;
use super::watchdog::{Watchdog, Worker};
use super::{Dice, patience, scaled};

const PER_THREAD: usize = 12_000;
/// How many guards a thread holds at a time.
const HELD: usize = 16;
/// How many of the latest resources can be depended on by other threads.
const KNOWN: usize = 8;

/// What a resource may depend on.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Own,
    Anybodys,
}

/// What had to become of a resource.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Refused,
    Kept,
    Released,
}

struct Crowd {
    manager: ResourceManager,
    tally: Arc<Tally>,
    known: Mutex<Vec<(usize, ResourceId)>>,
    /// Guards on their way to another thread.
    handed: Mutex<Vec<(usize, ResourceGuard<()>)>>,
    done: AtomicBool,
}

#[test]
fn two_threads_lose_nothing_under_teardowns() {
    storm("two_threads_lose_nothing_under_teardowns", 2, Needs::Own);
}

#[test]
fn four_threads_lose_nothing_under_teardowns() {
    storm("four_threads_lose_nothing_under_teardowns", 4, Needs::Own);
}

#[test]
fn two_threads_that_depend_on_each_other_lose_nothing_under_teardowns() {
    storm("two_threads_that_depend_on_each_other_lose_nothing_under_teardowns", 2, Needs::Anybodys);
}

#[test]
fn four_threads_that_depend_on_each_other_lose_nothing_under_teardowns() {
    storm("four_threads_that_depend_on_each_other_lose_nothing_under_teardowns", 4, Needs::Anybodys);
}

fn storm(test: &'static str, threads: usize, needs: Needs) {
    let watchdog = Watchdog::new(test, patience());
    let per_thread = scaled(PER_THREAD);
    let crowd = Crowd {
        manager: ResourceManager::isolated("crowd", ManagerConfig::default()),
        tally: Tally::new(threads * per_thread),
        known: Mutex::default(),
        handed: Mutex::default(),
        done: AtomicBool::new(false),
    };
    let fates: Vec<Fate> = thread::scope(|scope| {
        let crowd = &crowd;
        let start = |thread: usize| {
            let worker = watchdog.worker(format!("registers, thread {thread}"));
            let mine = thread * per_thread..(thread + 1) * per_thread;
            scope.spawn(move || {
                mine.map(member(crowd, needs, Dice::new(thread), worker)).collect::<Vec<Fate>>()
            })
        };
        let members: Vec<_> = (0..threads).map(start).collect();
        let (tears, looks) = (watchdog.worker("tears down"), watchdog.worker("looks"));
        scope.spawn(move || tear_down_until_done(crowd, &tears));
        scope.spawn(move || look_until_done(crowd, &looks));
        let fates: Vec<_> = members.into_iter().map(|member| member.join()).collect();
        crowd.done.store(true, SeqCst);
        fates.into_iter().flat_map(|fates| fates.expect("a member of the crowd panicked")).collect()
    });
    let last = watchdog.worker("ends the storm");
    last.doing("cleanup()");
    check_report(&crowd.manager.cleanup());
    last.doing("dropping the guards that were handed over");
    crowd.handed.lock().expect("nobody panicked").clear();
    check(&crowd, &fates);
}

/// One member's turn for each of its numbers. What it still holds at the end, it drops.
fn member(
    crowd: &Crowd,
    needs: Needs,
    mut dice: Dice,
    worker: Worker,
) -> impl FnMut(usize) -> Fate + use<'_> {
    let mut held: Vec<(usize, ResourceGuard<()>)> = Vec::new();
    move |one| {
        let mut wanted: Vec<(usize, ResourceId)> = Vec::new();
        if !held.is_empty() && dice.roll(2) == 0 {
            let (known, guard) = &held[dice.roll(held.len())];
            wanted.push((*known, guard.into()));
        }
        if needs == Needs::Anybodys && dice.roll(2) == 0 {
            let known = crowd.known.lock().expect("nobody panics here");
            wanted.extend(known.get(dice.roll(KNOWN)));
        }
        worker.doing("registering");
        let category = [Category::Event, Category::File, Category::Network][dice.roll(3)];
        let registration = crowd.manager.resource("a member's").category(category);
        let registration = registration.depends_on_all(wanted.iter().map(|(_, id)| *id));
        let needed = wanted.iter().map(|(known, _)| *known).collect();
        let fate = match registration.guard(crowd.tally.moody_cleanup(one, needed)) {
            Ok(guard) => {
                let mut known = crowd.known.lock().expect("nobody panics here");
                let place = dice.roll(KNOWN);
                match known.get_mut(place) {
                    Some(known) => *known = (one, ResourceGuard::id(&guard)),
                    None => known.push((one, ResourceGuard::id(&guard))),
                }
                held.push((one, guard));
                Fate::Kept
            }
            Err(RegisterError::DependencyGone { .. }) if !wanted.is_empty() => Fate::Refused,
            Err(other) => panic!("refused: {other}"),
        };
        if held.len() < HELD {
            return fate;
        }
        let (other, guard) = held.swap_remove(dice.roll(HELD));
        let released = let_go(crowd, &mut dice, &worker, other, guard, one);
        if released && other == one { Fate::Released } else { fate }
    }
}

/// Whether it was released. Only the newest is: its fate is still to be told.
fn let_go(
    crowd: &Crowd,
    dice: &mut Dice,
    worker: &Worker,
    other: usize,
    guard: ResourceGuard<()>,
    newest: usize,
) -> bool {
    match dice.roll(8) {
        _ if other == newest => {
            worker.doing("release()");
            ResourceGuard::release(guard);
            return true;
        }
        0 | 1 => {
            worker.doing("close()");
            match ResourceGuard::close(guard).map_err(|error| error.kind) {
                Ok(()) | Err(CleanupErrorKind::Deferred { .. }) => {}
                Err(CleanupErrorKind::Failed(_) | CleanupErrorKind::Panicked(_))
                    if Tally::is_moody(other) => {}
                Err(kind) => panic!("close() of {other}: {kind:?}"),
            }
        }
        2 => {
            worker.doing("handing over");
            let mut handed = crowd.handed.lock().expect("nobody panics here");
            let place = dice.roll(handed.len() + 1);
            handed.insert(place, (other, guard));
            let theirs = if handed.len() > HELD { handed.pop() } else { None };
            drop(handed);
            worker.doing("dropping another thread's guard");
            drop(theirs);
        }
        _ => {
            worker.doing("dropping");
            drop(guard);
        }
    }
    false
}

fn tear_down_until_done(crowd: &Crowd, worker: &Worker) {
    let mut dice = Dice::new(77);
    while !crowd.done.load(SeqCst) {
        let manager = &crowd.manager;
        let report = match dice.roll(4) {
            0 => {
                worker.doing("cleanup()");
                manager.cleanup()
            }
            1 => {
                worker.doing("teardown().concurrency(2).run()");
                manager.teardown().concurrency(2).run()
            }
            2 => {
                worker.doing("cleanup_by_category()");
                manager.cleanup_by_category(Category::File)
            }
            _ => {
                worker.doing("cleanup_batch()");
                let known: Vec<ResourceId> =
                    crowd.known.lock().expect("nobody panics here").iter().map(|(_, id)| *id).collect();
                if known.is_empty() { manager.cleanup() } else { manager.cleanup_batch(&known) }
            }
        };
        check_report(&report);
    }
}

/// One outcome for each that was selected.
fn check_report(report: &TeardownReport) {
    let outcomes = report.cleaned() + report.failed() + report.timed_out() + report.skipped().len();
    assert_eq!(report.processed(), outcomes, "{report}");
    assert_eq!(report.timed_out(), 0, "{report}");
    assert!(!report.is_handed_over());
    let skipped = report.skipped().iter().map(|skip| skip.id);
    assert_unique("skipped()", skipped.collect());
    assert_unique("errors()", report.errors().iter().map(|error| error.id).collect());
    assert_unique("timeline()", report.timeline().iter().map(|entry| entry.id).collect());
}

fn assert_unique(what: &str, ids: Vec<ResourceId>) {
    let different: HashSet<ResourceId> = ids.iter().copied().collect();
    assert_eq!(different.len(), ids.len(), "{what} has one twice");
}

fn look_until_done(crowd: &Crowd, worker: &Worker) {
    while !crowd.done.load(SeqCst) {
        worker.doing("resources()");
        let resources = crowd.manager.resources();
        assert_unique("resources()", resources.iter().map(|info| info.id).collect());
        worker.doing("get()");
        for info in resources.iter().take(4) {
            assert!(crowd.manager.get(info.id).is_none_or(|again| again.label == info.label));
        }
        worker.doing("resource_count() and stats()");
        let most = crowd.tally.len();
        assert!(crowd.manager.resource_count() <= most && crowd.manager.stats().live <= most);
        worker.doing("plan()");
        assert_unique("plan().order()", crowd.manager.plan().order());
    }
}

fn check(crowd: &Crowd, fates: &[Fate]) {
    assert_eq!(crowd.manager.resource_count(), 0);
    crowd.tally.assert_runs(|one, runs| match fates[one] {
        Fate::Refused | Fate::Kept => runs == 1,
        // A teardown may have been there before.
        Fate::Released => runs <= 1,
    });
    let fates = fates.iter().copied().enumerate();
    let accepted: Vec<(usize, Fate)> = fates.filter(|(_, fate)| *fate != Fate::Refused).collect();
    let overtaken: Vec<&(usize, Fate)> =
        accepted.iter().filter(|(one, _)| crowd.tally.is_late(*one)).collect();
    assert!(overtaken.is_empty(), "cleaned after what they depend on: {overtaken:?}");

    let stats = crowd.manager.stats();
    assert_eq!(stats.registered, accepted.len() as u64);
    assert_eq!(stats.cleaned + stats.failed + stats.timed_out + stats.released, stats.registered);
    assert_eq!((stats.live, stats.timed_out), (0, 0));
    let ran = accepted.iter().filter(|(one, _)| crowd.tally.runs(*one) == 1).count();
    assert_eq!(stats.cleaned + stats.failed, ran as u64);
}
