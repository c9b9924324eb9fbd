//! The feature `tracing`: what a subscriber is told, that it may use castoff meanwhile, and that its panics harm nobody.
//!
//! A process of its own: a subscriber is of the whole process, and changes which way drops take.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

static TOLD: Mutex<Told> = Mutex::new(Told { lines: Vec::new(), spans: None });
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Told {
    lines: Vec<String>,
    /// What each span is called, with its parents.
    spans: Option<HashMap<u64, (String, &'static Metadata<'static>)>>,
}

thread_local! {
    static STACK: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn told() -> MutexGuard<'static, Told> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes down everything, and uses castoff whenever it is called: with a lock held somewhere that would hang.
struct Recorder;

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap_or(());
    }
}

fn use_castoff() {
    let manager = ResourceManager::isolated("the subscriber's", ManagerConfig::default());
    drop(manager.guard("within", || ()));
    ResourceManager::global().detect_leaks();
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "castoff"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        use_castoff();
        let id = NEXT.fetch_add(1, Relaxed);
        let parent = STACK.with_borrow(|stack| stack.last().copied());
        let mut told = told();
        let spans = told.spans.get_or_insert_default();
        let above = parent.and_then(|parent| spans.get(&parent)).map(|(above, _)| format!("{above} > "));
        spans.insert(
            id,
            (
                format!("{}{}{}", above.unwrap_or_default(), attributes.metadata().name(), fields.0),
                attributes.metadata(),
            ),
        );
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        use_castoff();
        told().lines.push(format!("{}{}", event.metadata().level(), fields.0));
        assert!(!fields.0.contains("panicking subscriber"), "as this test wants it");
    }

    fn enter(&self, span: &Id) {
        use_castoff();
        STACK.with_borrow_mut(|stack| stack.push(span.into_u64()));
        let mut told = told();
        let name =
            told.spans.as_ref().and_then(|spans| spans.get(&span.into_u64())).map(|(name, _)| name.clone());
        told.lines.push(format!("enter {}", name.unwrap_or_default()));
    }

    fn current_span(&self) -> Current {
        let Some(id) = STACK.with_borrow(|stack| stack.last().copied()) else { return Current::none() };
        let told = told();
        let known = told.spans.as_ref().and_then(|spans| spans.get(&id));
        known.map_or_else(Current::none, |(_, metadata)| Current::new(Id::from_u64(id), metadata))
    }

    fn exit(&self, span: &Id) {
        use_castoff();
        STACK.with_borrow_mut(|stack| stack.retain(|id| *id != span.into_u64()));
    }
}

fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).expect("there was none before"));
}

fn manager(name: &'static str) -> ResourceManager {
    subscribe();
    ResourceManager::isolated(name, ManagerConfig::default().slow_after(Duration::from_millis(20)))
}

/// Each of these is in a line that was told of this manager or label.
#[track_caller]
fn assert_told(of: &str, parts: &[&str]) {
    let told = told();
    let lines: Vec<&String> = told.lines.iter().filter(|line| line.contains(of)).collect();
    for part in parts {
        assert!(lines.iter().any(|line| line.contains(part)), "no {part:?} among {lines:#?}");
    }
}

#[test]
fn a_life_is_told_with_its_fields_and_its_cleanup_is_a_span() {
    let manager = manager("lives");
    drop(manager.guard("short life", || ()));
    let registered = "DEBUG message=registered manager=\"lives\" id=";
    assert_told("short life", &[registered, "enter cleanup id=", "reason=Dropped", "message=cleaned"]);
    ResourceGuard::release(manager.guard("let go", || ()));
    assert_told("let go", &["message=released"]);
}

#[test]
fn failures_leaks_and_slow_cleanups_are_warnings_that_say_where() {
    let manager = manager("warnings");
    drop(manager.guard("failing", || Err("disk full")));
    assert_told("failing", &["WARN message=cleanup failed", "disk full", "made_at=tests/tracing.rs:"]);
    let held = manager.guard("held too long", || std::thread::sleep(Duration::from_millis(100)));
    manager.detect_leaks();
    assert_told("held too long", &["WARN message=leak", "why=\"still live\"", "made_at=tests/tracing.rs:"]);
    assert!(manager.cleanup().is_success());
    assert_told("held too long", &["WARN message=slow cleanup", "message=leak has ended"]);
    drop(held);
}

#[test]
fn the_cleanups_of_a_teardown_are_spans_within_its_span_also_on_helper_threads() {
    let manager = manager("nested");
    let _guards = [manager.guard("first of two", || ()), manager.guard("second of two", || ())];
    assert!(manager.teardown().concurrency(2).run().is_success());
    for label in ["first of two", "second of two"] {
        assert_told(label, &["enter teardown manager=\"nested\" > cleanup id="]);
    }
}

#[test]
fn a_subscriber_that_panics_harms_nobody() {
    let manager = manager("panicking subscriber");
    let guards: Vec<_> = (0..10).map(|_| manager.guard("one of ten", || ())).collect();
    let kept = manager.guard("kept", || ());
    drop(guards);
    assert!(manager.cleanup().is_success());
    drop(kept);
    let stats = manager.stats();
    assert_eq!((stats.live, stats.registered, stats.cleaned), (0, 11, 11));
}

#[test]
fn two_threads_and_a_subscriber_that_uses_castoff_do_not_wait_for_each_other() {
    let manager = manager("busy");
    let start = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..200).for_each(|_| drop(manager.guard("busy one", || ()))));
        }
    });
    assert_eq!(manager.stats().cleaned, 800);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
