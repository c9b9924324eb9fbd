//! How much it holds: millions of guards, of tracked items, of hanging and of panicking cleanups, each of them counted.
//!
//! `cargo test --release -p castoff-attacks --test load -- --nocapture --test-threads=1` prints the figures of
//! docs/reliability.md. `CASTOFF_LOAD` divides the sizes: 100 for a short look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, MemoryUsage, ResourceGuard, ResourceManager};

fn scaled(size: usize) -> usize {
    size / std::env::var("CASTOFF_LOAD").map_or(1, |it| it.parse().expect("CASTOFF_LOAD is a number"))
}

fn manager() -> ResourceManager {
    ResourceManager::isolated("load", ManagerConfig::default())
}

/// How often each of so many cleanups ran.
struct Tally(Vec<AtomicU8>);

impl Tally {
    fn new(count: usize) -> Arc<Tally> {
        Arc::new(Tally((0..count).map(|_| AtomicU8::new(0)).collect()))
    }

    fn cleanup(self: &Arc<Tally>, one: usize) -> impl FnOnce() + Send + 'static + use<> {
        let tally = self.clone();
        move || {
            tally.0[one].fetch_add(1, Relaxed);
            // The bug that the figures have to show.
            if cfg!(castoff_planted = "twice") && one == 7 {
                tally.0[one].fetch_add(1, Relaxed);
            }
        }
    }

    /// How many never ran, and how many more than once.
    fn wrong(&self) -> (usize, usize) {
        let count = |which: fn(u8) -> bool| self.0.iter().filter(|it| which(it.load(Relaxed))).count();
        (count(|it| it == 0), count(|it| it > 1))
    }
}

/// Aborts the process unless it is dropped in time: a hang is a failure with a name.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn new(what: &'static str, limit: Duration) -> Watchdog {
        let over = Arc::new(AtomicBool::new(false));
        let (watched, start) = (over.clone(), Instant::now());
        thread::spawn(move || {
            while !watched.load(SeqCst) {
                if start.elapsed() > limit {
                    eprintln!("{what}: not done after {limit:?}");
                    std::process::abort();
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Watchdog(over)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn ten_million_guards_are_made_and_dropped_by_two_threads() {
    let _watchdog = Watchdog::new("ten million", PATIENCE);
    let each = scaled(5_000_000);
    let (manager, tally, start) = (manager(), Tally::new(2 * each), Instant::now());
    thread::scope(|scope| {
        for part in 0..2 {
            let (manager, tally) = (&manager, &tally);
            let work = move || {
                (part * each..(part + 1) * each)
                    .for_each(|one| drop(manager.guard("one", tally.cleanup(one))));
            };
            scope.spawn(work);
        }
    });
    let took = start.elapsed();
    let ((lost, twice), stats) = (tally.wrong(), manager.stats());
    println!("{} guards made and dropped by 2 threads: {lost} lost, {twice} twice, in {took:.1?}", 2 * each);
    assert_eq!((lost, twice, manager.resource_count()), (0, 0, 0));
    assert_eq!((stats.registered, stats.cleaned), (2 * each as u64, 2 * each as u64));
}

#[test]
fn a_million_live_at_once_are_torn_down() {
    let _watchdog = Watchdog::new("a million", PATIENCE);
    let count = scaled(1_000_000);
    let (manager, tally) = (manager(), Tally::new(count));
    let before = MemoryUsage::now().map_or(0, |it| it.resident);
    let guards: Vec<_> = (0..count).map(|one| manager.guard("one", tally.cleanup(one))).collect();
    let after = MemoryUsage::now().map_or(0, |it| it.resident);
    let (live, start) = (manager.resource_count(), Instant::now());
    let report = manager.cleanup();
    let took = start.elapsed();
    let (lost, twice) = tally.wrong();
    println!(
        "{live} live at once, {} bytes resident each: {lost} lost, {twice} twice, torn down in {took:.1?}",
        after.saturating_sub(before) / count as u64
    );
    assert_eq!((lost, twice, live, report.cleaned()), (0, 0, count, count));
    drop(guards);
    assert_eq!(tally.wrong(), (0, 0));
}

/// In scopes of a hundred, each of which looks for leaks at its end, while 49 other threads make and drop theirs and one
/// looks at the global manager.
#[test]
fn five_million_tracked_items_on_fifty_threads_raise_no_false_alarm() {
    let _watchdog = Watchdog::new("fifty threads", PATIENCE);
    let scopes = scaled(1_000);
    let (tally, over, alarms) = (Tally::new(5_000 * scopes), AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    let looks = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(SeqCst) {
                std::hint::black_box(ResourceManager::global().detect_leaks());
                looks += 1;
            }
            looks
        });
        let threads: Vec<_> = (0..50)
            .map(|part| {
                let (tally, alarms) = (&tally, &alarms);
                let one = move |at: usize| is_alarm(tally, (part * scopes + at) * 100);
                scope.spawn(move || {
                    alarms.fetch_add((0..scopes).filter(|at| one(*at)).count(), SeqCst);
                })
            })
            .collect();
        threads.into_iter().for_each(|it| it.join().expect("it only counts"));
        over.store(true, SeqCst);
        watch.join().expect("it only looks")
    });
    let took = start.elapsed();
    let ((lost, twice), alarms) = (tally.wrong(), alarms.into_inner());
    // And a scope that leaks does say so.
    let leaky = || castoff::testing::scope(|manager| std::mem::forget(manager.guard("kept", || ())));
    let planted = usize::from(std::panic::catch_unwind(leaky).is_err());
    println!(
        "{} items in {} scopes on 50 threads, {looks} looks at the global manager meanwhile: {alarms} false alarms, {planted} of 1 \
         planted found, {lost} lost, {twice} twice, in {took:.1?}",
        5_000 * scopes,
        50 * scopes
    );
    assert_eq!((alarms, planted, lost, twice), (0, 1, 0, 0));
    assert!(looks > 0);
}

/// Whether a scope that leaks nothing says that it does. Of its hundred items up to sixteen are live at once.
fn is_alarm(tally: &Arc<Tally>, first: usize) -> bool {
    let body = |manager: &ResourceManager| {
        let mut kept = std::collections::VecDeque::new();
        for one in first..first + 100 {
            kept.push_back(manager.guard("one", tally.cleanup(one)));
            if kept.len() > 16 {
                kept.pop_front();
            }
        }
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| castoff::testing::scope(body))).is_err()
}

