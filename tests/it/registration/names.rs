//! Names: unique among the live names of one manager, free again afterwards, found from where the rules say.

use castoff::{RegisterError, ResourceGuard, ResourceManager};

use crate::support::{LIMIT, manager, watchdog};

fn named(manager: &ResourceManager, name: &'static str) -> ResourceGuard<()> {
    manager.resource(name).named(name).guard(|| ()).unwrap()
}

#[test]
fn a_resource_is_found_by_its_name_while_it_lives() {
    let manager = manager();
    assert_eq!(manager.find("db"), None);
    let guard = named(&manager, "db");
    assert_eq!(manager.find("db"), Some(ResourceGuard::id(&guard)));
    assert_eq!(manager.find("DB"), None);
    drop(guard);
    assert_eq!(manager.find("db"), None);
}

#[test]
fn a_label_is_not_a_name() {
    let manager = manager();
    let _guard = manager.guard("db", || ());
    assert_eq!(manager.find("db"), None);
}

#[test]
fn a_name_is_free_again_however_its_resource_ended() {
    watchdog(LIMIT, || {
        let manager = manager();
        drop(named(&manager, "db"));
        ResourceGuard::close(named(&manager, "db")).unwrap();
        ResourceGuard::release(named(&manager, "db"));
        let unregistered = named(&manager, "db");
        assert!(matches!(manager.unregister(ResourceGuard::id(&unregistered)), Ok(true)));
        let torn_down = named(&manager, "db");
        assert!(manager.cleanup().is_success());
        let failing = manager.resource("failing").named("db").guard(|| Err("no disk")).unwrap();
        assert_eq!(manager.cleanup().failed(), 1);
        let last = named(&manager, "db");
        assert_eq!(manager.find("db"), Some(ResourceGuard::id(&last)));
        drop((unregistered, torn_down, failing));
        assert_eq!(manager.find("db"), Some(ResourceGuard::id(&last)), "late drops take no name with them");
    });
}

#[test]
fn a_deferred_resource_keeps_its_name() {
    let manager = manager();
    let pool = named(&manager, "db");
    let server = manager.resource("server").depends_on(&pool).guard(|| ()).unwrap();
    drop(pool);
    assert!(manager.find("db").is_some());
    let refused = manager.resource("other").named("db").guard(|| ()).unwrap_err();
    assert!(matches!(refused, RegisterError::DuplicateName { .. }), "{refused:?}");
    drop(server);
    assert_eq!(manager.find("db"), None);
}

#[test]
fn a_name_is_unique_in_its_own_manager_only() {
    let parent = manager();
    let child = parent.child("child");
    let (above, below) = (named(&parent, "db"), named(&child, "db"));
    assert_eq!(parent.find("db"), Some(ResourceGuard::id(&above)));
    assert_eq!(child.find("db"), Some(ResourceGuard::id(&below)));
}

#[test]
fn find_looks_in_this_manager_alone() {
    let parent = manager();
    let child = parent.child("child");
    let (_above, _below) = (named(&parent, "above"), named(&child, "below"));
    assert_eq!(parent.find("below"), None);
    assert_eq!(child.find("above"), None);
}

#[test]
fn a_dependency_by_name_is_looked_for_here_and_then_above() {
    let grandparent = manager();
    let parent = grandparent.child("parent");
    let child = parent.child("child");
    let (far, near) = (named(&grandparent, "db"), named(&parent, "db"));
    let (only_far, own) = (named(&grandparent, "log"), named(&child, "cache"));
    let registration =
        child.resource("server").depends_on_name("db").depends_on_name("log").depends_on_name("cache");
    let server = registration.guard(|| ()).unwrap();
    let mut dependencies = ResourceGuard::info(&server).unwrap().dependencies;
    dependencies.sort_unstable();
    let mut expected = [&near, &only_far, &own].map(ResourceGuard::id);
    expected.sort_unstable();
    assert_eq!(dependencies, expected);
    assert!(ResourceGuard::info(&far).unwrap().dependents.is_empty());
}

#[test]
fn a_dependency_by_name_is_not_looked_for_below_or_beside() {
    let parent = manager();
    let (one, two) = (parent.child("one"), parent.child("two"));
    let _db = named(&one, "db");
    for manager in [&parent, &two] {
        let refused = manager.resource("server").depends_on_name("db").guard(|| ()).unwrap_err();
        assert!(matches!(refused, RegisterError::UnknownDependency { .. }), "{refused:?}");
    }
}
