//! Who runs a cleanup: one of all that want to.

use super::{Record, explore, manager};
use crate::guard::ResourceGuard;
use crate::stand_in::thread;

#[test]
fn a_drop_meets_a_teardown() {
    explore("a drop meets a teardown", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || drop(guard));
        let report = manager.cleanup();
        other.join().expect("it only drops");
        record.once_each(&["file"]);
        assert!(report.failed() == 0 && report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_close_meets_a_teardown() {
    explore("a close meets a teardown", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || {
            ResourceGuard::close(guard).expect("it cleans well");
        });
        let _ = manager.cleanup();
        other.join().expect("it only closes");
        record.once_each(&["file"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_close_returns_after_the_cleanup_whoever_runs_it() {
    explore("a close returns after the cleanup, whoever runs it", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let there = manager.clone();
        let other = thread::spawn(move || drop(there.cleanup()));
        ResourceGuard::close(guard).expect("it cleans well");
        assert_eq!(record.times("file"), 1, "it has ended by now");
        other.join().expect("it only tears down");
        record.once_each(&["file"]);
    });
}

#[test]
fn a_release_meets_a_teardown() {
    explore("a release meets a teardown", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || ResourceGuard::release(guard));
        let report = manager.cleanup();
        other.join().expect("it only lets go");
        assert_eq!(record.times("file"), report.cleaned(), "it ran if the teardown says so, and not else");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn an_unregistration_meets_a_drop() {
    explore("an unregistration meets a drop", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let id = ResourceGuard::id(&guard);
        let other = thread::spawn(move || drop(guard));
        let gone = manager.unregister(id).expect("nothing depends on it");
        other.join().expect("it only drops");
        assert_eq!(record.times("file"), usize::from(!gone), "it ran, or was forgotten");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn two_teardowns_meet() {
    explore("two teardowns meet", || {
        let (manager, record) = (manager(), Record::new());
        let _guards = ["one", "two"].map(|name| manager.guard(name, record.cleanup(name)));
        let there = manager.clone();
        let other = thread::spawn(move || drop(there.cleanup()));
        let report = manager.cleanup();
        other.join().expect("it only tears down");
        record.once_each(&["one", "two"]);
        record.before("two", "one");
        assert!(report.skipped().is_empty(), "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_panicking_cleanup_lets_the_rest_run() {
    explore("a drop meets a teardown, and one cleanup panics", || {
        let (manager, record) = (manager(), Record::new());
        let (fine, bad) = (record.cleanup("bad"), record.cleanup("fine"));
        let guard = manager.guard("fine", fine_or(bad, false));
        let _other = manager.guard("bad", fine_or(fine, true));
        let other = thread::spawn(move || drop(guard));
        let report = manager.cleanup();
        other.join().expect("it only drops");
        record.once_each(&["fine", "bad"]);
        assert_eq!(report.failed(), 1, "{report}");
        assert_eq!(manager.resource_count(), 0);
    });
}

/// What fails needs no panic of its own to be a failure here: unwinding is the same in every interleaving.
fn fine_or(
    cleanup: impl FnOnce() + Send + 'static,
    fails: bool,
) -> impl FnOnce() -> Result<(), std::io::Error> + Send {
    move || {
        cleanup();
        if fails { Err(std::io::Error::other("as planned")) } else { Ok(()) }
    }
}

#[test]
fn listeners_hear_of_each_end_once() {
    use crate::events::ResourceEvent;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    explore("a listener hears of an end once", || {
        let (manager, record) = (manager(), Record::new());
        let heard = Arc::new(AtomicUsize::new(0));
        let hears = heard.clone();
        let listening = manager.subscribe(move |event| {
            if let ResourceEvent::Cleaned { .. } = event {
                hears.fetch_add(1, SeqCst);
            }
        });
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || drop(guard));
        let _ = manager.cleanup();
        other.join().expect("it only drops");
        drop(listening);
        record.once_each(&["file"]);
        assert_eq!(heard.load(SeqCst), 1);
    });
}
