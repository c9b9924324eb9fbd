//! Installing, uninstalling and the options.

use std::time::Duration;

use crate::support::{Ended, FLEET, How, INT, Program, TERM, after, each};

fn signalled(case: &str, kind: &str, signal: i32) -> Ended {
    Program::victim(case, kind).start().until_said("ready").signal(signal).end()
}

#[test]
fn nothing_touches_signals_before_and_all_is_as_before_after_the_hooks() {
    each(|kind| drop(Program::victim("dispositions", kind).run().ended(How::Code(0)).quietly()));
}

#[test]
fn a_foreign_handler_is_refused_and_left_as_it_is() {
    each(|kind| {
        let ended = signalled("foreign", kind, TERM).ended(How::Code(0)).quietly();
        ended.said(after(&["handled by its owner"], &FLEET));
    });
}

#[test]
fn hooks_are_installed_once() {
    each(|kind| drop(Program::victim("installed-twice", kind).run().ended(How::Code(0)).quietly()));
}

#[test]
fn without_the_hooks_a_signal_ends_the_process_as_if_they_had_never_been_there() {
    each(|kind| {
        for signal in [INT, TERM] {
            signalled("uninstalled", kind, signal).ended(How::Signal(signal)).said([]).quietly();
        }
    });
}

#[test]
fn hooks_can_be_installed_again_and_leave_no_threads() {
    each(|kind| {
        let ended = signalled("reinstalled", kind, TERM).ended(How::Signal(TERM)).quietly();
        // Main and ctrlc's, which can't be ended.
        ended.said(after(&["threads 2"], &FLEET));
    });
}

#[test]
fn a_signal_that_was_not_chosen_is_left_as_it_is() {
    each(|kind| {
        signalled("only-sigterm", kind, INT).ended(How::Signal(INT)).said([]).quietly();
        signalled("only-sigterm", kind, TERM).ended(How::Signal(TERM)).said(FLEET).quietly();
    });
}

#[test]
fn the_token_comes_first_then_the_drain_the_callback_the_teardown_and_the_callback() {
    each(|kind| {
        let ended = signalled("order-of-things", kind, TERM).ended(How::Signal(TERM)).quietly();
        assert!(ended.took >= Duration::from_millis(300), "{ended:#?}");
        ended.said(["token", "before SIGTERM", "server", "cache", "pool", "after 3"]);
    });
}

#[test]
fn a_callback_that_panics_stops_nothing() {
    each(|kind| {
        let ended = signalled("callbacks-panic", kind, TERM).ended(How::Signal(TERM));
        ended.said(FLEET).told("before").told("after");
    });
}

#[test]
fn a_callback_may_call_exit_for_an_end_by_a_code() {
    each(|kind| {
        signalled("after-exits", kind, TERM).ended(How::Code(11)).said(FLEET).quietly();
        signalled("before-exits", kind, TERM).ended(How::Code(12)).said(FLEET).quietly();
    });
}

#[test]
fn the_report_is_told_always_on_failure_or_never() {
    each(|kind| {
        let told = "castoff: SIGTERM: teardown of `global`: 3 cleaned, in ";
        signalled("report-always", kind, TERM).ended(How::Signal(TERM)).told(told);
        let ended = signalled("report-failing", kind, TERM).ended(How::Signal(TERM)).said(FLEET);
        ended.told("castoff: SIGTERM: teardown of `global`: 3 cleaned, 1 failed, in ").told("disk full");
        signalled("report-never", kind, TERM).ended(How::Signal(TERM)).said(FLEET).quietly();
    });
}

#[test]
fn a_stuck_teardown_says_what_it_waits_for() {
    each(|kind| {
        let ended = signalled("progress", kind, TERM).ended(How::Signal(TERM));
        let ended =
            ended.told("castoff: waiting ").told(" ms for `orders-db` (tests/exit/victim/src/signals.rs:");
        let ended = ended.told("; 2 wait behind it\n");
        assert!(ended.err.lines().count() >= 2, "{ended:#?}");
        signalled("no-progress", kind, TERM).ended(How::Signal(TERM)).quietly();
    });
}

#[test]
fn hooks_that_are_gone_do_nothing_where_another_handler_goes_on_to_call_them() {
    let ended = Program::victim("called-by-another-handler", "sync").run().ended(How::Code(0));
    ended.said(["handled 3", "pool"]).quietly();
}

#[test]
fn hooks_that_are_dropped_after_the_first_signal_still_hear_the_second() {
    let running = Program::victim("dropped-when-the-signal-came", "sync").start().until_said("ready");
    let running = running.signal(INT).until_said("hangs").until_said("dropped");
    // So that it is not taken for an echo.
    let ended = running.after(Duration::from_millis(150)).signal(TERM).end().ended(How::Signal(TERM));
    ended.told("castoff: SIGTERM, the second signal: leaving at once; ");
}

#[test]
fn hooks_are_refused_where_the_program_has_given_ctrlc_its_handler() {
    let ended = Program::victim("ctrlc-was-first", "sync").run().ended(How::Code(0));
    ended.said(["pool"]).quietly();
}
