//! Ends that come from outside, as people and systems bring them: a terminal, `nohup`, `timeout`, scripts, closed
//! descriptors, a namespace of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{FLEET, HUP, How, INT, Program, Running, TERM, after, each, send, victim};

const BRIEF: Duration = Duration::from_secs(3);

fn program(name: &str, arguments: &[&str], kind: &str, case: &str) -> Program {
    let mut command = Command::new(name);
    command.args(arguments).arg(victim(false)).args([case, kind]);
    Program::new(command)
}

#[test]
fn under_nohup_sighup_does_nothing_and_sigterm_cleans() {
    each(|kind| {
        let running = program("nohup", &[], kind, "wait").start().until_said("ready").signal(HUP);
        let ended = running.after(Duration::from_millis(50)).signal(TERM).end();
        ended.ended(How::Signal(TERM)).said(FLEET).with_clean_stdout();
    });
}

#[test]
fn timeout_ends_a_program_in_order() {
    each(|kind| {
        // It signals its child, and then its group: that is no second signal.
        let ended = program("timeout", &["1"], kind, "wait").run();
        ended.ended(How::Code(124)).said(after(&[], &FLEET)).quietly();
        let ended = program("timeout", &["-s", "KILL", "1"], kind, "wait").run();
        assert!(matches!(ended.how, How::Code(137) | How::Signal(9)), "{ended:#?}");
        ended.said([]);
    });
}

#[test]
fn timeout_ends_a_teardown_that_takes_a_while_in_order() {
    each(|kind| {
        let ended = program("timeout", &["0.5"], kind, "hooks-are-a-local-of-main").run();
        ended.ended(How::Code(124)).said(FLEET).quietly();
    });
}

#[test]
fn a_script_stops_where_its_program_was_interrupted() {
    each(|kind| {
        let script = format!("\"$VICTIM\" wait {kind}; echo \"went on after $?\" >> \"$LOG\"");
        // Ctrl-C goes to the group: bash ends by it if its child did.
        let ended = Program::bash(&script).start().until_said("ready").until_asleep().signal_all(INT).end();
        ended.ended(How::Signal(INT)).said(FLEET).within(BRIEF);
        // A loop as well.
        let script = format!("while true; do \"$VICTIM\" wait {kind}; done");
        let ended = Program::bash(&script).start().until_said("ready").until_asleep().signal_all(INT).end();
        ended.ended(How::Signal(INT)).said(FLEET).within(BRIEF);
    });
}

#[test]
fn a_script_sees_the_status_of_a_program_that_was_terminated() {
    each(|kind| {
        let script = format!(
            "\"$VICTIM\" wait {kind} & child=$!; until grep -q ready \"$LOG\"; do sleep 0.01; done; \
             kill -TERM $child; wait $child; echo \"status $?\" >> \"$LOG\""
        );
        let ended = Program::bash(&script).run().ended(How::Code(0)).within(BRIEF);
        ended.said(after(&FLEET, &["status 143"]));
    });
}

#[test]
fn a_script_that_runs_a_program_in_the_background_leaves_sigint_ignored() {
    each(|kind| {
        let script = format!(
            "\"$VICTIM\" wait {kind} & child=$!; until grep -q ready \"$LOG\"; do sleep 0.01; done; \
             kill -INT $child; sleep 0.1; kill -TERM $child; wait $child; echo \"status $?\" >> \"$LOG\""
        );
        Program::bash(&script).run().ended(How::Code(0)).said(after(&FLEET, &["status 143"]));
    });
}

#[test]
fn closed_descriptors_are_no_obstacle() {
    each(|kind| {
        for closing in [">&-", "2>&-", "<&- >&- 2>&-"] {
            let script = format!("exec \"$VICTIM\" exit-failing {kind} {closing}");
            Program::bash(&script).run().ended(How::Code(5)).said(FLEET).within(BRIEF);
            let script = format!("exec \"$VICTIM\" wait {kind} {closing}");
            let ended = Program::bash(&script).start().until_said("ready").signal(TERM).end();
            ended.ended(How::Signal(TERM)).said(FLEET).within(BRIEF);
        }
    });
}

