//! Ends with a runtime or a logger around: neither is there any more at the very end of a process.

use crate::support::{FLEET, How, INT, Program, TERM, after, each};

const FLAVOURS: [&str; 2] = ["tokio-current", "tokio-multi"];

#[test]
fn a_tokio_main_of_either_flavour_may_return_or_exit() {
    each(|kind| {
        for flavour in FLAVOURS {
            for end in ["return", "exit"] {
                let ended = Program::victim(&format!("{flavour}-{end}"), kind).run();
                ended.ended(How::Code(3)).said(FLEET).quietly();
            }
        }
        Program::victim("tokio-run", kind).run().ended(How::Code(3)).said(FLEET).quietly();
    });
}

#[test]
fn a_tokio_task_that_never_ends_may_hold_the_guards() {
    each(|kind| {
        for flavour in FLAVOURS {
            let ended = Program::victim(&format!("{flavour}-task"), kind).run();
            ended.ended(How::Code(3)).said(FLEET).quietly();
        }
    });
}

#[test]
fn a_signal_ends_a_tokio_main_of_either_flavour() {
    each(|kind| {
        for flavour in FLAVOURS {
            let running = Program::victim(&format!("{flavour}-wait"), kind).start();
            let ended = running.until_said("ready").signal(TERM).end();
            ended.ended(How::Signal(TERM)).said(FLEET).quietly();
        }
    });
}

#[test]
fn a_token_can_be_awaited_in_tokio() {
    each(|kind| {
        for flavour in FLAVOURS {
            let running = Program::victim(&format!("{flavour}-token"), kind).start();
            let ended = running.until_said("ready").signal(INT).end().ended(How::Signal(INT));
            ended.said(after(&["heard"], &FLEET)).quietly();
        }
    });
}

#[test]
fn tokio_may_hear_signals_as_well_if_it_comes_later() {
    each(|kind| {
        let running = Program::victim("tokio-hears-too", kind).start();
        running.until_said("ready").signal(INT).end().ended(How::Signal(INT)).said(FLEET).quietly();
    });
}

#[test]
fn tokio_keeps_its_signal_if_it_was_first() {
    each(|kind| {
        let running = Program::victim("tokio-was-first", kind).start();
        let ended = running.until_said("ready").signal(INT).end();
        ended.ended(How::Code(0)).said(["tokio heard it"]).quietly();
    });
}

#[test]
fn cleanups_may_log_and_trace_at_the_very_end() {
    each(|kind| {
        for logger in ["tracing", "env-logger"] {
            let ended = Program::victim(&format!("{logger}-exit"), kind).run();
            ended.ended(How::Code(5)).said(after(&FLEET, &["talked"])).told("traced");
            let running = Program::victim(&format!("{logger}-wait"), kind).start();
            let ended = running.until_said("ready").signal(TERM).end().ended(How::Signal(TERM));
            ended.said(after(&FLEET, &["talked"])).told("traced");
        }
    });
}
