//! Dependents first: deferral, and who runs what was deferred.

use super::{Record, explore, explore_large, manager};
use crate::error::{DependencyError, RegisterError};
use crate::guard::ResourceGuard;
use crate::manager::ResourceManager;
use crate::stand_in::thread;

/// A pool, and a server that needs it.
fn two(manager: &ResourceManager, record: &Record) -> [ResourceGuard<()>; 2] {
    let pool = manager.guard("pool", record.cleanup("pool"));
    let server = manager.resource("server").depends_on(&pool).guard(record.cleanup("server"));
    [pool, server.expect("the pool is live")]
}

#[test]
fn what_is_dropped_first_waits_for_its_dependent() {
    explore("a dependency and its dependent are dropped at once", || {
        let (manager, record) = (manager(), Record::new());
        let [pool, server] = two(&manager, &record);
        let other = thread::spawn(move || drop(pool));
        drop(server);
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        record.before("server", "pool");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn the_last_of_two_dependents_lets_it_go() {
    explore("the last of two dependents lets go what was deferred", || {
        let (manager, record) = (manager(), Record::new());
        let [pool, one] = two(&manager, &record);
        let two = manager.resource("worker").depends_on(&pool).guard(record.cleanup("worker"));
        drop(pool);
        let other = thread::spawn(move || drop(one));
        drop(two);
        other.join().expect("it only drops");
        record.once_each(&["pool", "server", "worker"]);
        record.before("server", "pool");
        record.before("worker", "pool");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_teardown_meets_a_dependent_that_is_dropped() {
    explore("a teardown of two meets the drop of the dependent", || {
        let (manager, record) = (manager(), Record::new());
        let [_pool, server] = two(&manager, &record);
        let other = thread::spawn(move || drop(server));
        let report = manager.cleanup();
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        record.before("server", "pool");
        assert!(report.skipped().is_empty(), "{report}");
    });
}

#[test]
fn a_teardown_meets_a_dependency_that_is_dropped() {
    explore("a teardown of two meets the drop of the dependency", || {
        let (manager, record) = (manager(), Record::new());
        let [pool, _server] = two(&manager, &record);
        let other = thread::spawn(move || drop(pool));
        let report = manager.cleanup();
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        record.before("server", "pool");
        assert!(report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_teardown_of_the_dependent_alone_frees_what_a_drop_defers() {
    explore("a teardown of the dependent meets the drop of the dependency", || {
        let (manager, record) = (manager(), Record::new());
        let [pool, server] = two(&manager, &record);
        let id = ResourceGuard::id(&server);
        let other = thread::spawn(move || drop(pool));
        let report = manager.cleanup_batch(&[id]);
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        record.before("server", "pool");
        assert_eq!((report.cleaned(), manager.resource_count()), (1, 0));
    });
}

#[test]
fn a_dependent_registers_while_its_dependency_goes() {
    explore("a dependent registers while its dependency is dropped", || {
        let (manager, record) = (manager(), Record::new());
        let pool = manager.guard("pool", record.cleanup("pool"));
        let id = ResourceGuard::id(&pool);
        let other = thread::spawn(move || drop(pool));
        let server = manager.resource("server").depends_on(id).guard(record.cleanup("server"));
        let accepted = match server {
            Ok(server) => {
                drop(server);
                true
            }
            Err(RegisterError::DependencyGone { .. }) => false,
            Err(refused) => panic!("{refused}"),
        };
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        if accepted {
            record.before("server", "pool");
        }
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_dependency_is_added_while_what_it_leads_to_goes() {
    explore("a dependency is added while what it leads to is dropped", || {
        let (manager, record) = (manager(), Record::new());
        let pool = manager.guard("pool", record.cleanup("pool"));
        let server = manager.guard("server", record.cleanup("server"));
        let id = ResourceGuard::id(&pool);
        let other = thread::spawn(move || drop(pool));
        let added = match manager.add_dependency(ResourceGuard::id(&server), id) {
            Ok(()) => true,
            Err(DependencyError::Gone { .. }) => false,
            Err(refused) => panic!("{refused}"),
        };
        drop(server);
        other.join().expect("it only drops");
        record.once_each(&["pool", "server"]);
        if added {
            record.before("server", "pool");
        }
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn it_is_unregistered_or_gets_a_dependent() {
    explore("one is unregistered while a dependent registers", || {
        let (manager, record) = (manager(), Record::new());
        let pool = manager.guard("pool", record.cleanup("pool"));
        let id = ResourceGuard::id(&pool);
        let there = manager.clone();
        let other = thread::spawn(move || there.unregister(id).is_ok_and(|gone| gone));
        let server = manager.resource("server").depends_on(id).guard(record.cleanup("server"));
        let gone = other.join().expect("it only unregisters");
        assert!(!(gone && server.is_ok()), "unregistered, and depended on");
        drop(server);
        drop(pool);
        assert_eq!(record.times("pool"), usize::from(!gone));
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_child_and_its_parent_are_torn_down_at_once() {
    explore_large("a child and its parent are torn down at once", || {
        let (manager, record) = (manager(), Record::new());
        let child = manager.child("child");
        let _pool = manager.guard("pool", record.cleanup("pool"));
        let _job = child.guard("job", record.cleanup("job"));
        let other = thread::spawn(move || drop(child.cleanup()));
        let report = manager.cleanup();
        other.join().expect("it only tears down");
        record.once_each(&["pool", "job"]);
        assert!(report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_registers_after_another_thread_goes_before_it() {
    explore("the newest goes first, whichever thread it is from", || {
        let (manager, record) = (manager(), Record::new());
        let (here, there) = (manager.clone(), record.clone());
        let first = manager.guard("first", record.cleanup("first"));
        let second = thread::spawn(move || here.guard("second", there.cleanup("second")));
        let second = second.join().expect("it only registers");
        let third = manager.guard("third", record.cleanup("third"));
        let _ = manager.cleanup();
        record.before("third", "second");
        record.before("second", "first");
        drop((first, second, third));
        record.once_each(&["first", "second", "third"]);
    });
}
