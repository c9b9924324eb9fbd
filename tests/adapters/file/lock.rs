//! A lock between processes: released, whoever has a duplicate of its descriptor.

use std::path::PathBuf;
use std::process::Command;

use castoff::ResourceGuard;
use castoff::adapters::FileLock;
use tempfile::TempDir;

use crate::alone::alone;
use crate::contract::{Case, manager};

struct OneAtATime;

/// Whether another process can take it.
fn is_free(path: &PathBuf) -> bool {
    Command::new("flock").arg("--nonblock").arg(path).arg("true").status().unwrap().success()
}

impl Case for OneAtATime {
    type Adopted = FileLock;
    type Witness = (PathBuf, TempDir);

    fn make() -> (FileLock, (PathBuf, TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        (FileLock::exclusive(&path).unwrap(), (path, folder))
    }

    fn is_over((path, _): &(PathBuf, TempDir)) -> bool {
        is_free(path)
    }

    fn end_first(lock: &mut FileLock, _: &(PathBuf, TempDir)) {
        lock.with(|file| Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock)?)).unwrap();
    }
}

contract!(OneAtATime, never hangs);

#[test]
fn a_duplicate_of_its_descriptor_does_not_keep_it() {
    alone(|| {
        let (lock, (path, _folder)) = OneAtATime::make();
        let _duplicate = lock.with(|file| file.try_clone()).unwrap();
        ResourceGuard::close(manager().adopt(lock)).unwrap();
        assert!(is_free(&path));
    });
}

#[test]
fn the_file_that_was_given_the_same_name_is_left_alone() {
    alone(|| {
        let (lock, (path, _folder)) = OneAtATime::make();
        let guard = manager().adopt(lock);
        std::fs::remove_file(&path).unwrap();
        let theirs = FileLock::try_exclusive(&path).unwrap().expect("another file, so another lock");
        drop(guard);
        assert!(!is_free(&path));
        drop(theirs);
        assert!(is_free(&path));
    });
}

#[test]
fn those_who_share_it_keep_out_who_does_not() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let shared = [FileLock::shared(&path).unwrap(), FileLock::shared(&path).unwrap()];
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
        let manager = manager();
        let _guards = shared.map(|lock| manager.adopt(lock));
        assert_eq!(manager.cleanup().cleaned(), 2);
        assert!(FileLock::try_exclusive(&path).unwrap().is_some());
    });
}

#[test]
fn a_file_that_was_locked_by_others_means_can_be_taken() {
    alone(|| {
        let (lock, (path, _folder)) = OneAtATime::make();
        let lock = FileLock::new("by hand", lock.into_inner().unwrap());
        let guard = manager().adopt(lock);
        assert_eq!(*ResourceGuard::info(&guard).unwrap().label, *"lock on by hand");
        assert!(!is_free(&path));
        drop(guard);
        assert!(is_free(&path));
    });
}
