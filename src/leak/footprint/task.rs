//! Threads and child processes: `/proc/<id>/stat`.

use std::fmt;
use std::time::Duration;

use crate::leak::footprint::text::printable;

/// How the names of castoff's own threads begin.
const OWN: &str = "castoff-";

/// As much of a name as the kernel keeps of a thread's.
pub(super) const NAME_LENGTH: usize = 15;

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Thread {
    pub(super) tid: u32,
    /// The first 15 bytes of it.
    pub(super) name: String,
    /// In ticks since the system started.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) started: u64,
}

impl Thread {
    pub(super) fn is_own(&self) -> bool {
        self.name.starts_with(OWN)
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} `{}`", self.tid, self.name)
    }
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Child {
    pub(super) pid: u32,
    /// The kernel's name of it, which is there from the first moment to the last.
    pub(super) name: String,
    /// With its arguments. Empty until `exec` has built the new image, and of a zombie.
    pub(super) command: String,
    /// It has ended, and nobody has waited for it.
    pub(super) zombie: bool,
    pub(super) age: Duration,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) started: u64,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = if self.command.is_empty() { &self.name } else { &self.command };
        write!(f, "child {} `{command}`", self.pid)?;
        if self.zombie {
            f.write_str(" (a zombie: it ended, and nobody waited for it)")?;
        } else if self.command.is_empty() {
            f.write_str(" (its command is not known yet)")?;
        }
        write!(f, ", since {:.1} s", self.age.as_secs_f64())
    }
}

/// What `stat` tells of a process or thread.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Stat {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) state: u8,
    pub(super) parent: u32,
    flags: u32,
    pub(super) started: u64,
}

impl Stat {
    /// `id (name) state ppid pgrp session tty tpgid flags ... starttime`, and the name may hold anything.
    pub(super) fn parse(line: &[u8]) -> Option<Stat> {
        let opened = line.iter().position(|byte| *byte == b'(')?;
        let closed = line.iter().rposition(|byte| *byte == b')')?;
        let id = std::str::from_utf8(&line[..opened]).ok()?.trim().parse().ok()?;
        let mut fields = std::str::from_utf8(line.get(closed + 1..)?).ok()?.split_whitespace();
        Some(Stat {
            id,
            name: printable(line.get(opened + 1..closed)?),
            state: *fields.next()?.as_bytes().first()?,
            parent: fields.next()?.parse().ok()?,
            flags: fields.nth(4)?.parse().ok()?,
            started: fields.nth(12)?.parse().ok()?,
        })
    }

    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// On its way out. A thread wakes who joins it before the kernel has taken it off its lists: without this, what
    /// was just joined would still be there.
    pub(super) fn is_ending(&self) -> bool {
        const PF_EXITING: u32 = 4;
        self.flags & PF_EXITING != 0 || self.is_zombie()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: &str = "77 77 34816 -1 4194304 1 2 3 4 5 6 7 8 20 0 4 0 353578 9 10 18446744073709551615";

    fn stat(text: &str) -> Option<Stat> {
        Stat::parse(text.as_bytes())
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let parsed = stat(&format!("4321 (a) (b) R 1) S 77 {AFTER}\n")).expect("a line");
        assert_eq!((parsed.id, &*parsed.name, parsed.parent), (4321, "a) (b) R 1", 77));
        assert_eq!((parsed.started, parsed.is_ending()), (353_578, false));
    }

    #[test]
    fn a_thread_that_ends_is_told_from_one_that_lives() {
        let exiting = AFTER.replace("4194304", "4194308");
        assert!(stat(&format!("1 (x) R 77 {exiting}")).expect("a line").is_ending());
        assert!(stat(&format!("1 (x) Z 77 {AFTER}")).expect("a line").is_zombie());
    }

    #[test]
    fn a_broken_line_is_none() {
        for line in ["", "1", "1 (x", "1 )x( S", "1 (x) S", "(x) S 1 2 3", "1 (x) S 77 1 1 1 1 -4 1"] {
            assert_eq!(stat(line), None, "{line}");
        }
    }

    #[test]
    fn a_child_says_what_it_runs_or_why_that_is_not_known() {
        let child = |command: &str, zombie| {
            let (name, command) = ("sleep".to_owned(), command.to_owned());
            let age = Duration::from_millis(3210);
            Child { pid: 4321, name, command, zombie, age, started: 0 }.to_string()
        };
        assert_eq!(child("sleep 60", false), "child 4321 `sleep 60`, since 3.2 s");
        assert_eq!(child("", false), "child 4321 `sleep` (its command is not known yet), since 3.2 s");
        assert_eq!(
            child("", true),
            "child 4321 `sleep` (a zombie: it ended, and nobody waited for it), since 3.2 s"
        );
    }
}
