//! Events: what listeners hear, in which order and on which thread, and that nothing they do harms anybody.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use castoff::{CleanupErrorKind, ManagerConfig, ResourceEvent, ResourceGuard, Subscription};

use crate::support::{Hang, LIMIT, OrderLog, Recorder, lock, manager, manager_with, watchdog};

#[test]
fn a_life_that_ends_well_is_told_from_beginning_to_end() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let guard = manager.guard("pool", || ());
    assert_eq!(recorder.words(), ["registered pool"]);
    drop(guard);
    assert_eq!(recorder.words(), ["registered pool", "cleaned pool"]);
}

#[test]
fn every_event_of_a_resource_carries_its_id_and_its_label() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let pool = manager.guard("pool", || Err("no disk"));
    let server = manager.resource("server").depends_on(&pool).guard(|| ()).unwrap();
    let (pool_id, server_id) = (ResourceGuard::id(&pool), ResourceGuard::id(&server));
    drop(pool);
    drop(server);
    let file = manager.guard("file", || ());
    let file_id = ResourceGuard::id(&file);
    ResourceGuard::release(file);
    let heard: Vec<_> = recorder.events().iter().map(|event| (event.id(), event.label().cloned())).collect();
    let of = |id, label: &'static str| (Some(id), Some(label.into()));
    let expected = [
        of(pool_id, "pool"),
        of(server_id, "server"),
        of(pool_id, "pool"),
        of(server_id, "server"),
        of(pool_id, "pool"),
        of(file_id, "file"),
        of(file_id, "file"),
    ];
    assert_eq!(heard, expected);
    assert_eq!(recorder.of("pool"), ["registered", "deferred", "failed"]);
    assert_eq!(recorder.of("server"), ["registered", "cleaned"]);
    assert_eq!(recorder.of("file"), ["registered", "released"]);
}

#[test]
fn a_failure_is_told_with_its_error() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let (guard, line) = (manager.guard("wobbly", || panic!("boom")), line!());
    drop(guard);
    let events = recorder.events();
    let Some(ResourceEvent::CleanupFailed { error, .. }) = events.last() else { panic!("{events:?}") };
    assert!(
        matches!(&error.kind, CleanupErrorKind::Panicked(message) if message == "boom"),
        "{:?}",
        error.kind
    );
    assert_eq!((error.created_at.file(), error.created_at.line()), (file!(), line));
}

#[test]
fn a_teardown_is_told_around_what_it_cleans() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _guards = ["one", "two"].map(|label| manager.guard(label, || ()));
        let recorder = Recorder::on(&manager);
        assert!(manager.cleanup().is_success());
        recorder.wait_for("teardown finished test");
        let expected = ["teardown started test", "cleaned two", "cleaned one", "teardown finished test"];
        assert_eq!(recorder.words(), expected);
        let events = recorder.events();
        assert!(events.first().is_some_and(|event| event.id().is_none()), "a teardown is no resource");
    });
}

#[test]
fn a_life_of_a_batch_is_told_in_the_order_of_its_definitions() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let batch = ["one", "two"].map(|label| castoff::ResourceDefinition::new(label, || ()));
    let guards = manager.register_batch(batch).unwrap();
    assert_eq!(recorder.words(), ["registered one", "registered two"]);
    drop(guards);
    assert_eq!(recorder.words()[2..], ["cleaned one", "cleaned two"]);
}

#[test]
fn a_listener_is_called_on_the_thread_that_caused_the_event() {
    let (manager, threads) = (manager(), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&threads);
    let _subscription = manager.subscribe(move |_| lock(&told).push(thread::current().id()));
    let guard = manager.guard("pool", || ());
    let dropping = thread::spawn(move || {
        drop(guard);
        thread::current().id()
    });
    let dropped_on = dropping.join().unwrap();
    assert_eq!(*lock(&threads), [thread::current().id(), dropped_on]);
}

#[test]
fn a_subscription_that_is_dropped_hears_nothing_more() {
    let (manager, log) = (manager(), OrderLog::new());
    let told = log.clone();
    let subscription = manager.subscribe(move |_| told.push("heard"));
    let guard = manager.guard("pool", || ());
    drop(subscription);
    drop(guard);
    drop(manager.guard("pool", || ()));
    log.assert_is(&["heard"]);
}

#[test]
fn a_dropped_subscription_drops_its_listener() {
    let (manager, drops) = (manager(), crate::support::DropCounter::new());
    let captured = drops.value();
    let subscription = manager.subscribe(move |_| {
        let _kept = &captured;
    });
    drop(manager.guard("pool", || ()));
    assert_eq!(drops.dropped(), 0);
    drop(subscription);
    drops.assert_each_once();
}

#[test]
fn a_listener_may_end_its_own_subscription() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (slot, told) = (Arc::new(Mutex::new(None)), log.clone());
        let own: Arc<Mutex<Option<Subscription>>> = Arc::clone(&slot);
        let subscription = manager.subscribe(move |_| {
            drop(lock(&own).take());
            told.push("heard");
        });
        *lock(&slot) = Some(subscription);
        drop(manager.guard("pool", || ()));
        log.assert_is(&["heard"]);
    });
}

