//! The ways to end, and what castoff promises of each.

use libc::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1};

/// A way to end.
#[derive(Clone, Copy)]
pub struct Way {
    pub name: &'static str,
    pub by: By,
    pub cleaned: Cleaned,
    /// As the parent sees it.
    pub status: &'static str,
}

/// What is cleaned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cleaned {
    All,
    /// How much is chance.
    Some,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What the program does itself.
    Itself,
    /// From outside, one after the other once each has been heard.
    Signals(&'static [i32]),
    /// One that the program was started to ignore, as under `nohup`, and then this one.
    Ignored(i32, i32),
}

use By::{Ignored, Itself, Signals};
use Cleaned::{All, Nothing, Some};

const fn way(name: &'static str, by: By, cleaned: Cleaned, status: &'static str) -> Way {
    Way { name, by, cleaned, status }
}

pub const WAYS: [Way; 30] = [
    way("`main` returns, and drops in the wrong order", Itself, All, "exit 0"),
    way("`main` returns, and has forgotten its guards", Itself, All, "exit 0"),
    way("`main` returns, a thread has the guards", Itself, All, "exit 0"),
    way("`main` returns an error", Itself, All, "exit 1"),
    way("the body of `castoff::run` returns", Itself, All, "exit 3"),
    way("a teardown, then `main` returns", Itself, All, "exit 0"),
    way("`exit(3)`", Itself, All, "exit 3"),
    way("`exit(3)` on another thread", Itself, All, "exit 3"),
    way("`exit(3)` in a cleanup", Itself, All, "exit 3"),
    way("`exit(3)` while another thread tears down", Itself, All, "exit 3"),
    way("`main` panics", Itself, All, "exit 101"),
    way("another thread panics, and `main` returns", Itself, All, "exit 0"),
    way("a forked child exits, then its parent", Itself, All, "exit 3"),
    way("SIGINT (Ctrl-C)", Signals(&[SIGINT]), All, "SIGINT"),
    way("SIGTERM", Signals(&[SIGTERM]), All, "SIGTERM"),
    way("SIGHUP (the terminal is closed)", Signals(&[SIGHUP]), All, "SIGHUP"),
    way("SIGTERM while a teardown runs", Itself, All, "SIGTERM"),
    way("SIGHUP under `nohup`, then SIGTERM", Ignored(SIGHUP, SIGTERM), All, "SIGTERM"),
    way("SIGTERM, and `main` returns when the token fires", Signals(&[SIGTERM]), All, "SIGTERM"),
    way("a second SIGINT while a cleanup hangs", Signals(&[SIGINT, SIGINT]), Some, "SIGINT"),
    way("SIGTERM without exit hooks", Signals(&[SIGTERM]), Nothing, "SIGTERM"),
    way("SIGQUIT (Ctrl-\\)", Signals(&[SIGQUIT]), Nothing, "SIGQUIT"),
    way("SIGUSR1", Signals(&[SIGUSR1]), Nothing, "SIGUSR1"),
    way("SIGKILL", Signals(&[SIGKILL]), Nothing, "SIGKILL"),
    way("`abort()`", Itself, Nothing, "SIGABRT"),
    way("a panic in a drop during a panic", Itself, Nothing, "SIGABRT"),
    way("`_exit(3)`", Itself, Nothing, "exit 3"),
    way("`exec` of another program", Itself, Nothing, "exit 0"),
    way("the stack overflows", Itself, Nothing, "SIGABRT"),
    way("an allocation is refused", Itself, Nothing, "SIGABRT"),
];

impl Way {
    pub fn named(name: &str) -> Option<Way> {
        WAYS.into_iter().find(|way| way.name == name)
    }
}
