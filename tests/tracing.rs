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
    spans: Option<HashMap<u64, Known>>,
}

struct Known {
    /// What it is called, with its parents.
    name: String,
    metadata: &'static Metadata<'static>,
    handles: usize,
}

impl Told {
    fn known(&mut self, span: &Id) -> Option<&mut Known> {
        self.spans.as_mut()?.get_mut(&span.into_u64())
    }

    fn note(&mut self, what: &str, span: &Id) {
        let name = self.known(span).map(|known| known.name.clone());
        self.lines.push(format!("{what} {}", name.unwrap_or_default()));
    }
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
        let above = parent.and_then(|parent| spans.get(&parent)).map(|above| format!("{} > ", above.name));
        let name = format!("{}{}{}", above.unwrap_or_default(), attributes.metadata().name(), fields.0);
        spans.insert(id, Known { name, metadata: attributes.metadata(), handles: 1 });
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
        told().note("enter", span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        use_castoff();
        if let Some(known) = told().known(span) {
            known.handles += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        use_castoff();
        let mut told = told();
        let closed = told.known(&span).is_some_and(|known| {
            known.handles -= 1;
            known.handles == 0
        });
        if closed {
            told.note("close", &span);
        }
        closed
    }

    fn current_span(&self) -> Current {
        let Some(id) = STACK.with_borrow(|stack| stack.last().copied()) else { return Current::none() };
        let told = told();
        let known = told.spans.as_ref().and_then(|spans| spans.get(&id));
        known.map_or_else(Current::none, |known| Current::new(Id::from_u64(id), known.metadata))
    }

    fn exit(&self, span: &Id) {
        use_castoff();
        STACK.with_borrow_mut(|stack| stack.retain(|id| *id != span.into_u64()));
        told().note("exit", span);
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
fn what_is_deferred_late_too_many_or_after_the_end_is_told_as_that() {
    let manager = ResourceManager::isolated("odd ones", ManagerConfig::default().max_resources(2));
    subscribe();
    let pool = manager.guard("deferred pool", || ());
    let server = manager.resource("its server").depends_on(&pool).guard(|| ()).expect("it fits");
    let _one_too_many = manager.guard("one too many", || ());
    assert_told("one too many", &["WARN message=limit exceeded", "limit=2"]);
    drop(pool);
    assert_told("deferred pool", &["DEBUG message=deferred"]);
    drop(server);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let stuck = manager.resource("late one").timeout(Duration::from_millis(20));
    drop(stuck.guard(move || ended.recv().unwrap_or(())).expect("it fits"));
    drop(end);
    let start = Instant::now();
    while !told().lines.iter().any(|line| line.contains("late one") && line.contains("ended late")) {
        assert!(start.elapsed() < Duration::from_secs(60), "its end is not told");
        std::thread::yield_now();
    }
    assert_told("late one", &["WARN message=cleanup ended late", " after="]);
    assert_eq!(manager.shutdown().cleaned(), 1);
    drop(manager.guard("after the end", || ()));
    assert_told("after the end", &["WARN message=registered after shutdown"]);
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

/// Cleanups that await are in their spans while they are polled, and at no other time.
#[cfg(feature = "tokio")]
mod awaiting {
    use super::*;
    use castoff::ResourceGuard;
    use tokio::runtime::{Builder, Runtime};
    use tracing::Span;

    /// How often each of them yields.
    const YIELDS: usize = 5;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    /// Looks at each poll whether it is in the one span that it was in before.
    async fn stays_in_its_span() {
        let here = || Span::current().id().map(|id| id.into_u64());
        let first = here();
        assert_eq!(Span::current().metadata().map(Metadata::name), Some("cleanup"));
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
            assert_eq!(here(), first, "another's span, or none");
        }
    }

    /// Not of what the subscriber itself does, when a cleanup asks it for its span.
    fn said(of: &str, what: &str) -> usize {
        let its_own = |line: &&String| !line.contains("resource=\"within\"");
        told().lines.iter().filter(its_own).filter(|line| line.starts_with(what) && line.contains(of)).count()
    }

    #[track_caller]
    fn assert_entered_for_each_poll(label: &str) {
        assert_eq!(said(label, "enter "), YIELDS + 2, "once for each poll, and once where it is dropped");
        assert_eq!(said(label, "exit "), YIELDS + 2);
        assert_eq!(said(label, "close "), 1, "and the span ends with it");
    }

    #[test]
    fn each_poll_is_in_the_span_of_its_own_cleanup_and_that_is_in_the_teardowns() {
        let manager = manager("awaited ones");
        let labels = ["awaiting a", "awaiting b", "awaiting c"];
        let _guards = labels.map(|label| manager.guard_async(label, stays_in_its_span));
        let report = manager.teardown().concurrency(3).run();
        assert!(report.is_success(), "{report}");
        for label in labels {
            assert_entered_for_each_poll(label);
            assert_told(label, &["enter teardown manager=\"awaited ones\" > cleanup id="]);
        }
    }

    #[test]
    fn the_same_holds_in_a_teardown_that_is_awaited_itself() {
        let manager = manager("awaited whole");
        let labels = ["awaited d", "awaited e"];
        let _guards = labels.map(|label| manager.guard_async(label, stays_in_its_span));
        let report = runtime().block_on(manager.teardown().concurrency(2).run_async());
        assert!(report.is_success(), "{report}");
        for label in labels {
            assert_entered_for_each_poll(label);
            assert_told(label, &["enter teardown manager=\"awaited whole\" > cleanup id="]);
        }
    }

    #[test]
    fn what_a_drop_hands_over_is_in_the_span_of_the_drop() {
        let manager = manager("handed over");
        runtime().block_on(async {
            let guard = manager.guard_async("handed", stays_in_its_span);
            tracing::info_span!(target: "castoff", "request", number = 7).in_scope(|| drop(guard));
            manager.settle_async().await;
        });
        assert_eq!(manager.stats().cleaned, 1, "it failed: {:?}", told().lines);
        assert_entered_for_each_poll("handed");
        assert_told("resource=\"handed\"", &["enter request number=7 > cleanup id=", "reason=Dropped"]);
    }

    #[test]
    fn a_cleanup_that_is_closed_or_dropped_outside_of_a_runtime_has_its_span_too() {
        let manager = manager("outside");
        drop(manager.guard_async("dropped outside", stays_in_its_span));
        assert!(ResourceGuard::close(manager.guard_async("closed outside", stays_in_its_span)).is_ok());
        assert_eq!(manager.stats().cleaned, 2);
        assert_entered_for_each_poll("dropped outside");
        assert_entered_for_each_poll("closed outside");
    }

    #[test]
    fn one_that_is_given_up_is_dropped_in_its_span_which_ends() {
        struct AtItsEnd;
        impl Drop for AtItsEnd {
            fn drop(&mut self) {
                tracing::info!(target: "castoff", in_span = Span::current().id().is_some(), "end of the endless");
            }
        }
        let manager = manager("given up");
        let endless = || async {
            let _end = AtItsEnd;
            std::future::pending::<()>().await
        };
        let limit = Duration::from_millis(50);
        let guard = manager.resource("endless").timeout(limit).guard_async(endless).expect("it is free");
        drop(guard);
        assert_eq!(manager.stats().timed_out, 1);
        let start = Instant::now();
        while said("resource=\"endless\"", "close ") == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "its span never ends");
            std::thread::yield_now();
        }
        assert_told("end of the endless", &["in_span=true"]);
    }
}