#[test]
fn every_listener_hears_every_event() {
    let manager = manager();
    let (one, two) = (Recorder::on(&manager), Recorder::on(&manager));
    drop(manager.guard("pool", || ()));
    assert_eq!(one.words(), ["registered pool", "cleaned pool"]);
    assert_eq!(two.words(), one.words());
}

#[test]
fn a_panicking_listener_harms_nobody() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let before = Recorder::on(&manager);
        let _panicking = manager.subscribe(|_| panic!("the listener's own"));
        let after = Recorder::on(&manager);
        drop(manager.guard("dropped", log.cleanup("dropped")));
        ResourceGuard::close(manager.guard("closed", log.cleanup("closed"))).unwrap();
        let _pool = manager.guard("torn down", log.cleanup("torn down"));
        assert!(manager.cleanup().is_success());
        log.assert_is(&["dropped", "closed", "torn down"]);
        for recorder in [&before, &after] {
            recorder.wait_for("teardown finished test");
            for label in ["dropped", "closed", "torn down"] {
                assert_eq!(recorder.of(label), ["registered", "cleaned"], "{label}");
            }
        }
        assert_eq!((manager.stats().cleaned, manager.stats().failed), (3, 0));
    });
}

#[test]
fn a_listener_may_register_and_close_and_look() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (inside, told) = (manager.clone(), log.clone());
        let _subscription = manager.subscribe(move |event| {
            let Some(label) = event.label() else { return };
            // Its own events come back to it: it answers those of the pool only.
            if &**label == "pool" {
                let audit = inside.guard("audit", told.cleanup("audit"));
                told.push(&format!("{} live", inside.resource_count()));
                ResourceGuard::close(audit).expect("the audit closes");
            }
        });
        let recorder = Recorder::on(&manager);
        drop(manager.guard("pool", log.cleanup("pool")));
        assert_eq!(recorder.of("pool"), ["registered", "cleaned"]);
        assert_eq!(recorder.of("audit"), ["registered", "cleaned", "registered", "cleaned"]);
        let entries = log.entries();
        assert_eq!(entries.iter().filter(|entry| *entry == "audit").count(), 2, "{entries:?}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_listener_may_drop_a_guard_and_start_a_teardown() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let other = manager.guard("other", log.cleanup("other"));
        let _rest = manager.guard("rest", log.cleanup("rest"));
        let (inside, held) = (manager.clone(), Mutex::new(Some(other)));
        let _subscription = manager.subscribe(move |event| {
            if matches!(event, ResourceEvent::Cleaned { label, .. } if &**label == "pool") {
                drop(lock(&held).take());
                assert!(inside.cleanup().is_success());
            }
        });
        drop(manager.guard("pool", log.cleanup("pool")));
        log.assert_is(&["pool", "other", "rest"]);
    });
}

#[test]
fn events_of_one_resource_stay_in_order_while_others_are_told_at_once() {
    const THREADS: usize = 4;
    watchdog(LIMIT, || {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        let workers = [(); THREADS].map(|()| {
            let manager = manager.clone();
            thread::spawn(move || (0..250).for_each(|_| drop(manager.guard("pool", || ()))))
        });
        for worker in workers {
            worker.join().unwrap();
        }
        let mut open = std::collections::HashSet::new();
        let events = recorder.events();
        assert_eq!(events.len(), THREADS * 250 * 2);
        for event in events {
            match event {
                ResourceEvent::Registered { id, .. } => assert!(open.insert(id), "registered twice"),
                ResourceEvent::Cleaned { id, .. } => {
                    assert!(open.remove(&id), "cleaned before it was registered")
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(open.is_empty());
    });
}

#[test]
fn an_event_knows_the_label_and_the_id_of_what_it_is_about() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().max_resources(2));
        let recorder = Recorder::on(&manager);
        let hang = Hang::new();
        let pool = manager.guard("pool", || ());
        let server = manager.resource("server").depends_on(&pool).guard(|| ()).unwrap();
        let _one_too_many = manager.guard("one too many", || ());
        drop(pool);
        drop(server);
        let stuck =
            manager.resource("stuck").timeout(Duration::from_millis(20)).guard(hang.cleanup()).unwrap();
        drop(stuck);
        hang.release();
        recorder.wait_for("finished late stuck");
        assert_eq!(manager.shutdown().cleaned(), 1);
        let _late = manager.guard("late", || ());
        let mut without_id = Vec::new();
        // What the recorder tells is taken from the fields.
        for (event, words) in recorder.events().iter().zip(recorder.words()) {
            let is_of_manager = words.starts_with("teardown ");
            assert_eq!(event.label().is_none(), is_of_manager, "{words}");
            assert!(is_of_manager || words.ends_with(&format!(" {}", event.label().unwrap())), "{words}");
            if event.id().is_none() {
                without_id.push(words);
            }
        }
        let of_no_resource =
            ["limit exceeded one too many", "teardown started test", "teardown finished test"];
        assert_eq!(without_id, of_no_resource);
        for kind in ["deferred pool", "finished late stuck", "registered after shutdown late"] {
            assert!(recorder.words().iter().any(|words| words == kind), "{kind}: {:?}", recorder.words());
        }
    });
}
