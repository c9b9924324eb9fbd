//! The feature `metrics`, as an exporter for Prometheus prints it.

use castoff::{Category, ManagerConfig, ResourceManager};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};
use metrics_exporter_prometheus::PrometheusBuilder;

#[track_caller]
fn assert_line(text: &str, name: &str, labels: &[&str], value: &str) {
    let is_it = |line: &&str| {
        line.starts_with(name)
            && labels.iter().all(|label| line.contains(label))
            && line.ends_with(&format!(" {value}"))
    };
    assert!(text.lines().any(|line| is_it(&line)), "no {name} {labels:?} {value} in\n{text}");
}

#[test]
fn everything_is_published_as_it_is_and_what_has_gone_as_zero() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let manager = ResourceManager::isolated("shop", ManagerConfig::default());
    let publish = || with_local_recorder(&recorder, || manager.publish_metrics());
    let shop = "manager=\"shop\"";

    let pool = manager.resource("pool").category(Category::Database).estimated_bytes(4_096).guard(|| ());
    drop(manager.guard("short", || ()));
    drop(manager.guard("failing", || Err("disk full")));
    manager.detect_leaks();
    publish();
    let text = handle.render();
    let database = [shop, "category=\"database\""];
    assert_line(&text, "castoff_live_resources", &database, "1");
    assert_line(&text, "castoff_estimated_bytes", &database, "4096");
    assert_line(&text, "castoff_registered_total", &[shop], "3");
    assert_line(&text, "castoff_cleanups_total", &[shop, "outcome=\"cleaned\""], "1");
    assert_line(&text, "castoff_cleanups_total", &[shop, "outcome=\"failed\""], "1");
    assert_line(&text, "castoff_leaks", &[shop], "1");
    assert_line(&text, "castoff_cleanup_seconds_count", &[shop], "2");

    drop(pool);
    publish();
    publish();
    let text = handle.render();
    assert_line(&text, "castoff_live_resources", &database, "0");
    assert_line(&text, "castoff_estimated_bytes", &database, "0");
    // Each cleanup once, however often it is published.
    assert_line(&text, "castoff_cleanup_seconds_count", &[shop], "3");
}

#[test]
fn cleanups_of_managers_that_have_ended_are_published_once_too() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let manager = ResourceManager::isolated("parent", ManagerConfig::default());
    let publish = || with_local_recorder(&recorder, || manager.publish_metrics());
    for round in 1..=3 {
        let child = manager.child("child");
        drop(child.guard("one", || ()));
        publish();
        drop(child);
        publish();
        let count = round.to_string();
        assert_line(&handle.render(), "castoff_cleanup_seconds_count", &["manager=\"parent\""], &count);
    }
}

/// Uses castoff whenever it is called, and then panics.
struct Hostile(ResourceManager);

impl Hostile {
    fn act(&self) -> ! {
        drop(self.0.guard("within", || ()));
        self.0.stats();
        panic!("as this test wants it");
    }
}

impl Recorder for Hostile {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.act()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.act()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.act()
    }
}

#[test]
fn a_recorder_that_uses_castoff_and_panics_harms_nobody() {
    let manager = ResourceManager::isolated("hostile", ManagerConfig::default());
    let _guard = manager.guard("held", || ());
    with_local_recorder(&Hostile(manager.clone()), || manager.publish_metrics());
    let stats = manager.stats();
    assert_eq!((stats.live, stats.cleaned), (1, 2), "one for the gauges, one for the histogram");
}
