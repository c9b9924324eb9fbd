//! What is the same later, and what only has the same number.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::support::{alone, assert_empty, capture, eventfd, memfd, replace, since};

/// The number stays, what it stands for does not.
#[track_caller]
fn is_new(first: OwnedFd, second: OwnedFd) {
    let before = capture();
    replace(&first, &second);
    drop(second);
    let delta = since(&before);
    let line = format!("(fd {})", first.as_raw_fd());
    let start = format!("fd {}: ", first.as_raw_fd());
    let found =
        delta.fds.iter().chain(&delta.sockets).filter(|it| it.starts_with(&start) || it.ends_with(&line));
    assert_eq!(found.count(), 1, "{delta}");
}

#[test]
fn a_number_that_was_opened_again_for_something_else_is_new() {
    alone(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| OwnedFd::from(File::create(directory.path().join(name)).expect("a file"));
        is_new(file("a"), file("b"));
        is_new(file("a"), eventfd());
        is_new(eventfd(), eventfd());
        is_new(memfd("same name"), memfd("same name"));
        let pipe = || OwnedFd::from(std::io::pipe().expect("a pipe").0);
        is_new(pipe(), pipe());
        let socket = || OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"));
        is_new(socket(), socket());
    });
}

#[test]
fn a_path_that_holds_another_file_is_new() {
    alone(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let old = OwnedFd::from(File::create(&path).expect("a file"));
        // The old file is kept until the new one is made, so that its inode can't be used again.
        let kept = directory.path().join("log.1");
        let before = capture();
        fs::rename(&path, &kept).expect("renamed");
        let new = OwnedFd::from(File::create(&path).expect("a file"));
        replace(&old, &new);
        drop(new);
        assert_eq!(since(&before).fds, [format!("fd {}: {}", old.as_raw_fd(), path.display())]);
    });
}

#[test]
fn a_file_that_is_deleted_while_it_is_open_stays_what_it_was() {
    alone(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("orders.db");
        let file = File::create(&path).expect("a file");
        let before = capture();
        fs::remove_file(&path).expect("it is there");
        assert_empty(&since(&before));
        drop(file);
    });
}

#[test]
fn a_copy_of_a_descriptor_is_new() {
    alone(|| {
        let event = eventfd();
        let before = capture();
        let copy = event.try_clone().expect("a descriptor");
        assert_eq!(since(&before).fds, [format!("fd {}: eventfd", copy.as_raw_fd())]);
    });
}

#[test]
fn what_was_there_before_and_is_gone_is_not_told() {
    alone(|| {
        let event = eventfd();
        let before = capture();
        drop(event);
        assert_empty(&since(&before));
    });
}