#[test]
fn the_lock_of_stdout_may_be_anybodys() {
    each(|kind| {
        let running = Program::victim("stdout-locked", kind).start();
        let ended = running.until_said("locked").until_said("ready").signal(TERM).end();
        ended.ended(How::Signal(TERM)).said(after(&["locked"], &FLEET)).quietly().within(BRIEF);
    });
}

/// A new pseudo-terminal: its two ends.
fn terminal() -> (fs::File, OwnedFd) {
    let (mut outer, mut inner) = (0, 0);
    let nothing = std::ptr::null_mut();
    // SAFETY: two places to write to; name and settings are left out.
    let made =
        unsafe { libc::openpty(&raw mut outer, &raw mut inner, nothing, nothing.cast(), nothing.cast()) };
    assert_eq!(made, 0, "a terminal: {}", std::io::Error::last_os_error());
    // SAFETY: just made, and nobody else's.
    let outer = unsafe { OwnedFd::from_raw_fd(outer) };
    // SAFETY: likewise.
    let inner = unsafe { OwnedFd::from_raw_fd(inner) };
    for end in [&outer, &inner] {
        // SAFETY: takes numbers.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    (outer.into(), inner)
}

/// The victim, the leader of a session whose terminal this is.
fn in_a_terminal(kind: &str, inner: &OwnedFd) -> Running {
    let own = || inner.try_clone().expect("a descriptor can be copied");
    let lead = || {
        // SAFETY: between fork and exec, where a plain system call may be made.
        let session = unsafe { libc::setsid() };
        // SAFETY: likewise; it takes numbers.
        let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
        if session == -1 || taken == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    let mut program = Program::victim("wait", kind);
    program.command.stdin(own()).stdout(own()).stderr(Stdio::from(own()));
    // SAFETY: see inside.
    unsafe { program.command.pre_exec(lead) };
    program.start_as_leader()
}

#[test]
fn ctrl_c_typed_on_a_terminal_cleans_and_is_seen_as_sigint() {
    each(|kind| {
        let (mut outer, inner) = terminal();
        let running = in_a_terminal(kind, &inner).until_said("ready");
        outer.write_all(&[3]).expect("a key can be typed");
        running.end().ended(How::Signal(INT)).said(FLEET).within(BRIEF);
        drop(inner);
        let mut shown = Vec::new();
        // A terminal whose programs are gone reads as an error.
        outer.read_to_end(&mut shown).unwrap_or(0);
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.trim().is_empty() || shown.trim() == "^C", "on the terminal: {shown:?}");
    });
}

#[test]
fn a_terminal_that_is_closed_cleans_and_is_seen_as_sighup() {
    each(|kind| {
        let (outer, inner) = terminal();
        let running = in_a_terminal(kind, &inner).until_said("ready");
        drop(inner);
        drop(outer);
        running.end().ended(How::Signal(HUP)).said(FLEET).within(BRIEF);
    });
}

/// Whether a program may be process 1 of a namespace here; says so where it may not.
fn may_be_process_one() -> bool {
    let tried = Command::new("unshare").args(["--pid", "--fork", "true"]).output();
    let may = tried.as_ref().is_ok_and(|tried| tried.status.success());
    if !may {
        eprintln!("NOT RUN: process 1: `unshare --pid --fork` is not permitted here: {tried:?}");
    }
    may
}

#[test]
fn process_one_cleans_and_exits_with_128_and_the_signals_number() {
    if !may_be_process_one() {
        return;
    }
    each(|kind| {
        for signal in [INT, TERM] {
            // `unshare` forks: its child is process 1, and what unshare ends with is that one's status.
            let running = program("unshare", &["--pid", "--fork"], kind, "wait").start();
            let running = running.until_said("ready");
            let children = format!("/proc/{0}/task/{0}/children", running.pid());
            let children = fs::read_to_string(children).expect("the system lists children");
            send(children.trim().parse().expect("unshare has one child"), signal);
            let ended = running.end().ended(How::Code(128 + signal));
            ended.said(FLEET).quietly().within(BRIEF);
        }
        let ended = program("unshare", &["--pid", "--fork"], kind, "return-held").run();
        ended.ended(How::Code(3)).said(after(&["body"], &FLEET)).quietly();
    });
}
