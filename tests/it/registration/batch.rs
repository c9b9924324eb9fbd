//! Batches: all or none, names may refer forward, and a refused one runs each cleanup once, newest definition
//! first.

use std::time::Duration;

use castoff::{Category, Priority, RegisterError, ResourceDefinition, ResourceGuard, ResourceInfo};

use crate::support::{DropCounter, LIMIT, OrderLog, manager, watchdog};

fn infos(guards: &[ResourceGuard<()>]) -> Vec<ResourceInfo> {
    guards.iter().map(|guard| ResourceGuard::info(guard).unwrap()).collect()
}

#[test]
fn guards_come_back_in_the_order_of_their_definitions() {
    let manager = manager();
    let labels = ["one", "two", "three"];
    let guards = manager.register_batch(labels.map(|label| ResourceDefinition::new(label, || ()))).unwrap();
    let known: Vec<String> = infos(&guards).iter().map(|info| info.label.to_string()).collect();
    assert_eq!(known, labels);
    assert_eq!(manager.resource_count(), 3);
}

#[test]
fn an_empty_batch_is_registered() {
    assert!(manager().register_batch([]).unwrap().is_empty());
}

#[test]
fn names_in_a_batch_refer_backward_forward_and_to_what_lives() {
    let manager = manager();
    let disk = manager.resource("disk").named("disk").guard(|| ()).unwrap();
    let guards = manager
        .register_batch([
            ResourceDefinition::new("server", || ()).named("server").depends_on_name("pool"),
            ResourceDefinition::new("pool", || ()).named("pool").depends_on_name("disk"),
            ResourceDefinition::new("worker", || ()).depends_on_name("server").depends_on_name("pool"),
        ])
        .unwrap();
    let [server, pool, worker] = &infos(&guards)[..] else { panic!("three guards") };
    assert_eq!(server.dependencies, [pool.id]);
    assert_eq!(pool.dependencies, [ResourceGuard::id(&disk)]);
    let mut of_the_worker = worker.dependencies.clone();
    of_the_worker.sort_unstable();
    let mut expected = [server.id, pool.id];
    expected.sort_unstable();
    assert_eq!(of_the_worker, expected);
    assert_eq!(manager.find("pool"), Some(pool.id));
}

#[test]
fn a_forward_reference_decides_the_order_of_the_teardown() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        // Newest first alone would clean the pool before the server.
        let batch = [
            ResourceDefinition::new("server", log.cleanup("server")).depends_on_name("pool"),
            ResourceDefinition::new("pool", log.cleanup("pool")).named("pool"),
            ResourceDefinition::new("newest", log.cleanup("newest")),
        ];
        let _guards = manager.register_batch(batch).unwrap();
        assert!(manager.cleanup().is_success());
        log.assert_is(&["newest", "server", "pool"]);
    });
}

#[test]
fn every_option_of_a_definition_is_in_the_info() {
    let definition = ResourceDefinition::new("pool", || ())
        .named("db")
        .category(Category::Database)
        .priority(Priority::High)
        .timeout(Duration::from_secs(3))
        .tag("orders")
        .tag("eu");
    let guards = manager().register_batch([definition]).unwrap();
    let info = &infos(&guards)[0];
    assert_eq!(info.name.as_deref(), Some("db"));
    assert_eq!((info.category, info.priority), (Category::Database, Priority::High));
    assert_eq!(info.timeout, Some(Duration::from_secs(3)));
    assert_eq!(info.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["orders", "eu"]);
}

#[test]
fn a_refused_batch_runs_each_cleanup_once_newest_definition_first() {
    let (manager, log, drops) = (manager(), OrderLog::new(), DropCounter::new());
    let batch = ["one", "two", "three"].map(|label| {
        let (run, captured) = (log.cleanup(label), drops.value());
        let definition = ResourceDefinition::new(label, move || {
            drop(captured);
            run();
        });
        definition.named(label).depends_on_name(if label == "one" { "nothing" } else { "one" })
    });
    let refused = manager.register_batch(batch).unwrap_err();
    let RegisterError::UnknownDependency { label, name, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((&**label, &**name), ("one", "nothing"));
    log.assert_is(&["three", "two", "one"]);
    drops.assert_each_once();
    assert_eq!(drops.dropped(), 3);
}

#[test]
fn a_refused_batch_leaves_nothing_registered_and_no_name_taken() {
    let manager = manager();
    let batch = [
        ResourceDefinition::new("fine", || ()).named("fine"),
        ResourceDefinition::new("lost", || ()).depends_on_name("nothing"),
    ];
    assert!(manager.register_batch(batch).is_err());
    assert_eq!(manager.resource_count(), 0);
    assert_eq!(manager.find("fine"), None);
    assert!(manager.resource("again").named("fine").guard(|| ()).is_ok());
}

#[test]
fn a_panic_in_a_refused_batch_is_caught_and_does_not_replace_the_error() {
    let (manager, log) = (manager(), OrderLog::new());
    let batch = [
        ResourceDefinition::new("one", log.cleanup("one")).depends_on_name("nothing"),
        ResourceDefinition::new("two", || panic!("boom")),
        ResourceDefinition::new("three", log.failing("three")),
    ];
    let refused = manager.register_batch(batch);
    assert!(matches!(refused, Err(RegisterError::UnknownDependency { .. })));
    log.assert_is(&["three", "one"]);
}

#[test]
fn a_name_given_twice_in_one_batch_is_refused_and_says_by_whom() {
    let (manager, log) = (manager(), OrderLog::new());
    let (first, line) = (ResourceDefinition::new("first", log.cleanup("first")).named("db"), line!());
    let second = ResourceDefinition::new("second", log.cleanup("second")).named("db");
    let refused = manager.register_batch([first, second]).unwrap_err();
    let RegisterError::DuplicateName { label, name, existing, created_at, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((&**label, &**name, &**existing), ("second", "db", "first"));
    assert_eq!((created_at.file(), created_at.line()), (file!(), line));
    log.assert_is(&["second", "first"]);
}

#[test]
fn a_name_that_lives_already_refuses_the_whole_batch() {
    let (manager, log) = (manager(), OrderLog::new());
    let live = manager.resource("live").named("db").guard(log.cleanup("live")).unwrap();
    let batch = [
        ResourceDefinition::new("one", log.cleanup("one")),
        ResourceDefinition::new("two", log.cleanup("two")).named("db"),
    ];
    let refused = manager.register_batch(batch).unwrap_err();
    assert!(
        matches!(&refused, RegisterError::DuplicateName { existing, .. } if &**existing == "live"),
        "{refused:?}"
    );
    log.assert_is(&["two", "one"]);
    assert_eq!(manager.find("db"), Some(ResourceGuard::id(&live)));
}
