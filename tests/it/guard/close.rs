//! Closing a guard: the same cleanup as by drop, and the caller hears how it went.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{Category, CleanupErrorKind, CleanupReason, ResourceGuard};

use crate::support::{Gate, LIMIT, OrderLog, Recorder, lock, manager, shortly, watchdog};

#[test]
fn a_close_runs_the_cleanup_once_and_says_that_it_went_well() {
    let manager = manager();
    let log = OrderLog::new();
    assert!(ResourceGuard::close(manager.guard("pool", log.cleanup("pool"))).is_ok());
    log.assert_is(&["pool"]);
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(manager.stats().cleaned, 1);
}

#[test]
fn a_close_returns_the_error_of_its_cleanup_with_everything_known_of_the_resource() {
    let manager = manager();
    let registration = manager.resource("journal");
    let line = line!() - 1;
    let guard =
        registration.category(Category::File).guard(|| Err::<(), _>(io::Error::other("no disk"))).unwrap();
    let id = ResourceGuard::id(&guard);
    let error = ResourceGuard::close(guard).unwrap_err();
    assert_eq!(error.id, id);
    assert_eq!(&*error.label, "journal");
    assert_eq!(error.category, Category::File);
    assert_eq!((error.created_at.file(), error.created_at.line()), (file!(), line));
    let CleanupErrorKind::Failed(cause) = &error.kind else { panic!("{:?}", error.kind) };
    assert_eq!(cause.to_string(), "no disk");
    assert!(cause.downcast_ref::<io::Error>().is_some());
}

#[test]
fn the_error_of_a_close_names_label_and_line_and_has_its_cause_as_source() {
    let (guard, line) = (manager().guard("journal", || Err("no disk")), line!());
    let error = ResourceGuard::close(guard).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("journal"), "{text}");
    assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
    assert_eq!(error.source().expect("the cause").to_string(), "no disk");
}

#[test]
fn a_close_returns_the_message_of_a_panicking_cleanup() {
    let manager = manager();
    let plain = ResourceGuard::close(manager.guard("plain", || panic!("boom"))).unwrap_err();
    assert!(
        matches!(&plain.kind, CleanupErrorKind::Panicked(message) if message == "boom"),
        "{:?}",
        plain.kind
    );
    let formatted = ResourceGuard::close(manager.guard("formatted", || panic!("boom {}", 2))).unwrap_err();
    assert!(
        matches!(&formatted.kind, CleanupErrorKind::Panicked(message) if message == "boom 2"),
        "{:?}",
        formatted.kind
    );
}

#[test]
fn a_panic_without_a_text_is_still_an_error() {
    let guard = manager().guard("odd", || std::panic::panic_any(7_u8));
    let error = ResourceGuard::close(guard).unwrap_err();
    assert!(matches!(error.kind, CleanupErrorKind::Panicked(_)), "{:?}", error.kind);
}

#[test]
fn a_failure_that_close_returns_is_counted_and_told_too() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    ResourceGuard::close(manager.guard("journal", || Err("no disk"))).unwrap_err();
    assert_eq!(recorder.of("journal"), ["registered", "failed"]);
    assert_eq!(manager.stats().failed, 1);
}

#[test]
fn a_cleanup_with_question_marks_ends_in_done() {
    let manager = manager();
    let parses = |text: &'static str| {
        manager.guard("number", move || {
            text.parse::<u8>()?;
            castoff::done()
        })
    };
    assert!(ResourceGuard::close(parses("12")).is_ok());
    assert!(ResourceGuard::close(parses("twelve")).is_err());
}

#[test]
fn a_close_runs_the_cleanup_on_the_closing_thread_and_tells_it_why() {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let manager = manager();
    let registration = manager.resource("pool");
    let guard =
        registration.guard_with_context(move |cx| *lock(&told) = Some((cx.reason(), thread::current().id())));
    ResourceGuard::close(guard.unwrap()).unwrap();
    assert_eq!(*lock(&seen), Some((CleanupReason::Closed, thread::current().id())));
}

#[test]
fn a_close_after_a_teardown_tells_how_that_went_and_runs_nothing() {
    watchdog(LIMIT, || {
        let manager = manager();
        let log = OrderLog::new();
        let good = manager.guard("good", log.cleanup("good"));
        let bad = manager.guard("bad", log.failing("bad"));
        assert_eq!(manager.cleanup().processed(), 2);
        assert!(ResourceGuard::close(good).is_ok());
        let error = ResourceGuard::close(bad).unwrap_err();
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
        log.assert_is(&["bad", "good"]);
    });
}

#[test]
fn a_close_of_what_a_teardown_cleans_just_now_waits_and_returns_its_error() {
    watchdog(LIMIT, || {
        let manager = manager();
        let (started, go_on) = (Gate::new("the cleanup to start"), Gate::new("the cleanup to go on"));
        let (starts, waits) = (started.clone(), go_on.clone());
        let guard = manager.guard("pool", move || {
            starts.open();
            waits.wait();
            Err("no disk")
        });
        let teardown = manager.clone();
        let teardown = thread::spawn(move || teardown.cleanup().failed());
        started.wait();
        shortly(move || go_on.open());
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(matches!(&error.kind, CleanupErrorKind::Failed(cause) if cause.to_string() == "no disk"));
        assert_eq!(teardown.join().unwrap(), 1);
    });
}

#[test]
fn a_close_inside_its_own_cleanup_returns_at_once() {
    watchdog(LIMIT, || {
        let manager = manager();
        let slot = Arc::new(Mutex::new(None));
        let closed = Arc::new(Mutex::new(None));
        let (own, told) = (Arc::clone(&slot), Arc::clone(&closed));
        let guard = manager.guard("pool", move || {
            let guard: ResourceGuard<()> = lock(&own).take().expect("the guard is in the slot");
            *lock(&told) = Some(ResourceGuard::close(guard).is_ok());
        });
        *lock(&slot) = Some(guard);
        assert_eq!(manager.cleanup().cleaned(), 1);
        assert_eq!(*lock(&closed), Some(true));
    });
}

#[test]
fn a_drop_inside_its_own_cleanup_returns_at_once() {
    watchdog(LIMIT, || {
        let manager = manager();
        let slot: Arc<Mutex<Option<ResourceGuard<()>>>> = Arc::default();
        let log = OrderLog::new();
        let (own, told) = (Arc::clone(&slot), log.clone());
        let guard = manager.guard("pool", move || {
            drop(lock(&own).take());
            told.push("after the drop");
        });
        *lock(&slot) = Some(guard);
        assert_eq!(manager.cleanup().cleaned(), 1);
        log.assert_is(&["after the drop"]);
    });
}
