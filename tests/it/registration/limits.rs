//! The limit of a manager, its end, and empty labels: the builder refuses, the short forms do not.

use castoff::{ManagerConfig, ResourceDefinition, ResourceEvent, ResourceGuard};

use crate::support::{LIMIT, OrderLog, Recorder, manager, manager_with, watchdog};

#[test]
fn a_resource_that_ends_makes_room_under_the_limit() {
    let manager = manager_with(ManagerConfig::default().max_resources(1));
    let first = manager.resource("first").guard(|| ()).unwrap();
    assert!(manager.resource("second").guard(|| ()).is_err());
    drop(first);
    assert!(manager.resource("second").guard(|| ()).is_ok());
}

#[test]
fn there_is_no_limit_unless_one_is_set() {
    let manager = manager();
    let guards: Vec<_> = (0..2_000).map(|_| manager.resource("any").guard(|| ()).unwrap()).collect();
    assert_eq!(manager.resource_count(), guards.len());
}

#[test]
fn a_batch_that_does_not_fit_under_the_limit_is_refused_as_a_whole() {
    let manager = manager_with(ManagerConfig::default().max_resources(2));
    let log = OrderLog::new();
    let _held = manager.guard("held", || ());
    let batch = ["one", "two"].map(|label| ResourceDefinition::new(label, log.cleanup(label)));
    assert!(manager.register_batch(batch).is_err());
    log.assert_is(&["two", "one"]);
    assert_eq!(manager.resource_count(), 1);
}

#[test]
fn a_short_form_over_the_limit_is_an_event_and_still_cleans_on_drop() {
    let manager = manager_with(ManagerConfig::default().max_resources(1));
    let (log, recorder) = (OrderLog::new(), Recorder::on(&manager));
    let _held = manager.guard("held", || ());
    let over = manager.guard("over", log.cleanup("over"));
    let exceeded = recorder.events().into_iter().find_map(|event| match event {
        ResourceEvent::LimitExceeded { label, limit, .. } => Some((label.to_string(), limit)),
        _ => None,
    });
    assert_eq!(exceeded, Some(("over".to_owned(), 1)));
    drop(over);
    log.assert_is(&["over"]);
}

#[test]
fn a_short_form_after_the_shutdown_is_an_event_and_still_cleans_on_drop() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let recorder = Recorder::on(&manager);
        assert!(manager.shutdown().is_success());
        let guard = manager.guard("late", log.cleanup("late"));
        assert!(recorder.of("late").contains(&"registered after shutdown"), "{:?}", recorder.words());
        log.assert_is(&[]);
        drop(guard);
        log.assert_is(&["late"]);
    });
}

#[test]
fn every_short_form_after_the_shutdown_still_cleans_on_drop() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        assert!(manager.shutdown().is_success());
        let cleanup = log.cleanup("clean value");
        drop(manager.guard_value("value", log.value("value"), move |_| cleanup()));
        log.assert_is(&["clean value", "value dropped"]);
        ResourceGuard::close(manager.guard("closed", log.cleanup("closed"))).unwrap();
        log.assert_is(&["clean value", "value dropped", "closed"]);
    });
}

#[test]
fn a_short_form_with_an_empty_label_is_called_unnamed() {
    let (manager, log) = (manager(), OrderLog::new());
    let guard = manager.guard("", log.cleanup("cleanup"));
    assert_eq!(&*ResourceGuard::info(&guard).unwrap().label, "unnamed");
    let valued = manager.guard_value(String::new(), 7, |_| ());
    assert_eq!(&*ResourceGuard::info(&valued).unwrap().label, "unnamed");
    drop(guard);
    log.assert_is(&["cleanup"]);
}

#[test]
fn a_batch_with_an_empty_label_is_refused() {
    let (manager, log) = (manager(), OrderLog::new());
    let batch = ["one", ""].map(|label| ResourceDefinition::new(label, log.cleanup("ran")));
    assert!(matches!(manager.register_batch(batch), Err(castoff::RegisterError::EmptyLabel { .. })));
    log.assert_is(&["ran", "ran"]);
}

#[test]
fn a_batch_after_the_shutdown_is_refused() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        assert!(manager.shutdown().is_success());
        let batch = ["one", "two"].map(|label| ResourceDefinition::new(label, log.cleanup(label)));
        assert!(matches!(manager.register_batch(batch), Err(castoff::RegisterError::ShutDown { .. })));
        log.assert_is(&["two", "one"]);
    });
}
