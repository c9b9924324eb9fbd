//! The waves of a shutdown: as many as there is something to do for, within one deadline.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{CleanupContext, ManagerConfig, RegisterError, ResourceEvent, ResourceGuard, ResourceManager};

use crate::support::{Gate, Hang, LIMIT, OrderLog, Recorder, lock, manager, manager_with, until};
use crate::support::{shortly, watchdog};

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

/// A newcomer's registration, if it was not refused.
type Registers = fn(&ResourceManager) -> Option<ResourceGuard<()>>;

/// A shutdown that somebody meets who has begun to register: he does not come to an end of it before `told`. Returns how
/// many waves there were, how many resources it has cleaned, and what became of his.
fn met_by_a_newcomer(
    register: Registers,
    told: impl Fn(usize, bool) -> bool + Send + Sync + 'static,
) -> (usize, usize, Option<ResourceGuard<()>>) {
    let manager = manager_with(ManagerConfig::default().shutdown_deadline(Duration::MAX));
    let (begun, over) = (Gate::new("the newcomer"), Gate::new("the shutdown"));
    let (waves, meets, ended) = (Arc::new(AtomicUsize::new(0)), begun.clone(), over.clone());
    let counted = waves.clone();
    let _subscription = manager.subscribe(move |event| match event {
        ResourceEvent::TeardownStarted { .. } => {
            counted.fetch_add(1, SeqCst);
        }
        ResourceEvent::Registered { .. } => {
            meets.open();
            until("the shutdown to come so far", || told(counted.load(SeqCst), ended.is_open()));
        }
        _ => {}
    });
    let registers = manager.clone();
    let newcomer = thread::spawn(move || register(&registers));
    begun.wait();
    let cleaned = manager.shutdown().cleaned();
    let in_all = waves.load(SeqCst);
    over.open();
    (in_all, cleaned, newcomer.join().expect("it only registers"))
}

fn unrefused(manager: &ResourceManager) -> Option<ResourceGuard<()>> {
    Some(manager.guard("late", || ()))
}

fn refusable(manager: &ResourceManager) -> Option<ResourceGuard<()>> {
    manager.resource("late").guard(|| ()).ok()
}

fn refusable_by_name(manager: &ResourceManager) -> Option<ResourceGuard<()>> {
    manager.resource("late").named("late").guard(|| ()).ok()
}

#[test]
fn a_shutdown_goes_on_for_who_has_begun_to_register_before_it_sealed() {
    watchdog(LIMIT, || {
        // On a busy machine he may come too late all the same.
        let was_cleaned = || met_by_a_newcomer(unrefused, |waves, is_over| waves > 4 || is_over).1 == 1;
        assert!((0..20).any(|_| was_cleaned()));
    });
}

#[test]
fn who_is_let_in_while_a_shutdown_seals_is_cleaned_by_it() {
    watchdog(LIMIT, || {
        for waves in 1..6 {
            let (_, cleaned, guard) =
                met_by_a_newcomer(refusable, move |so_far, is_over| so_far >= waves || is_over);
            assert_eq!(cleaned, usize::from(guard.is_some()), "after {waves} waves");
        }
    });
}

#[test]
fn a_shutdown_does_not_wait_for_ever_for_who_has_begun_to_register_and_refuses_him_then() {
    watchdog(LIMIT, || {
        for register in [refusable, refusable_by_name] {
            let (waves, cleaned, guard) = met_by_a_newcomer(register, |_, is_over| is_over);
            assert!(waves > 50 && cleaned == 0 && guard.is_none(), "{waves}");
        }
    });
}

#[test]
fn who_is_refused_so_late_is_cleaned_before_what_he_needs() {
    watchdog(LIMIT, || {
        let (manager, order) = (manager(), OrderLog::new());
        let (begun, over) = (Gate::new("the newcomer"), Gate::new("the shutdown"));
        let pool = manager.guard("pool", order.cleanup("pool"));
        let (meets, ended) = (begun.clone(), over.clone());
        let _subscription = manager.subscribe(move |event| {
            if matches!(event, ResourceEvent::Registered { .. }) {
                meets.open();
                ended.wait();
            }
        });
        let (registers, id) = (manager.clone(), ResourceGuard::id(&pool));
        let cleanup = order.cleanup("late");
        let newcomer = thread::spawn(move || {
            registers.resource("late").named("late").depends_on(id).guard(cleanup).map(drop)
        });
        begun.wait();
        drop(pool);
        assert_eq!(manager.shutdown().cleaned(), 0);
        over.open();
        let refused = newcomer.join().expect("it only registers");
        assert!(matches!(refused, Err(RegisterError::ShutDown { .. })), "{refused:?}");
        order.assert_is(&["late", "pool"]);
        assert_eq!(manager.resource_count(), 0);
        assert!(manager.find("late").is_none());
    });
}

#[test]
fn a_shutdown_has_one_more_wave_for_what_it_could_not_clean_and_that_is_all() {
    watchdog(LIMIT, || {
        let short = ManagerConfig::default().default_timeout(Duration::from_millis(50));
        let parent = manager_with(short.shutdown_deadline(Duration::MAX));
        let (child, hang) = (parent.child("child"), Hang::new());
        let recorder = Recorder::on(&child);
        let pool = child.guard("pool", || ());
        let server = parent.resource("server").depends_on(&pool).guard(|| ()).unwrap();
        let stuck = child.guard("stuck", hang.cleanup());
        let elsewhere = thread::spawn(move || drop(stuck));
        hang.wait_started();
        let report = child.shutdown();
        assert_eq!((report.timed_out(), report.cleaned()), (1, 0));
        let started = recorder.words().iter().filter(|words| *words == "teardown started child").count();
        // The second ends nothing and seals, and after the third there is nobody who is about to be done.
        assert_eq!(started, 3);
        hang.release();
        elsewhere.join().expect("it only drops");
        drop((pool, server));
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
