//! Each refusal: its variant with all it carries, and a message that names the parties by label and by the
//! line that made them.

use std::sync::mpsc;

use castoff::{ManagerConfig, RegisterError, ResourceDefinition, ResourceGuard};

use crate::support::{LIMIT, manager, manager_with, watchdog};

#[track_caller]
fn says(error: &RegisterError, expected: &[&str]) {
    let text = error.to_string();
    for part in expected {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let first = text.chars().next().unwrap_or('A');
    assert!(first.is_lowercase() && !text.ends_with('.'), "not the form of a message: {text}");
}

#[test]
fn a_name_that_is_taken_is_refused_and_says_by_whom() {
    let manager = manager();
    let (first, line) = (manager.resource("orders pool").named("db"), line!());
    let _first = first.guard(|| ()).unwrap();
    let refused = manager.resource("other pool").named("db").guard(|| ()).unwrap_err();
    let RegisterError::DuplicateName { label, name, existing, created_at, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((&**label, &**name, &**existing), ("other pool", "db", "orders pool"));
    assert_eq!((created_at.file(), created_at.line()), (file!(), line));
    says(&refused, &["other pool", "db", "orders pool", &format!("{}:{line}", file!())]);
}

#[test]
fn a_dependency_on_an_unknown_name_is_refused() {
    let refused = manager().resource("server").depends_on_name("db").guard(|| ()).unwrap_err();
    let RegisterError::UnknownDependency { label, name, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((&**label, &**name), ("server", "db"));
    says(&refused, &["server", "db"]);
}

#[test]
fn a_dependency_on_what_has_ended_is_refused() {
    let manager = manager();
    let pool = manager.guard("pool", || ());
    let ended = ResourceGuard::id(&pool);
    drop(pool);
    let refused = manager.resource("server").depends_on(ended).guard(|| ()).unwrap_err();
    let RegisterError::DependencyGone { label, id, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((&**label, *id), ("server", ended));
    says(&refused, &["server"]);
}

#[test]
fn a_dependency_in_another_tree_is_refused() {
    let elsewhere = manager();
    let pool = elsewhere.guard("pool", || ());
    let refused = manager().resource("server").depends_on(&pool).guard(|| ()).unwrap_err();
    let RegisterError::DependencyGone { id, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*id, ResourceGuard::id(&pool));
    assert!(ResourceGuard::info(&pool).unwrap().dependents.is_empty());
}

#[test]
fn a_cycle_is_refused_and_says_its_path() {
    let batch = [
        ResourceDefinition::new("server", || ()).named("a").depends_on_name("b"),
        ResourceDefinition::new("pool", || ()).named("b").depends_on_name("a"),
    ];
    let refused = manager().register_batch(batch).unwrap_err();
    let RegisterError::Cycle { path, .. } = &refused else { panic!("{refused:?}") };
    assert!(path.iter().any(|label| &**label == "server") && path.iter().any(|label| &**label == "pool"));
    says(&refused, &["server", "pool"]);
}

#[test]
fn one_more_than_the_limit_is_refused() {
    let manager = manager_with(ManagerConfig::default().max_resources(2));
    let _held = [manager.guard("one", || ()), manager.guard("two", || ())];
    let refused = manager.resource("three").guard(|| ()).unwrap_err();
    let RegisterError::LimitReached { label, limit, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((&**label, *limit), ("three", 2));
    says(&refused, &["three", "2"]);
}

#[test]
fn registering_after_the_shutdown_is_refused() {
    watchdog(LIMIT, || {
        let manager = manager();
        assert!(manager.shutdown().is_success());
        let refused = manager.resource("late").guard(|| ()).unwrap_err();
        let RegisterError::ShutDown { label, manager, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!((&**label, &**manager), ("late", "test"));
        says(&refused, &["late", "test"]);
    });
}

#[test]
fn an_empty_label_is_refused() {
    let refused = manager().resource("").guard(|| ()).unwrap_err();
    assert!(matches!(refused, RegisterError::EmptyLabel { .. }), "{refused:?}");
    says(&refused, &[]);
}

#[test]
fn a_dependency_by_name_on_what_is_being_cleaned_is_refused() {
    watchdog(LIMIT, || {
        let manager = manager();
        let (tell, told) = mpsc::channel();
        let inside = manager.clone();
        let _pool = manager.resource("pool").named("db").guard(move || {
            tell.send(inside.resource("late").depends_on_name("db").guard(|| ()).is_err()).ok();
        });
        assert!(manager.cleanup().is_success());
        assert_eq!(told.recv(), Ok(true));
    });
}

#[test]
fn a_check_says_what_a_registration_would_and_registers_nothing() {
    watchdog(LIMIT, || {
        let manager = manager_with(ManagerConfig::default().max_resources(1));
        assert!(manager.resource("fine").check().is_ok());
        assert!(matches!(manager.resource("").check(), Err(RegisterError::EmptyLabel { .. })));
        let unknown = manager.resource("server").depends_on_name("db").check();
        assert!(matches!(unknown, Err(RegisterError::UnknownDependency { .. })), "{unknown:?}");
        let ended = ResourceGuard::id(&manager.guard("pool", || ()));
        let gone = manager.resource("server").depends_on(ended).check();
        assert!(matches!(gone, Err(RegisterError::DependencyGone { .. })), "{gone:?}");
        assert_eq!(manager.resource_count(), 0);
        let _pool = manager.resource("pool").guard(|| ()).unwrap();
        let full = manager.resource("server").check();
        assert!(matches!(full, Err(RegisterError::LimitReached { limit: 1, .. })), "{full:?}");
        assert!(manager.shutdown().is_success());
        let late = manager.resource("late").check();
        assert!(matches!(late, Err(RegisterError::ShutDown { .. })), "{late:?}");
    });
}

#[test]
fn a_check_finds_a_name_that_is_taken() {
    let manager = manager();
    let pool = manager.resource("pool").named("db").guard(|| ()).unwrap();
    let registration = manager.resource("other").named("db");
    let taken = registration.check();
    assert!(matches!(taken, Err(RegisterError::DuplicateName { .. })), "{taken:?}");
    drop(pool);
    assert!(registration.check().is_ok());
    let other = registration.guard(|| ()).unwrap();
    assert_eq!(manager.find("db"), Some(ResourceGuard::id(&other)));
}

#[test]
fn every_refusal_knows_the_label_of_what_it_refused() {
    let (manager, limited) = (manager(), manager_with(ManagerConfig::default().max_resources(0)));
    let _pool = manager.resource("pool").named("db").guard(|| ()).unwrap();
    let ended = manager.guard("ended", || ());
    let sealed = manager.child("sealed");
    assert!(sealed.shutdown().is_success());
    let circle = ResourceDefinition::new("new", || ()).named("a").depends_on_name("a");
    let id = ResourceGuard::id(&ended);
    drop(ended);
    let refusals = [
        ("DuplicateName", manager.resource("new").named("db").guard(|| ()).map(drop)),
        ("UnknownDependency", manager.resource("new").depends_on_name("nothing").guard(|| ()).map(drop)),
        ("DependencyGone", manager.resource("new").depends_on(id).guard(|| ()).map(drop)),
        ("Cycle", manager.register_batch([circle]).map(drop)),
        ("LimitReached", limited.resource("new").guard(|| ()).map(drop)),
        ("ShutDown", sealed.resource("new").guard(|| ()).map(drop)),
    ];
    for (variant, refused) in refusals {
        let refused = refused.expect_err(variant);
        assert!(format!("{refused:?}").starts_with(variant), "{refused:?} is no {variant}");
        assert_eq!(&**refused.label(), "new", "{refused:?}");
    }
}

#[test]
fn a_dependency_that_has_ended_is_named_by_what_is_still_known_of_it() {
    let manager = manager();
    let (pool, line) = (manager.guard("pool", || ()), line!());
    assert!(manager.cleanup().is_success());
    // Its guard is still there, and so is what is known of it.
    let refused = manager.resource("server").depends_on(&pool).guard(|| ()).unwrap_err();
    says(&refused, &[&format!("its dependency `pool` (made at {}:{line}", file!())]);
    let id = ResourceGuard::id(&pool);
    drop(pool);
    let refused = manager.resource("server").depends_on(id).guard(|| ()).unwrap_err();
    says(&refused, &[&format!("its dependency {id} has ended")]);
    // Said by somebody else, who knows the label alone.
    let dependency = Some("pool".into());
    let theirs = RegisterError::DependencyGone { label: "server".into(), id, dependency, created_at: None };
    says(&theirs, &["its dependency `pool` has ended"]);
}
