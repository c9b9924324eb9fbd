//! Teardowns for which memory is refused: in slices, and nothing is left out, done twice or done out of order.
//!
//! The allocator of this process refuses, while it is told to, every single request above [`MOST`]. It is unsafe to
//! implement; each call goes to the system's allocator unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use castoff::{ManagerConfig, ResourceGuard, ResourceId, ResourceManager, SkipReason, TeardownReport};

const MANY: usize = 50_000;
/// Where it need not be as many.
const SOME: usize = 10_000;
const MOST: usize = 256 * 1024;
const LIMIT: Duration = Duration::from_secs(60);

struct Scarce;

static ARMED: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

// SAFETY: memory comes from and goes to the system's allocator, with the layout it was asked for; null is an answer
// that callers of `alloc` have to expect.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        if size > MOST && ARMED.load(Relaxed) {
            REFUSED.fetch_add(1, Relaxed);
            return std::ptr::null_mut();
        }
        // What is large enough is the question whether there is room, and not part of what is used.
        if LARGEST.fetch_max(size, Relaxed) >= size {
            PEAK.fetch_max(IN_USE.fetch_add(size, Relaxed) + size, Relaxed);
        } else {
            IN_USE.fetch_add(size, Relaxed);
        }
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer is from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One test at a time: the allocator is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` on a thread of its own and fails if it has not ended in time.
fn watchdog(body: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        tell.send(()).ok();
    });
    if told.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("not done after {LIMIT:?}");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What `act` returns while memory is scarce, and how often that was felt.
fn scarce<R>(act: impl FnOnce() -> R) -> (R, usize) {
    REFUSED.store(0, SeqCst);
    ARMED.store(true, SeqCst);
    let result = act();
    ARMED.store(false, SeqCst);
    (result, REFUSED.load(SeqCst))
}

/// When each cleanup ran, by number: zero for never. Made in advance, so that a cleanup allocates nothing.
struct Log {
    next: AtomicUsize,
    at: Vec<AtomicUsize>,
    twice: AtomicUsize,
}

impl Log {
    fn new(count: usize) -> Arc<Log> {
        let at = (0..count).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Log { next: AtomicUsize::new(1), at, twice: AtomicUsize::new(0) })
    }

    fn cleanup(self: &Arc<Log>, number: usize) -> impl FnOnce() + Send + 'static + use<> {
        let log = self.clone();
        move || {
            let before = log.at[number].swap(log.next.fetch_add(1, SeqCst), SeqCst);
            log.twice.fetch_add(usize::from(before > 0), SeqCst);
        }
    }

    fn at(&self, number: usize) -> usize {
        self.at[number].load(SeqCst)
    }

    #[track_caller]
    fn ran_once_each(&self, count: usize) {
        assert_eq!(self.twice.load(SeqCst), 0, "cleanups that ran again");
        assert_eq!(self.at.iter().filter(|at| at.load(SeqCst) > 0).count(), count, "cleanups that ran");
    }
}

struct World {
    manager: ResourceManager,
    log: Arc<Log>,
    guards: Vec<ResourceGuard<()>>,
    /// The number of a dependent, and of what it depends on.
    edges: Vec<(usize, usize)>,
}

impl World {
    /// So many that depend on nothing, oldest first.
    fn unlinked(count: usize) -> World {
        let (manager, log) = (ResourceManager::isolated("scarce", ManagerConfig::default()), Log::new(count));
        let guards = (0..count).map(|n| manager.guard("one", log.cleanup(n))).collect();
        World { manager, log, guards, edges: Vec::new() }
    }

    /// Chains of ten, their ends in a child manager and their beginnings all on the very first; of a hundred of them
    /// the beginning also depends on that of a much newer one.
    fn linked(count: usize) -> World {
        let (manager, log) = (ResourceManager::isolated("scarce", ManagerConfig::default()), Log::new(count));
        let child = manager.child("below");
        let mut guards: Vec<ResourceGuard<()>> = Vec::with_capacity(count);
        let mut edges = Vec::new();
        for n in 0..count {
            let needs: Vec<usize> = match n {
                0 => Vec::new(),
                _ if n % 10 == 0 => vec![0],
                _ => vec![n - 1],
            };
            let home = if n > 0 && n % 10 == 9 { &child } else { &manager };
            let on = needs.iter().map(|at| &guards[*at]);
            let guard = home.resource("one").depends_on_all(on).guard(log.cleanup(n)).expect("no circle");
            edges.extend(needs.iter().map(|on| (n, *on)));
            guards.push(guard);
        }
        for n in 1..100 {
            let (dependent, dependency) = (10 * n, count - 10 * n);
            manager
                .add_dependency((&guards[dependent]).into(), (&guards[dependency]).into())
                .expect("no circle");
            edges.push((dependent, dependency));
        }
        World { manager, log, guards, edges }
    }

    /// So many pools for each of these servers, which have none in common.
    fn fans(servers: usize, each: usize) -> World {
        let pools = servers * each;
        let (manager, log) =
            (ResourceManager::isolated("scarce", ManagerConfig::default()), Log::new(pools + servers));
        let mut guards: Vec<_> = (0..pools).map(|n| manager.guard("pool", log.cleanup(n))).collect();
        let mut edges = Vec::new();
        for n in 0..servers {
            let needs = n * each..(n + 1) * each;
            let resource = manager.resource("server").depends_on_all(&guards[needs.clone()]);
            let guard = resource.guard(log.cleanup(pools + n)).expect("no circle");
            edges.extend(needs.map(|pool| (pools + n, pool)));
            guards.push(guard);
        }
        World { manager, log, guards, edges }
    }

    fn id(&self, number: usize) -> ResourceId {
        ResourceGuard::id(&self.guards[number])
    }

    #[track_caller]
    fn dependents_ran_first(&self) {
        for (dependent, dependency) in &self.edges {
            let (first, then) = (self.log.at(*dependent), self.log.at(*dependency));
            assert!(
                then == 0 || first > 0 && first < then,
                "{dependency} ran before {dependent}: {then}, {first}"
            );
        }
    }
}

#[track_caller]
fn all_cleaned(report: &TeardownReport, count: usize) {
    assert_eq!((report.cleaned(), report.processed()), (count, count), "{report}");
    assert!(report.is_success());
    assert_eq!(report.timeline().len() + report.unlisted(), count);
    assert_eq!(report.by_category().iter().map(|one| one.cleaned).sum::<usize>(), count);
}

#[test]
fn every_resource_is_cleaned_once_in_dependency_order() {
    let _alone = alone();
    watchdog(|| {
        let world = World::linked(MANY);
        let (report, refused) = scarce(|| world.manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(MANY);
        world.dependents_ran_first();
        all_cleaned(&report, MANY);
        assert!(report.unlisted() > 0, "a list of all would not fit");
        let text = report.to_string();
        assert!(text.starts_with("teardown of `scarce`: 50000 cleaned, in "), "{text}");
        assert!(
            text.contains(&format!("  ... {} more, not listed for want of memory", report.unlisted())),
            "{text}"
        );
        assert_eq!(world.manager.resource_count(), 0);
    });
}

#[test]
fn several_cleanups_at_once_keep_the_dependencies_too() {
    let _alone = alone();
    watchdog(|| {
        let world = World::linked(SOME);
        let (report, refused) = scarce(|| world.manager.teardown().concurrency(4).run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME);
        world.dependents_ran_first();
        all_cleaned(&report, SOME);
    });
}

#[test]
fn what_needs_more_than_there_is_room_to_note_is_cleaned_before_all_of_that() {
    let _alone = alone();
    watchdog(|| {
        let (servers, each) = (512, 64);
        let world = World::fans(servers, each);
        let (report, refused) = scarce(|| world.manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(servers * (each + 1));
        world.dependents_ran_first();
        all_cleaned(&report, servers * (each + 1));
    });
}

#[test]
fn a_shutdown_ends_everything_too() {
    let _alone = alone();
    watchdog(|| {
        let world = World::linked(SOME);
        let (report, refused) = scarce(|| world.manager.shutdown());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME);
        world.dependents_ran_first();
        all_cleaned(&report, SOME);
    });
}

#[test]
fn with_memory_all_are_in_one_order_and_listed() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(MANY);
        let report = world.manager.cleanup();
        all_cleaned(&report, MANY);
        assert_eq!((report.unlisted(), report.timeline().len()), (0, MANY));
        assert!((0..MANY).all(|n| world.log.at(n) == MANY - n), "newest first over all");
        assert!(!report.to_string().contains("want of memory"));
    });
}

#[test]
fn without_dependencies_the_newest_still_go_first() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(MANY);
        let (report, refused) = scarce(|| world.manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        all_cleaned(&report, MANY);
        assert!((0..MANY).all(|n| world.log.at(n) == MANY - n), "newest first over all");
    });
}

#[test]
fn past_the_deadline_nothing_runs_and_all_are_counted_as_skipped() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let (report, refused) = scarce(|| world.manager.teardown().deadline(Duration::ZERO).run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(0);
        assert_eq!((report.cleaned(), report.processed(), report.is_success()), (0, SOME, false));
        assert_eq!(report.skipped().len() + report.unlisted(), SOME);
        assert!(!report.skipped().is_empty());
        assert!(report.skipped().iter().all(|one| one.reason == SkipReason::DeadlinePassed));
        assert_eq!(world.manager.resource_count(), SOME);
        all_cleaned(&world.manager.cleanup(), SOME);
    });
}

#[test]
fn what_something_outside_depends_on_is_skipped_with_its_dependent_named() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let kept =
            world.manager.resource("kept").depends_on(&world.guards[7]).guard(|| ()).expect("no circle");
        let teardown = || world.manager.teardown().exclude(&[(&kept).into()]);
        let (report, refused) = scarce(|| teardown().run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME - 1);
        assert_eq!((report.cleaned(), report.skipped().len()), (SOME - 1, 1), "{report}");
        assert_eq!(report.skipped()[0].id, world.id(7));
        assert_eq!(
            report.skipped()[0].reason,
            SkipReason::DependentOutside { dependents: vec!["kept".into()] }
        );
    });
}

#[test]
fn by_force_it_is_cleaned_too() {
    let _alone = alone();
    watchdog(|| {
        let world = World::linked(SOME);
        let last = world.id(SOME - 1);
        let (report, refused) = scarce(|| world.manager.teardown().exclude(&[last]).force().run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME - 1);
        assert_eq!((report.cleaned(), report.processed()), (SOME - 1, SOME - 1), "{report}");
        let held = |(dependent, _): &&(usize, usize)| *dependent != SOME - 1;
        for (dependent, dependency) in world.edges.iter().filter(held) {
            assert!(
                world.log.at(*dependent) < world.log.at(*dependency),
                "{dependency} ran before {dependent}"
            );
        }
    });
}

#[test]
fn after_the_first_error_nothing_more_starts_where_that_was_asked_for() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let _bad = world.manager.guard("bad", || Err("disk full"));
        let newer = world.manager.guard("newer", || ());
        let (report, refused) = scarce(|| world.manager.teardown().stop_on_error().run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(0);
        assert_eq!((report.cleaned(), report.failed(), report.processed()), (1, 1, SOME + 2), "{report}");
        assert_eq!(report.timeline()[0].id, ResourceGuard::id(&newer));
        assert_eq!(report.errors().len(), 1);
        assert!(report.skipped().iter().all(|one| one.reason == SkipReason::StoppedOnError));
    });
}

#[test]
fn a_cleanup_left_running_hears_of_no_later_slice() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let (end, ended) = mpsc::channel::<()>();
        let stuck = world.manager.resource("stuck").timeout(Duration::from_millis(20));
        let _stuck = stuck.guard(move || ended.recv().unwrap_or_default()).expect("it is live");
        let (report, refused) = scarce(|| world.manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME);
        assert_eq!(
            (report.timed_out(), report.cleaned(), report.processed()),
            (1, SOME, SOME + 1),
            "{report}"
        );
        drop(end);
    });
}

#[test]
fn what_cleanups_register_meanwhile_does_not_keep_it_going() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (manager, keep) = (world.manager.clone(), kept.clone());
        let _breeder = world.manager.guard("breeder", move || {
            let again = manager.guard("born late", || panic!("it is not part of this teardown"));
            keep.lock().unwrap_or_else(PoisonError::into_inner).push(again);
        });
        let (report, refused) = scarce(|| world.manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        assert_eq!((report.cleaned(), report.processed()), (SOME + 1, SOME + 1), "{report}");
        assert_eq!(world.manager.resource_count(), 1);
        for late in std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)) {
            ResourceGuard::release(late);
        }
    });
}

#[test]
fn what_is_asked_for_in_advance_is_enough() {
    let _alone = alone();
    watchdog(|| {
        for world in [World::unlinked(MANY), World::linked(MANY)] {
            let before = IN_USE.load(SeqCst);
            LARGEST.store(0, SeqCst);
            PEAK.store(before, SeqCst);
            let report = world.manager.cleanup();
            let (asked, took) = (LARGEST.load(SeqCst), PEAK.load(SeqCst) - before);
            assert!(asked >= took, "asked for {} bytes a resource, took {}", asked / MANY, took / MANY);
            assert!(asked < 2 * took, "asked for {} bytes a resource, took {}", asked / MANY, took / MANY);
            drop(report);
        }
    });
}

#[test]
fn so_many_that_not_even_their_ids_fit_are_counted_as_skipped_too() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(MANY);
        let (report, refused) = scarce(|| world.manager.teardown().deadline(Duration::ZERO).run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(0);
        assert_eq!((report.processed(), report.skipped().len() + report.unlisted()), (MANY, MANY));
        assert_eq!(report.by_category().iter().map(|one| one.skipped).sum::<usize>(), MANY);
    });
}

#[test]
fn failures_are_listed_for_as_long_as_there_is_room_and_counted_beyond() {
    let _alone = alone();
    watchdog(|| {
        let manager = ResourceManager::isolated("scarce", ManagerConfig::default());
        let _guards: Vec<_> = (0..SOME).map(|_| manager.guard("bad", || Err("disk full"))).collect();
        let (report, refused) = scarce(|| manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        assert_eq!((report.failed(), report.processed()), (SOME, SOME));
        assert_eq!(report.timeline().len() + report.unlisted(), SOME);
        assert!(report.unlisted() > 0 && !report.timeline().is_empty() && !report.errors().is_empty());
        assert_eq!(report.by_category().iter().map(|one| one.failed).sum::<usize>(), SOME);
    });
}

#[test]
fn what_another_thread_still_cleans_is_waited_for_once_and_in_no_later_slice() {
    let _alone = alone();
    watchdog(|| {
        let config = ManagerConfig::default().default_timeout(Duration::from_secs(1));
        let (manager, log) = (ResourceManager::isolated("scarce", config), Log::new(SOME));
        let _guards: Vec<_> = (0..SOME).map(|n| manager.guard("one", log.cleanup(n))).collect();
        let (begin, begun) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let stuck = manager.guard("stuck", move || {
            begin.send(()).unwrap_or(());
            ended.recv().unwrap_or_default();
        });
        let dropper = std::thread::spawn(move || drop(stuck));
        begun.recv().expect("its cleanup begins");
        let (report, refused) = scarce(|| manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        log.ran_once_each(SOME);
        let counts = (report.timed_out(), report.cleaned(), report.processed());
        assert_eq!(counts, (1, SOME, SOME + 1), "{report}");
        drop(end);
        dropper.join().expect("its drop returns");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_stands_behind_something_that_is_left_is_left_with_that_named() {
    let _alone = alone();
    watchdog(|| {
        let world = World::unlinked(SOME);
        let behind = world.manager.resource("behind").depends_on(&world.guards[7]);
        let behind = behind.guard(|| panic!("it is needed")).expect("no circle");
        let kept = world.manager.resource("kept").depends_on(&behind).guard(|| ()).expect("no circle");
        let teardown = || world.manager.teardown().exclude(&[(&kept).into()]);
        let (report, refused) = scarce(|| teardown().run());
        assert!(refused > 0, "memory was never refused");
        world.log.ran_once_each(SOME - 1);
        let reason = |id| report.skipped().iter().find(|one| one.id == id).map(|one| one.reason.clone());
        assert_eq!((report.cleaned(), report.skipped().len()), (SOME - 1, 2), "{report}");
        let outside = SkipReason::DependentOutside { dependents: vec!["kept".into()] };
        assert_eq!(reason((&behind).into()), Some(outside));
        let skipped = SkipReason::BehindSkipped { dependents: vec!["behind".into()] };
        assert_eq!(reason(world.id(7)), Some(skipped));
        ResourceGuard::release(kept);
        ResourceGuard::release(behind);
    });
}

#[test]
fn the_newest_go_first_whichever_thread_registered_them() {
    let _alone = alone();
    watchdog(|| {
        let (manager, log) = (ResourceManager::isolated("scarce", ManagerConfig::default()), Log::new(SOME));
        let mut guards = Vec::with_capacity(SOME);
        // In turns: whichever's are looked at first, the other has newer ones.
        for turn in 0..4 {
            let register = || -> Vec<_> {
                let numbers = turn * SOME / 4..(turn + 1) * SOME / 4;
                numbers.map(|n| manager.guard("one", log.cleanup(n))).collect()
            };
            guards.extend(match turn % 2 {
                0 => register(),
                _ => std::thread::scope(|scope| scope.spawn(register).join().expect("it registers")),
            });
        }
        let (report, refused) = scarce(|| manager.cleanup());
        assert!(refused > 0, "memory was never refused");
        all_cleaned(&report, SOME);
        assert!((0..SOME).all(|n| log.at(n) == SOME - n), "newest first over all");
    });
}
