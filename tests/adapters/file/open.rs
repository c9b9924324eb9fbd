//! An open file: closed, and on the disk if that was asked for.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use castoff::adapters::OpenFile;
use castoff::{ResourceGuard, ResourceState};
use tempfile::TempDir;

use crate::alone::{alone, until};
use crate::contract::{Case, TIMEOUT, manager};

struct Journal;

fn is_open(path: &Path) -> bool {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    links.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target.starts_with(path))
}

impl Case for Journal {
    type Adopted = OpenFile;
    type Witness = (PathBuf, TempDir);

    fn make() -> (OpenFile, (PathBuf, TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("journal");
        let mut file = OpenFile::create(&path).unwrap().synced();
        file.write_all(b"order 1").unwrap();
        (file, (path, folder))
    }

    fn is_over((path, _): &(PathBuf, TempDir)) -> bool {
        fs::read_to_string(path).unwrap() == "order 1" && !is_open(path)
    }

    /// Its path stands for something else now, which is left alone.
    fn end_first(_: &mut OpenFile, (path, _): &(PathBuf, TempDir)) {
        fs::remove_file(path).unwrap();
        fs::write(path, "order 1").unwrap();
    }
}

contract!(Journal, never hangs);

#[test]
fn a_call_in_progress_is_waited_for_within_the_timeout() {
    alone(|| {
        let (manager, (file, (path, _folder))) = (manager(), Journal::make());
        let guard = manager.resource("journal").timeout(TIMEOUT).adopt(file).unwrap();
        let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        thread::scope(|scope| {
            let guard = &guard;
            let call = move |_: &mut fs::File| -> io::Result<()> {
                begin.send(()).unwrap();
                ended.recv().ok();
                Ok(())
            };
            scope.spawn(move || guard.with(call).unwrap());
            begun.recv().unwrap();
            assert_eq!(manager.cleanup().timed_out(), 1);
            assert!(is_open(&path), "it is not closed under who uses it");
            drop(end);
        });
        until("the file to be closed late", || !is_open(&path));
        assert_eq!(ResourceGuard::state(&guard), ResourceState::TimedOut);
    });
}

#[test]
fn after_its_cleanup_every_call_is_an_error_that_names_it() {
    alone(|| {
        let (manager, (file, (path, _folder))) = (manager(), Journal::make());
        let mut guard = manager.adopt(file);
        assert!(manager.cleanup().is_success());
        let errors =
            [guard.write(b"x").unwrap_err(), guard.read(&mut [0]).unwrap_err(), guard.rewind().unwrap_err()];
        for error in errors {
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(error.to_string(), format!("`{}` was closed by its cleanup", path.display()));
        }
        assert!(ResourceGuard::release(guard).into_inner().is_none());
    });
}

#[test]
fn it_is_opened_to_be_read_and_knows_its_path() {
    alone(|| {
        let (written, (path, _folder)) = Journal::make();
        drop(written);
        let mut guard = manager().adopt(OpenFile::open(&path).unwrap());
        assert_eq!(guard.path(), path);
        let mut text = String::new();
        guard.read_to_string(&mut text).unwrap();
        assert_eq!(text, "order 1");
        guard.write(b"order 2").expect_err("it was opened to be read");
        guard.flush().expect("a file has no buffer of its own");
        assert_eq!(OpenFile::open(path.with_extension("other")).unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_disk_that_can_not_be_reached_is_an_error_of_the_cleanup() {
    alone(|| {
        // Of what can't be synced there is a pipe.
        let (_reader, writer) = io::pipe().unwrap();
        let file = OpenFile::new("pipe", fs::File::from(std::os::fd::OwnedFd::from(writer))).synced();
        let error = ResourceGuard::close(manager().adopt(file)).unwrap_err().to_string();
        assert!(error.contains("pipe") && error.contains("Invalid argument"), "{error}");
    });
}
