//! A signal asks a running program what leaks: it says so on stderr, and goes on.

use std::fs::OpenOptions;
use std::io::Write;

use crate::support::{Ended, FLEET, How, Program, Running, TERM, each};

const USR1: i32 = libc::SIGUSR1;

fn start(case: &str, kind: &str) -> Running {
    Program::victim(case, kind).with(|it| it.env_remove("CASTOFF_LEAKS")).start()
}

fn reports(err: &str) -> usize {
    err.matches("castoff: signal ").count()
}

/// Asks, and waits until so many reports have been written.
fn ask(running: Running, reports_then: usize) -> Running {
    let mut running = running.signal(USR1);
    running.until("one more report", |it| reports(&it.err()) >= reports_then);
    running
}

fn assert_reports(ended: Ended, count: usize) -> Ended {
    assert_eq!(reports(&ended.err), count, "{ended:#?}");
    ended.with_clean_stdout()
}

#[test]
fn each_signal_is_answered_and_the_program_goes_on_to_its_end() {
    each(|kind| {
        let mut running = start("dump", kind).until_said("ready");
        for round in 1..=3 {
            running = ask(running, round);
        }
        let ended = running.signal(TERM).end().ended(How::Signal(TERM)).said(FLEET);
        let ended = assert_reports(ended, 3).told("castoff: signal 10: 3 leaks in `global`");
        ended.told("`server` (event) by main").told("fleet.rs:");
    });
}

#[test]
fn a_program_that_has_registered_nothing_says_so() {
    let ended = ask(start("dump-before-anything", "sync").until_said("ready"), 1).signal(TERM).end();
    ended.ended(How::Signal(TERM)).told("no leaks: nothing has been registered");
}

#[test]
fn what_the_allow_list_allows_is_not_told() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let path = folder.path().join("leaks.allow");
    std::fs::write(&path, "* until 2999-12-31 because it is a test\n").expect("it can be written");
    let program = Program::victim("dump", "sync").with(|it| it.env("CASTOFF_LEAKS_ALLOW", &path));
    let ended = ask(program.start().until_said("ready"), 1).signal(TERM).end().ended(How::Signal(TERM));
    ended.told("castoff: signal 10: no leaks in `global`");
}

#[test]
fn dropped_it_leaves_the_signal_as_it_was() {
    each(|kind| {
        let ended = start("dump-dropped", kind).until_said("ready").signal(USR1).end();
        ended.ended(How::Signal(USR1)).said([]).quietly();
    });
    start("dump-of-an-ignored-signal", "sync").end().ended(How::Code(0)).said(["ignored again"]).quietly();
}

#[test]
fn a_handler_of_somebody_else_is_left_as_it_is() {
    start("dump-behind-a-handler", "sync").end().ended(How::Code(0)).said(["handled 1"]).quietly();
    start("dump-in-front-of-a-handler", "sync").end().ended(How::Code(0)).said(["handled 1"]).quietly();
}

#[test]
fn a_forked_child_is_not_harmed_and_does_not_ask_its_parent() {
    each(|kind| {
        let running = start("dump-and-fork", kind).until_said("ready");
        let ended = ask(running, 1).signal(TERM).end().ended(How::Signal(TERM));
        assert_reports(ended, 1).said(["the child goes on"]);
    });
}

#[test]
fn a_forked_child_can_ask_for_itself() {
    let mut running = start("dump-of-a-child", "sync");
    running.until("the child's report", |it| reports(&it.err()) == 1);
    let log = OpenOptions::new().append(true).open(running.path("log"));
    log.and_then(|mut log| log.write_all(b"seen\n")).expect("the log can be written");
    let ended = running.end().ended(How::Code(0)).said(["seen", "the child's", "ended"]);
    assert_reports(ended, 1);
}

#[test]
fn a_storm_of_signals_on_four_threads_loses_no_time_and_harms_nobody() {
    let ended = start("dump-storm", "sync").end().ended(How::Code(0));
    ended.said(["the storm is over", "server", "cache", "pool"]).with_clean_stdout();
}

#[test]
fn a_signal_that_a_fault_raises_or_that_there_is_not_is_refused_and_another_can_be_taken_for_good() {
    let ended = start("dump-of-no-such-signal", "sync").end().ended(How::Code(0));
    ended.said(["goes on"]).with_clean_stdout();
}
