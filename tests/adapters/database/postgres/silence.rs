//! A server that does not answer: a session of it that is stopped, or somebody else in its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::super::server::{options, socket};

/// The process that serves one session, stopped by SIGSTOP. It goes on when this is dropped.
pub(super) struct Stopped(i64);

impl Stopped {
    pub(super) fn new(process: i64) -> Stopped {
        signal("-STOP", process);
        Stopped(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(which: &str, process: i64) {
    let sent = Command::new("kill").arg(which).arg(process.to_string()).status().expect("kill is there");
    assert!(sent.success(), "kill {which} {process}");
}

/// The way to the server, at whose other end there may be somebody who takes connections and never says a word.
pub(super) struct MayFallSilent {
    directory: TempDir,
    silent: Option<UnixListener>,
}

const SOCKET: &str = ".s.PGSQL.5432";

impl MayFallSilent {
    pub(super) fn new() -> MayFallSilent {
        let directory = tempfile::tempdir().expect("a directory");
        symlink(socket(), directory.path().join(SOCKET)).expect("a link in a directory of our own");
        MayFallSilent { directory, silent: None }
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        options().host(&self.directory.path().to_string_lossy())
    }

    pub(super) fn fall_silent(&mut self) {
        let place = self.directory.path().join(SOCKET);
        fs::remove_file(&place).expect("the link is there");
        self.silent = Some(UnixListener::bind(place).expect("the place is free"));
    }
}
