//! Calls that hang: on a pipe that nobody writes to. Their cleanup waits for them, is given up, and is done when they end.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;

use castoff::adapters::{FileLock, OpenFile};
use castoff::{Resource, ResourceGuard, ResourceState};

use crate::alone::{alone, until};
use crate::contract::{TIMEOUT, manager};

/// Has a call hang in what is adopted, and a teardown meet it: the call gets what it hangs on, and says when it is there.
fn is_given_up_during<R: Resource + Sync>(adopted: R, call: impl FnOnce(&R, &mut dyn FnMut()) + Send) {
    let (silent, mut voice) = io::pipe().unwrap();
    let (begin, begun) = mpsc::channel();
    let manager = manager();
    let guard = manager.resource("hanging").timeout(TIMEOUT).adopt(adopted).unwrap();
    thread::scope(|scope| {
        let guard = &guard;
        scope.spawn(move || call(guard, &mut || hang(&silent, &begin)));
        begun.recv().unwrap();
        let report = manager.cleanup();
        assert_eq!(report.timed_out(), 1, "{report}");
        assert_eq!(ResourceGuard::state(guard), ResourceState::TimedOut);
        voice.write_all(b"!").unwrap();
    });
}

fn hang(mut silent: &PipeReader, begin: &mpsc::Sender<()>) {
    begin.send(()).unwrap();
    silent.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_read_from_what_nobody_writes_to() {
    alone(|| {
        let (silent, voice) = io::pipe().unwrap();
        let file = OpenFile::new("pipe", File::from(OwnedFd::from(silent)));
        is_given_up_during(file, |file, hang| {
            file.with(|file| {
                hang();
                drop(voice);
                file.read(&mut [0])
            })
            .expect("the end of the file");
        });
    });
}

#[test]
fn a_call_in_a_locked_file() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::exclusive(&path).unwrap();
        is_given_up_during(lock, |lock, hang| {
            lock.with(|_| {
                hang();
                assert!(FileLock::try_exclusive(&path)?.is_none(), "it was given up, and is still locked");
                Ok(())
            })
            .unwrap();
        });
        until("the lock to be released late", || FileLock::try_exclusive(&path).unwrap().is_some());
    });
}

#[cfg(feature = "tempfile")]
#[test]
fn a_call_in_a_temporary_file() {
    use castoff::adapters::TemporaryFile;

    alone(|| {
        let file = TemporaryFile::from(tempfile::NamedTempFile::new().unwrap());
        let path = file.path().to_owned();
        is_given_up_during(file, |file, hang| {
            file.with(|file| {
                hang();
                file.write_all(b"still there")
            })
            .unwrap();
        });
        until("the file to be removed late", || !path.exists());
    });
}

#[cfg(feature = "memmap2")]
#[test]
fn a_call_in_a_mapped_file() {
    use castoff::adapters::MemoryMap;

    alone(|| {
        let (ended, end) = mpsc::channel();
        let map = MemoryMap::new("index", memmap2::MmapMut::map_anon(4096).unwrap());
        is_given_up_during(map, |map, hang| {
            map.with(|bytes| {
                hang();
                bytes[0] = 7;
                ended.send(bytes[0]).unwrap();
            })
            .unwrap();
        });
        assert_eq!(end.recv(), Ok(7), "nobody has unmapped it under the call");
    });
}
