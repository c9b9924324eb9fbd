//! The current directory, changed back to the very one it was.

use std::env;
use std::fs;
use std::path::PathBuf;

use castoff::ResourceGuard;
use castoff::adapters::CurrentDirectory;
use tempfile::TempDir;

use crate::alone::alone;
use crate::contract::{Case, manager};

struct Build;

impl Case for Build {
    type Adopted = CurrentDirectory;
    type Witness = (PathBuf, TempDir);

    fn make() -> (CurrentDirectory, (PathBuf, TempDir)) {
        let (before, folder) = (env::current_dir().unwrap(), tempfile::tempdir().unwrap());
        (CurrentDirectory::change(folder.path()).unwrap(), (before, folder))
    }

    fn is_over((before, _): &(PathBuf, TempDir)) -> bool {
        env::current_dir().unwrap() == *before
    }

    fn end_first(_: &mut CurrentDirectory, (before, _): &(PathBuf, TempDir)) {
        env::set_current_dir(before).unwrap();
    }
}

contract!(Build, never hangs);

#[test]
fn a_directory_that_got_the_same_name_is_not_gone_back_to() {
    alone(|| {
        let (first, folder) = (env::current_dir().unwrap(), tempfile::tempdir().unwrap());
        let old = folder.path().canonicalize().unwrap().join("old");
        fs::create_dir(&old).unwrap();
        env::set_current_dir(&old).unwrap();
        let guard = manager().adopt(CurrentDirectory::change("/").unwrap());
        fs::rename(&old, old.with_extension("moved")).unwrap();
        fs::create_dir(&old).unwrap();
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(error.contains("is another directory than the one to go back to"), "{error}");
        assert_eq!(env::current_dir().unwrap(), PathBuf::from("/"));
        env::set_current_dir(first).unwrap();
    });
}

#[test]
fn a_change_that_fails_changes_nothing() {
    alone(|| {
        let before = env::current_dir().unwrap();
        CurrentDirectory::change("/nonexistent").unwrap_err();
        assert_eq!(env::current_dir().unwrap(), before);
    });
}

#[test]
fn it_tells_where_it_goes_back_to() {
    alone(|| {
        let (change, (before, _folder)) = Build::make();
        assert_eq!(change.before(), before);
        drop(manager().adopt(change));
    });
}
