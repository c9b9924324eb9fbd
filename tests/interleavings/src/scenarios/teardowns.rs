//! Teardowns: their turns, their workers, what is asked for inside of one, and the last one.

use super::{Record, explore, explore_large, manager};
use crate::guard::ResourceGuard;
use crate::stand_in::thread;

#[test]
fn two_workers_clean_what_is_ready() {
    explore("two workers clean what is ready", || {
        let (manager, record) = (manager(), Record::new());
        let pool = manager.guard("pool", record.cleanup("pool"));
        let named = |name| manager.resource(name).depends_on(&pool).guard(record.cleanup(name));
        let _guards = ["one", "two"].map(named);
        let report = manager.teardown().concurrency(2).run();
        record.once_each(&["pool", "one", "two"]);
        record.before("one", "pool");
        record.before("two", "pool");
        assert_eq!(report.cleaned(), 3);
    });
}

#[test]
fn two_workers_and_a_drop() {
    explore_large("two workers clean while one is dropped", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("one", record.cleanup("one"));
        let _other = manager.guard("two", record.cleanup("two"));
        let other = thread::spawn(move || drop(guard));
        let report = manager.teardown().concurrency(2).run();
        other.join().expect("it only drops");
        record.once_each(&["one", "two"]);
        assert!(report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_teardown_asked_for_inside_of_one_is_done() {
    explore("a cleanup asks for a teardown while another one comes", || {
        let (manager, record) = (manager(), Record::new());
        let (inside, done) = (manager.clone(), record.cleanup("asks"));
        let _late = manager.guard("late", record.cleanup("late"));
        let guard = manager.guard("asks", move || {
            done();
            drop(inside.cleanup());
        });
        let other = thread::spawn(move || drop(guard));
        let _ = manager.cleanup();
        other.join().expect("it only drops");
        record.once_each(&["asks", "late"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn nothing_is_forgotten_by_a_shutdown() {
    explore("a registration meets a shutdown", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("late"));
        let other =
            thread::spawn(move || there.resource("late").guard(cleanup).map(ResourceGuard::leak).is_ok());
        let report = manager.shutdown();
        let accepted = other.join().expect("it only registers");
        record.once_each(&["late"]);
        assert_eq!(report.cleaned(), usize::from(accepted));
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_short_form_is_never_refused() {
    explore("a short form meets a shutdown", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("late"));
        let other = thread::spawn(move || drop(there.guard("late", cleanup)));
        let _ = manager.shutdown();
        other.join().expect("it only registers");
        record.once_each(&["late"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn nothing_with_a_name_is_forgotten_by_a_shutdown() {
    explore("a registration by name meets a shutdown", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("late"));
        let other = thread::spawn(move || {
            there.resource("late").named("late").guard(cleanup).map(ResourceGuard::leak).is_ok()
        });
        let report = manager.shutdown();
        let accepted = other.join().expect("it only registers");
        record.once_each(&["late"]);
        assert_eq!(report.cleaned(), usize::from(accepted));
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn nothing_in_a_new_child_is_forgotten_by_a_shutdown() {
    explore("a child is made, and registers, while its parent shuts down", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("late"));
        let other = thread::spawn(move || {
            let child = there.child("child");
            child.resource("late").guard(cleanup).map(ResourceGuard::leak).is_ok()
        });
        let report = manager.shutdown();
        let accepted = other.join().expect("it only registers");
        record.once_each(&["late"]);
        assert_eq!(report.cleaned(), usize::from(accepted));
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_drop_meets_a_shutdown() {
    explore("a drop meets a shutdown", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || drop(guard));
        let report = manager.shutdown();
        other.join().expect("it only drops");
        record.once_each(&["file"]);
        assert!(report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn two_shutdowns_meet() {
    explore("two shutdowns meet", || {
        let (manager, record) = (manager(), Record::new());
        let _guard = manager.guard("file", record.cleanup("file"));
        let there = manager.clone();
        let other = thread::spawn(move || drop(there.shutdown()));
        let _ = manager.shutdown();
        other.join().expect("it only shuts down");
        record.once_each(&["file"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_scope_ends_while_its_parent_is_torn_down() {
    explore_large("a scope ends while its parent is torn down", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("job"));
        let other = thread::spawn(move || {
            let _ = there.scope("request", |scope| ResourceGuard::leak(scope.guard("job", cleanup)));
        });
        let _ = manager.cleanup();
        other.join().expect("it only ends its scope");
        record.once_each(&["job"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn one_of_two_gets_the_name() {
    explore("two register by one name", || {
        let (manager, record) = (manager(), Record::new());
        let (there, cleanup) = (manager.clone(), record.cleanup("one"));
        let other = thread::spawn(move || {
            there.resource("one").named("port").guard(cleanup).map(ResourceGuard::leak).is_ok()
        });
        let two = manager.resource("two").named("port").guard(record.cleanup("two"));
        let one = other.join().expect("it only registers");
        assert!(one != two.is_ok(), "one of them, and not both");
        assert!(manager.find("port").is_some());
        drop(two);
        let _ = manager.shutdown();
        record.once_each(&["one", "two"]);
    });
}