#[test]
fn a_hundred_of_a_hundred_cleanups_that_panic_are_a_hundred_errors() {
    std::panic::set_hook(Box::new(|_| {}));
    let (manager, ran) = (manager(), Arc::new(AtomicUsize::new(0)));
    let guards: Vec<_> = (0..100)
        .map(|_| {
            let ran = ran.clone();
            manager.guard("panics", move || {
                ran.fetch_add(1, SeqCst);
                panic!("on purpose");
            })
        })
        .collect();
    let report = manager.cleanup();
    println!(
        "100 of 100 cleanups panic: {} ran, {} named as panicked, {} left",
        ran.load(SeqCst),
        report.errors().len(),
        manager.resource_count()
    );
    assert_eq!((ran.load(SeqCst), report.errors().len(), manager.resource_count()), (100, 100, 0));
    drop(guards);
    assert_eq!(ran.load(SeqCst), 100);
}

/// They hang for ever, each with a limit of its own: the others are cleaned, and all of it ends by the limit.
#[test]
fn a_thousand_hanging_cleanups_that_await_take_no_other_with_them() {
    let _watchdog = Watchdog::new("a thousand", PATIENCE);
    let limit = Duration::from_millis(500);
    let (manager, ran) = (manager(), Arc::new(AtomicUsize::new(0)));
    let mut guards: Vec<ResourceGuard<()>> = Vec::new();
    for one in 0..scaled(2_000) {
        let ran = ran.clone();
        let registration = manager.resource("one").timeout(limit);
        let guard = registration.guard_async(move || async move {
            if one % 2 == 0 {
                std::future::pending::<()>().await;
            }
            ran.fetch_add(1, SeqCst);
        });
        guards.push(guard.expect("nothing is refused"));
    }
    let hang = scaled(2_000) / 2;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let start = Instant::now();
    let report = runtime.expect("a runtime").block_on(manager.teardown().concurrency(hang).run_async());
    let took = start.elapsed();
    println!(
        "{hang} of {} cleanups hang, each with a limit of {limit:?}: {} timed out, {} cleaned, in {took:.1?}",
        2 * hang,
        report.timed_out(),
        report.cleaned()
    );
    assert_eq!((report.timed_out(), report.cleaned(), ran.load(SeqCst)), (hang, hang, hang), "{report}");
}
