//! The ways to end.

use std::thread;
use std::time::Duration;

/// A way to end, and what the cleanups do meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub name: &'static str,
    pub by: By,
    pub every_tenth: Every,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Return,
    Exit,
    ExitElsewhere,
    Panic,
    Abort,
    /// From outside.
    Signal(i32),
    /// A second one while a cleanup hangs.
    Twice(i32),
    /// One that the program was started to ignore, as `nohup` does.
    Ignored(i32),
}

/// What every tenth cleanup does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Cleans,
    Panics,
    Hangs,
}

const fn clean(name: &'static str, by: By) -> Death {
    Death { name, by, every_tenth: Every::Cleans }
}

const fn faulty(name: &'static str, by: By, every_tenth: Every) -> Death {
    Death { name, by, every_tenth }
}

pub const DEATHS: [Death; 16] = [
    clean("`main` returns", By::Return),
    clean("`exit(3)`", By::Exit),
    clean("`exit(3)` on another thread", By::ExitElsewhere),
    clean("`main` panics", By::Panic),
    clean("SIGINT (Ctrl-C)", By::Signal(libc::SIGINT)),
    clean("SIGTERM", By::Signal(libc::SIGTERM)),
    clean("SIGHUP (the terminal is closed)", By::Signal(libc::SIGHUP)),
    clean("SIGHUP under `nohup`", By::Ignored(libc::SIGHUP)),
    faulty("`main` returns, every tenth cleanup panics", By::Return, Every::Panics),
    faulty("SIGTERM, every tenth cleanup panics", By::Signal(libc::SIGTERM), Every::Panics),
    faulty("`main` returns, every tenth cleanup hangs", By::Return, Every::Hangs),
    faulty("SIGTERM, every tenth cleanup hangs", By::Signal(libc::SIGTERM), Every::Hangs),
    faulty("a second SIGINT, every tenth cleanup hangs", By::Twice(libc::SIGINT), Every::Hangs),
    clean("SIGQUIT (Ctrl-\\)", By::Signal(libc::SIGQUIT)),
    clean("`abort()`", By::Abort),
    clean("SIGKILL", By::Signal(libc::SIGKILL)),
];

impl Death {
    pub fn named(name: &str) -> Option<Death> {
        DEATHS.into_iter().find(|death| death.name == name)
    }

    /// What a program does that is ready: it ends itself, or goes on until it is told to end.
    pub fn come(self, until_told: impl FnOnce()) {
        match self.by {
            By::Return => {}
            By::Exit => std::process::exit(3),
            By::ExitElsewhere => {
                thread::spawn(|| std::process::exit(3));
                for_ever();
            }
            By::Panic => panic!("main is done for"),
            By::Abort => std::process::abort(),
            By::Signal(_) | By::Twice(_) | By::Ignored(_) => until_told(),
        }
    }
}

/// At most so long that nobody is left behind if the driver is gone.
pub fn for_ever() {
    thread::sleep(Duration::from_secs(120));
    std::process::abort();
}
