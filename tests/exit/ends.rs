//! Ends that the program chooses: return, `?`, `exit`, panics that unwind, `castoff::run`.

use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::support::{FLEET, How, Program, after, each};

const BRIEF: Duration = Duration::from_secs(2);

#[test]
fn a_return_from_main_cleans_what_locals_hold_and_what_was_forgotten_and_keeps_the_code() {
    each(|kind| {
        let held = Program::victim("return-held", kind).run();
        held.ended(How::Code(3)).said(after(&["body"], &FLEET)).quietly().within(BRIEF);
        let dropped = Program::victim("return", kind).run();
        dropped.ended(How::Code(3)).said(after(&["body"], &FLEET)).quietly();
    });
}

#[test]
fn a_question_mark_out_of_main_cleans_all_and_prints_the_error_as_ever() {
    each(|kind| {
        let ended = Program::victim("question", kind).run();
        let ended = ended.ended(How::Code(1)).said(after(&FLEET, &["forgotten"]));
        assert!(ended.err.starts_with("Error: ParseIntError"), "{ended:#?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:#?}");
    });
}

#[test]
fn exit_cleans_what_no_drop_reaches() {
    each(|kind| {
        Program::victim("exit", kind).run().ended(How::Code(0)).said(FLEET).quietly().within(BRIEF);
        let elsewhere = Program::victim("exit-7-elsewhere", kind).run();
        elsewhere.ended(How::Code(7)).said(FLEET).quietly().within(BRIEF);
        Program::victim("exit-in-a-child-manager", kind).run().ended(How::Code(0)).said(FLEET).quietly();
    });
}

#[test]
fn a_cleanup_at_exit_is_told_why_it_runs() {
    each(|kind| {
        let ended = Program::victim("exit-in-an-exit-hook", kind).run();
        ended.ended(How::Code(0)).said(after(&["ProcessExit"], &FLEET)).quietly();
    });
}

#[test]
fn a_hanging_cleanup_at_exit_ends_by_the_deadline_and_takes_no_other_with_it() {
    each(|kind| {
        let ended = Program::victim("exit-hanging", kind).run();
        let ended = ended.ended(How::Code(5)).said(after(&["hangs"], &FLEET)).within(BRIEF);
        ended.told("castoff: process exit: teardown of `global`: 3 cleaned, 1 timed out");
    });
}

#[test]
fn what_fails_at_exit_is_said_on_stderr_and_changes_no_code() {
    each(|kind| {
        let ended = Program::victim("exit-failing", kind).run().ended(How::Code(5)).said(FLEET);
        ended.told("castoff: process exit: teardown of `global`: 3 cleaned, 2 failed").told("disk full");
    });
}

#[test]
fn exit_called_by_the_cleanup_of_a_drop_cleans_the_rest() {
    each(|kind| {
        let ended = Program::victim("exit-in-a-cleanup", kind).run();
        ended.ended(How::Code(5)).said(FLEET).within(BRIEF);
    });
}

#[test]
fn exit_called_by_a_cleanup_of_a_teardown_cleans_the_rest() {
    each(|kind| {
        let ended = Program::victim("exit-in-a-teardown", kind).run().ended(How::Code(5)).within(BRIEF);
        let cleaned: Vec<&str> =
            ended.log.iter().map(String::as_str).filter(|it| FLEET.contains(it)).collect();
        assert_eq!(cleaned, FLEET, "{ended:#?}");
    });
}

#[test]
fn nothing_runs_at_exit_where_nothing_is_live_or_all_was_shut_down() {
    each(|kind| {
        Program::victim("nothing", kind).run().ended(How::Code(3)).said([]).quietly();
        let ended = Program::victim("exit-after-shutdown", kind).run().ended(How::Code(0)).quietly();
        assert!(!ended.log.iter().any(|line| line == "too late"), "{ended:#?}");
    });
}

#[test]
fn a_panic_on_main_cleans_in_order_and_ends_in_101() {
    each(|kind| {
        let ended = Program::victim("panic-main", kind).run().ended(How::Code(101)).said(FLEET);
        ended.told("main is done for");
    });
}

