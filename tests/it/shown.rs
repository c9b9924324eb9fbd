//! What `{:?}` shows of things that hold foreign code: which thing it is, and nothing of what it holds. And what words
//! stand for.

use std::error::Error;
use std::time::Duration;

use castoff::{
    Category, Cleanup, CleanupErrorKind, ExitOptions, ExitReporting, ExitSignal, ForeignRegistry, Label,
    LeakReason, Priority, RegisterError, ResourceDefinition, ResourceGuard, ResourceManager,
};

#[test]
fn a_guard_shows_which_resource_it_is_and_its_state() {
    let manager = ResourceManager::new("shown");
    let guard = manager.guard("a table", || ());
    let shown = format!("{guard:?}");
    assert!(shown.starts_with("ResourceGuard { id: "), "{shown}");
    assert!(shown.ends_with(", label: \"a table\", state: Live, .. }"), "{shown}");
    assert_eq!(manager.teardown().run().cleaned(), 1);
    assert!(format!("{guard:?}").ends_with("state: Cleaned, .. }"), "{guard:?}");
}

#[test]
fn a_teardown_shows_whose_it_is_what_it_takes_and_how_it_goes() {
    let manager = ResourceManager::new("shown");
    let teardown = manager.teardown().deadline(Duration::from_secs(3)).concurrency(7);
    let shown = format!("{teardown:?}");
    assert!(shown.starts_with("Teardown { manager: Label(\"shown\"), selection: "), "{shown}");
    assert!(shown.contains("concurrency: 7, deadline: Some(3s)"), "{shown}");
}

#[test]
fn options_for_the_end_show_whether_there_are_callbacks() {
    let options = ExitOptions::default()
        .signals([ExitSignal::Hangup])
        .drain(Duration::from_secs(2))
        .deadline(Duration::from_secs(9))
        .after(|_| ())
        .report(ExitReporting::Never)
        .progress(false);
    let shown = format!("{options:?}");
    let expected = "ExitOptions { signals: [Hangup], drain: 2s, deadline: Some(9s), before: false, after: true, \
                    report: Never, progress: false }";
    assert_eq!(shown, expected);
    assert_eq!(format!("{} {}", ExitSignal::Hangup, ExitSignal::Hangup.number()), "SIGHUP 1");
}

#[test]
fn a_token_shows_whether_the_end_was_asked_for() {
    let token = ResourceManager::global().shutdown_requested();
    assert_eq!(format!("{token:?}"), "ShutdownToken { requested: false }");
}

#[test]
fn a_registration_and_a_definition_show_what_they_are_going_to_be() {
    let manager = ResourceManager::new("shown");
    let shown = format!("{:?}", manager.resource("pool"));
    assert!(
        shown.starts_with("Registration { label: Label(\"pool\"), manager: Label(\"shown\"), "),
        "{shown}"
    );
    assert!(shown.contains(file!()), "where it was begun: {shown}");
    let definition = ResourceDefinition::new("pool", || ()).named("the pool");
    let expected =
        "ResourceDefinition { label: Label(\"pool\"), name: Some(Label(\"the pool\")), needs: [], .. }";
    assert_eq!(format!("{definition:?}"), expected);
}

#[test]
fn what_a_definition_says_of_a_resource_is_said_of_it() {
    let manager = ResourceManager::new("shown");
    let definition = ResourceDefinition::new("pool", || ()).description("of orders").metadata("size", 5);
    let guards = manager.register_batch([definition]).expect("nothing refuses it");
    let info = manager.get(ResourceGuard::id(&guards[0])).expect("it is live");
    assert_eq!(info.description.as_deref(), Some("of orders"));
    assert_eq!(info.metadata.get("size").map(ToString::to_string).as_deref(), Some("5"));
}

#[test]
fn a_cleanup_and_a_foreign_registry_show_no_closure() {
    assert_eq!(format!("{:?}", Cleanup::sync(|| ())), "Cleanup { last_resort: false, .. }");
    let forced = Cleanup::sync(|| ()).last_resort(|| ());
    assert_eq!(format!("{forced:?}"), "Cleanup { last_resort: true, .. }");
    let foreign = ForeignRegistry::new("sessions", || 0, || ());
    assert_eq!(
        format!("{foreign:?}"),
        "ForeignRegistry { label: Label(\"sessions\"), expects_none: false, .. }"
    );
}

