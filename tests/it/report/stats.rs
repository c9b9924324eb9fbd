//! Statistics: totals since the beginning, what is live now, ages and how long cleanups take.

use std::thread;
use std::time::{Duration, Instant};

use castoff::{Category, ResourceGuard};

use crate::support::{Hang, LIMIT, manager, watchdog};

/// Ages come from a clock with steps of some milliseconds.
const CLOCK: Duration = Duration::from_millis(20);

#[test]
fn a_new_manager_has_counted_nothing() {
    let stats = manager().stats();
    assert_eq!((stats.live, stats.registered, stats.cleaned), (0, 0, 0));
    assert_eq!((stats.failed, stats.timed_out, stats.released), (0, 0, 0));
    assert_eq!(stats.oldest, None);
    assert_eq!(stats.cleanup_latency.count(), 0);
    assert_eq!(stats.cleanup_latency.quantile(0.5), None);
    assert_eq!(stats.cleanup_latency.max(), None);
}

#[test]
fn every_end_is_counted_once_as_what_it_was() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        drop(manager.guard("dropped", || ()));
        ResourceGuard::close(manager.guard("closed", || ())).unwrap();
        drop(manager.guard("failing", || Err("no disk")));
        drop(manager.guard("panicking", || panic!("boom")));
        drop(manager.resource("stuck").timeout(Duration::from_millis(50)).guard(hang.cleanup()).unwrap());
        ResourceGuard::release(manager.guard("released", || ()));
        let unregistered = manager.guard("unregistered", || ());
        assert!(matches!(manager.unregister(ResourceGuard::id(&unregistered)), Ok(true)));
        let _torn_down = manager.guard("torn down", || ());
        assert!(manager.cleanup().is_success());
        let _live = manager.guard("live", || ());
        let stats = manager.stats();
        assert_eq!(stats.registered, 9);
        assert_eq!((stats.cleaned, stats.failed, stats.timed_out, stats.released), (3, 2, 1, 2));
        assert_eq!(stats.live, 1);
    });
}

#[test]
fn totals_of_a_teardown_are_counted_by_outcome() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _guards = [(); 3].map(|()| manager.guard("fine", || ()));
        let _failing = [(); 2].map(|()| manager.guard("failing", || Err("no disk")));
        let report = manager.cleanup();
        let stats = manager.stats();
        assert_eq!((stats.cleaned, stats.failed), (report.cleaned() as u64, report.failed() as u64));
        assert_eq!((stats.cleaned, stats.failed, stats.live), (3, 2, 0));
    });
}

#[test]
fn live_resources_are_counted_by_category() {
    let manager = manager();
    let _pool = manager.resource("pool").category(Category::Database).guard(|| ()).unwrap();
    let socket = manager.resource("socket").category(Category::Network).guard(|| ()).unwrap();
    assert_eq!(manager.stats().by_category[Category::Network], 1);
    drop(socket);
    let stats = manager.stats();
    assert_eq!((stats.by_category[Category::Database], stats.by_category[Category::Network]), (1, 0));
}

#[test]
fn the_oldest_is_the_age_of_the_oldest_live_resource() {
    let manager = manager();
    let start = Instant::now();
    let old = manager.guard("old", || ());
    thread::sleep(Duration::from_millis(60));
    let _young = manager.guard("young", || ());
    let oldest = manager.stats().oldest.expect("two are live");
    assert!(oldest + CLOCK >= Duration::from_millis(60), "{oldest:?}");
    assert!(oldest <= start.elapsed() + CLOCK, "{oldest:?}");
    drop(old);
    let younger = manager.stats().oldest.expect("one is live");
    assert!(younger <= start.elapsed().saturating_sub(Duration::from_millis(60)) + CLOCK, "{younger:?}");
}

#[test]
fn an_age_grows_with_time() {
    let manager = manager();
    let start = Instant::now();
    let guard = manager.guard("pool", || ());
    thread::sleep(Duration::from_millis(60));
    let age = ResourceGuard::info(&guard).unwrap().age;
    assert!(age + CLOCK >= Duration::from_millis(60), "{age:?}");
    assert!(age <= start.elapsed() + CLOCK, "{age:?}");
}

