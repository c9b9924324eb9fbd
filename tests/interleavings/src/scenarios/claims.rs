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
        assert!(report.failed() == 0 && report.skipped().is_empty());
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_close_meets_a_teardown() {
    explore("a close meets a teardown", || {
        let (manager, record) = (manager(), Record::new());
        let guard = manager.guard("file", record.cleanup("file"));
        let other = thread::spawn(move || ResourceGuard::close(guard).expect("it cleans well"));
        manager.cleanup();
        other.join().expect("it only closes");
        record.once_each(&["file"]);
        assert_eq!(manager.resource_count(), 0);
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
