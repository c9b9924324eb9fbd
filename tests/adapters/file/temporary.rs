//! Temporary directories and files: removed, unless somebody else's is in their place.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use castoff::ResourceGuard;
use castoff::adapters::{TemporaryDirectory, TemporaryFile};

use crate::alone::alone;
use crate::contract::{Case, manager};

mod directory {
    use super::*;

    struct Scratch;

    impl Case for Scratch {
        type Adopted = TemporaryDirectory;
        type Witness = PathBuf;

        fn make() -> (TemporaryDirectory, PathBuf) {
            let directory = TemporaryDirectory::from(tempfile::tempdir().unwrap());
            fs::create_dir_all(directory.join("a/b")).unwrap();
            fs::write(directory.join("a/b/c"), "data").unwrap();
            let path = directory.to_owned();
            (directory, path)
        }

        fn is_over(path: &PathBuf) -> bool {
            !path.exists()
        }

        fn end_first(directory: &mut TemporaryDirectory, _: &PathBuf) {
            fs::remove_dir_all(&**directory).unwrap();
        }
    }

    contract!(Scratch, never hangs);

    #[test]
    #[cfg(unix)]
    fn a_directory_that_got_the_same_name_is_left_alone() {
        alone(|| {
            let (directory, path) = Scratch::make();
            let guard = manager().adopt(directory);
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir(&path).unwrap();
            fs::write(path.join("theirs"), "data").unwrap();
            ResourceGuard::close(guard).unwrap();
            assert!(path.join("theirs").exists());
            fs::remove_dir_all(path).unwrap();
        });
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_got_the_same_name_is_not_followed() {
        alone(|| {
            let (directory, path) = Scratch::make();
            let (other, elsewhere) = Scratch::make();
            let guard = manager().adopt(directory);
            fs::remove_dir_all(&path).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
            ResourceGuard::close(guard).unwrap();
            assert!(elsewhere.join("a/b/c").exists());
            fs::remove_file(path).unwrap();
            drop(other);
        });
    }

    #[test]
    fn a_released_directory_is_tempfiles_again() {
        alone(|| {
            let (directory, path) = Scratch::make();
            let directory = ResourceGuard::release(manager().adopt(directory)).into_inner().unwrap();
            assert!(path.exists());
            drop(directory);
            assert!(!path.exists());
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn one_that_can_not_be_removed_is_an_error_that_names_it() {
        alone(|| {
            let parent = tempfile::tempdir_in("/dev/shm").unwrap();
            let directory = tempfile::tempdir_in(parent.path()).unwrap();
            let (guard, path) = (TemporaryDirectory::from(directory), parent.path().to_owned());
            let guard = manager().adopt(guard);
            // What is not a directory any more has nothing below it.
            fs::rename(&path, path.with_extension("moved")).unwrap();
            fs::write(&path, "").unwrap();
            let error = ResourceGuard::close(guard).unwrap_err().to_string();
            assert!(error.contains("Not a directory"), "{error}");
            fs::remove_file(&path).unwrap();
            fs::rename(path.with_extension("moved"), path).unwrap();
        });
    }
}

mod file {
    use super::*;

    struct Part;

    impl Case for Part {
        type Adopted = TemporaryFile;
        type Witness = PathBuf;

        fn make() -> (TemporaryFile, PathBuf) {
            let file = TemporaryFile::from(tempfile::NamedTempFile::new().unwrap());
            let path = file.path().to_owned();
            (file, path)
        }

        fn is_over(path: &PathBuf) -> bool {
            !path.exists()
        }

        fn end_first(_: &mut TemporaryFile, path: &PathBuf) {
            fs::remove_file(path).unwrap();
        }
    }

    contract!(Part, never hangs);

    #[test]
    fn it_is_written_and_read_until_its_cleanup() {
        alone(|| {
            let (manager, mut guard) = {
                let manager = manager();
                let guard = manager.adopt(Part::make().0);
                (manager, guard)
            };
            guard.write_all(b"half of it").unwrap();
            guard.flush().unwrap();
            guard.rewind().unwrap();
            let mut text = String::new();
            guard.read_to_string(&mut text).unwrap();
            assert_eq!(text, "half of it");
            assert!(manager.cleanup().is_success());
            assert_eq!(guard.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_got_the_same_name_is_left_alone() {
        alone(|| {
            let (file, path) = Part::make();
            let guard = manager().adopt(file);
            fs::remove_file(&path).unwrap();
            fs::write(&path, "theirs").unwrap();
            ResourceGuard::close(guard).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
            fs::remove_file(path).unwrap();
        });
    }

    #[test]
    fn a_released_file_can_be_persisted() {
        alone(|| {
            let (file, path) = Part::make();
            let file = ResourceGuard::release(manager().adopt(file)).into_inner().unwrap();
            let kept = path.with_extension("kept");
            file.persist(&kept).unwrap();
            assert!(kept.exists() && !path.exists());
            fs::remove_file(kept).unwrap();
        });
    }
}