#[test]
fn the_latency_of_cleanups_is_counted_with_its_quantiles() {
    watchdog(LIMIT, || {
        let (manager, pause) = (manager(), Duration::from_millis(40));
        for _ in 0..9 {
            drop(manager.guard("quick", || ()));
        }
        let _slow = manager.guard("slow", move || thread::sleep(pause));
        assert!(manager.cleanup().is_success());
        let latency = manager.stats().cleanup_latency;
        assert_eq!(latency.count(), 10);
        let (half, all) = (latency.quantile(0.5).unwrap(), latency.quantile(1.0).unwrap());
        assert!(half < pause, "{half:?}");
        // Quantiles are kept with a few digits: a little less than the pause is the pause.
        let nearly = pause - Duration::from_millis(2);
        assert!(all >= nearly, "{all:?}");
        assert!(latency.max().unwrap() >= nearly, "{:?}", latency.max());
        let quantiles = [0.0, 0.25, 0.5, 0.9, 0.99, 1.0].map(|q| latency.quantile(q).unwrap());
        assert!(quantiles.is_sorted(), "{quantiles:?}");
    });
}

#[test]
fn bytes_are_summed_by_category_and_their_growth_is_what_changed_between_two_looks() {
    let manager = manager();
    let cache = |bytes| {
        let resource = manager.resource("cache").category(Category::Custom("cache")).estimated_bytes(bytes);
        resource.guard(|| ()).expect("nothing refuses it")
    };
    let plain = manager.resource("file").category(Category::File).guard(|| ());
    let first = cache(1_000);
    let before = manager.stats();
    assert_eq!(before.bytes_by_category[Category::Custom("cache")], 1_000);
    assert_eq!(before.bytes_by_category[Category::File], 0);
    assert!(before.since(&before).by_category.is_empty());

    let second = cache(300);
    drop((first, plain));
    let growth = manager.stats().since(&before);
    assert_eq!((growth.live, growth.estimated_bytes, growth.registered), (-1, -700, 1));
    assert_eq!(growth.by_category, [(Category::File, -1, 0), (Category::Custom("cache"), 0, -700)]);
    drop(second);
}

#[test]
fn statistics_tell_what_the_last_look_for_leaks_found() {
    let manager = manager();
    let guard = manager.guard("held", || ());
    assert_eq!(manager.stats().leaks, None, "nobody has looked");
    manager.detect_leaks();
    assert_eq!(manager.stats().leaks, Some(1));
    drop(guard);
    assert_eq!(manager.stats().leaks, Some(1), "nobody has looked again");
    manager.detect_leaks();
    assert_eq!(manager.stats().leaks, Some(0));
}

#[cfg(feature = "serde")]
#[test]
fn latencies_are_written_as_their_count_and_a_few_quantiles() {
    let manager = manager();
    let none = serde_json::to_value(manager.stats().cleanup_latency).expect("it can be written");
    let nothing =
        serde_json::json!({ "count": 0, "p50": null, "p90": null, "p99": null, "p999": null, "max": null });
    assert_eq!(none, nothing);
    let _guards = [(); 3].map(|()| manager.guard("one", || ()));
    assert!(manager.cleanup().is_success());
    let some = serde_json::to_value(manager.stats().cleanup_latency).expect("it can be written");
    assert_eq!((&some["count"], some["max"].is_object()), (&serde_json::json!(3), true), "{some}");
}

#[test]
fn quantiles_beyond_the_hundredths_are_between_these_and_the_longest() {
    let manager = manager();
    let _guards = [(); 10].map(|()| manager.guard("one", || ()));
    assert!(manager.cleanup().is_success());
    let latency = manager.stats().cleanup_latency;
    let quantiles = [0.5, 0.99, 0.999, 0.9999, 1.0, 7.0].map(|q| latency.quantile(q));
    assert!(quantiles.is_sorted() && quantiles[0].is_some(), "{quantiles:?}");
    assert_eq!((quantiles[4], latency.quantile(f64::NAN)), (latency.max(), None));
}

#[test]
fn counts_by_category_are_those_of_all_managers_below() {
    let manager = manager();
    let child = manager.child("below");
    let file =
        |of: &castoff::ResourceManager| of.resource("file").category(Category::File).guard(|| ()).unwrap();
    let _guards = (file(&manager), file(&child), file(&child), manager.guard("event", || ()));
    let counts = manager.count_by_category();
    assert_eq!((counts[Category::File], counts[Category::Event], counts[Category::Timer]), (3, 1, 0));
    assert_eq!(child.count_by_category().iter().collect::<Vec<_>>(), [(Category::File, 2)]);
    #[cfg(feature = "serde")]
    assert_eq!(serde_json::to_value(counts).unwrap(), serde_json::json!({ "event": 1, "file": 3 }));
}