#[test]
fn latencies_show_how_many_there_are_and_the_longest() {
    let manager = ResourceManager::new("shown");
    let none = format!("{:?}", manager.stats().cleanup_latency);
    assert_eq!(none, "Latency { count: 0, p50: None, p99: None, max: None }");
    // A teardown times each; of those that drops run, not each is.
    let _one = manager.guard("one", || ());
    assert!(manager.cleanup().is_success());
    let one = format!("{:?}", manager.stats().cleanup_latency);
    assert!(one.starts_with("Latency { count: 1, p50: Some("), "{one}");
}

#[test]
fn a_refusal_says_whose_it_was() {
    let manager = ResourceManager::new("shown");
    let refused = manager.resource("").guard(|| ()).expect_err("it has no label");
    assert_eq!(*refused.label(), "");
    let _first = manager.resource("first").named("pool").guard(|| ()).expect("nothing refuses it");
    let refused = manager.resource("second").named("pool").guard(|| ()).expect_err("the name is taken");
    assert!(matches!(refused, RegisterError::DuplicateName { .. }), "{refused}");
    assert_eq!(*refused.label(), "second");
}

#[test]
fn reasons_categories_and_priorities_have_words() {
    let limit = Duration::from_millis(1500);
    let words = [
        (LeakReason::HeldAtExit, "held when the process ended"),
        (
            LeakReason::OwnerThreadEnded { thread: "maker".into() },
            "its thread `maker` has ended, and no other has used it",
        ),
        (LeakReason::Overdue { limit }, "older than 1.5s"),
        (LeakReason::Unused { since: limit }, "not used for 1.5s"),
    ];
    for (reason, word) in words {
        assert_eq!(reason.to_string(), word);
    }
    assert_eq!(format!("{} {}", Category::Critical, Category::Timer), "critical timer");
    assert_eq!(format!("{} {}", Priority::High, Priority::Low), "high low");
    let label = Label::from("pool");
    assert!(label == *"pool" && AsRef::<str>::as_ref(&label) == "pool");
}

#[test]
fn signals_are_shown_by_the_names_that_shells_give_them() {
    let shown = [ExitSignal::Hangup, ExitSignal::Interrupt, ExitSignal::Terminate]
        .map(|signal| (signal.to_string(), signal.number()));
    assert_eq!(shown, [("SIGHUP".into(), 1), ("SIGINT".into(), 2), ("SIGTERM".into(), 15)]);
}

#[test]
fn a_watch_of_memory_shows_whose_it_is_and_how_often_it_looked() {
    let manager = ResourceManager::new("shown");
    let watch = manager.watch_memory(Duration::MAX).expect("it needs no thread");
    watch.look();
    let shown = format!("{watch:?}");
    assert!(shown.contains("manager: Label(\"shown\"), looks: 2, .. }"), "{shown}");
}

#[test]
fn a_leak_is_shown_on_one_line_with_its_place_its_thread_and_why() {
    let manager = ResourceManager::new("shown");
    let (_guard, line) = (manager.guard("session", || ()), line!());
    let leak = manager.detect_leaks().remove(0);
    let (at, text) = (leak.created_at, leak.to_string());
    assert_eq!((at.file(), at.line()), (file!(), line));
    let begin = format!("`session` (made at {at} by {}, in `shown`) has lived for ", leak.thread);
    assert!(text.starts_with(&begin) && text.ends_with("s: still live"), "{text}");
}

#[test]
fn only_a_cleanup_that_returned_an_error_has_a_cause() {
    let manager = ResourceManager::new("shown");
    let failed = ResourceGuard::close(manager.guard("journal", || Err("disk full"))).expect_err("it fails");
    assert_eq!(failed.source().map(ToString::to_string).as_deref(), Some("disk full"));
    let panicked = ResourceGuard::close(manager.guard("wobbly", || panic!("no"))).expect_err("it panics");
    assert!(panicked.source().is_none(), "{panicked}");
    assert!(panicked.to_string().ends_with(") panicked: no"), "{panicked}");
    assert_eq!(CleanupErrorKind::Cancelled.to_string(), "was cancelled before its end");
}