#[test]
fn a_panic_on_a_worker_cleans_that_threads_guards_and_tears_nothing_down() {
    each(|kind| {
        let ended = Program::victim("panic-worker", kind).run().ended(How::Code(4));
        ended.said(after(&["worker's own", "main goes on"], &FLEET)).told("a worker is done for");
    });
}

#[test]
fn run_tears_down_at_its_end_and_keeps_the_code() {
    each(|kind| {
        let ended = Program::victim("run", kind).run().ended(How::Code(6)).quietly();
        ended.said(after(&["body on main", "by a local"], &FLEET));
        let ended = Program::victim("run-error", kind).run().ended(How::Code(1));
        ended.said(after(&FLEET, &["forgotten"])).told("Error: ParseIntError");
        let ended = Program::victim("run-panic", kind).run().ended(How::Code(101));
        ended.said(FLEET).told("main is done for");
    });
}

#[test]
fn run_tears_down_before_the_thread_locals_of_main_are_gone() {
    each(|kind| {
        let ended = Program::victim("run-thread-locals", kind).run().ended(How::Code(0)).quietly();
        ended.said(after(&FLEET, &["thread-local gone"]));
    });
}

#[test]
fn run_within_run_is_the_body_alone_and_run_after_run_still_cleans() {
    each(|kind| {
        let ended = Program::victim("run-within-run", kind).run().ended(How::Code(0)).quietly();
        ended.said(after(&["inner", "outer"], &FLEET));
        let ended = Program::victim("run-twice", kind).run().ended(How::Code(0)).quietly();
        ended.said(after(&FLEET, &["again", "later"]));
    });
}

#[test]
fn a_reader_of_stderr_who_does_not_read_holds_nothing_up() {
    each(|kind| {
        let (_reader, full) = full_pipe();
        let ended = Program::victim("stderr-full", kind).with(|it| it.stderr(full)).run();
        ended.ended(How::Code(5)).said(FLEET).within(BRIEF);
    });
}

#[test]
fn a_listener_that_hangs_ends_by_the_deadline() {
    each(|kind| {
        let ended = Program::victim("bad-listener", kind).run().ended(How::Code(5)).within(BRIEF);
        let ended = ended.said(after(&FLEET, &["the listener hangs"]));
        ended.told("castoff: process exit: the teardown had not ended after 1.0s");
    });
}

#[test]
fn while_hooks_are_installed_their_report_holds_for_a_plain_exit_too() {
    each(|kind| {
        let ended = Program::victim("always-reported", kind).run().ended(How::Code(0)).said(FLEET);
        ended.told("castoff: process exit: teardown of `global`: 3 cleaned");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_stderr_that_takes_nothing_changes_no_code_and_leaves_nothing_out() {
    each(|kind| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there on Linux");
        let ended = Program::victim("exit-failing", kind).with(|it| it.stderr(full)).run();
        ended.ended(How::Code(5)).said(FLEET).quietly().within(BRIEF);
    });
}

#[test]
fn an_end_that_waits_says_for_what_and_how_many_wait_behind_it() {
    let ended = Program::victim("exit-slow", "sync").run().ended(How::Code(5));
    let waits = |name: &str| format!(" for `{name}` (tests/exit/victim/src/ends.rs:");
    let ended = ended.told("castoff: waiting ").told(&waits("server")).told("); 2 wait behind it\n");
    let ended = ended.told(&waits("cache")).told("); 1 waits behind it\n").told(&waits("pool"));
    assert!(ended.err.contains(")\n"), "nothing waits behind the last: {ended:#?}");
}

/// A pipe that takes no more, and its reader, who does not read.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("there is room for a pipe");
    let file = writer.as_raw_fd();
    // SAFETY: takes numbers. Who writes does not wait while the pipe is filled.
    assert_eq!(unsafe { libc::fcntl(file, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    while writer.write(&[0; 4096]).is_ok() {}
    // SAFETY: takes numbers. Back again: the victim's stderr is this.
    assert_eq!(unsafe { libc::fcntl(file, libc::F_SETFL, 0) }, 0);
    (reader, writer)
}
