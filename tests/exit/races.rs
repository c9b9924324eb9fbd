//! Ends that meet something that is under way: nothing is lost, nothing runs twice, and one of the two decides.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::{Ended, FLEET, HUP, How, INT, Program, TERM, after, each};

const BRIEF: Duration = Duration::from_secs(3);

fn signalled(case: &str, kind: &str, signal: i32) -> Ended {
    Program::victim(case, kind).start().until_said("ready").signal(signal).end()
}

#[test]
fn a_signal_while_a_guard_is_being_dropped_waits_for_its_cleanup() {
    each(|kind| {
        let ended = signalled("signal-in-a-drop", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&["slow"], &FLEET)).quietly().within(BRIEF);
    });
}

#[test]
fn a_signal_in_a_running_teardown_waits_for_it() {
    each(|kind| {
        let ended = signalled("signal-in-a-teardown", kind, TERM).ended(How::Signal(TERM)).within(BRIEF);
        let log: Vec<&str> = ended.log.iter().map(String::as_str).collect();
        let cleaned: Vec<&str> =
            log.iter().copied().filter(|line| !line.starts_with("main saw") && *line != "ready").collect();
        assert_eq!(cleaned, after(&["first", "slow"], &FLEET), "{ended:#?}");
        assert!(log.iter().all(|line| !line.starts_with("main saw") || *line == "main saw 5 cleaned"));
        let ended = signalled("signal-in-a-shutdown-then-return", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&["slow"], &FLEET)).quietly();
    });
}

#[test]
fn an_exit_in_a_teardown_on_another_thread_waits_for_it_and_keeps_its_code() {
    each(|kind| {
        for case in ["exit-in-a-shutdown", "exit-in-a-childs-teardown"] {
            let ended = Program::victim(case, kind).run().ended(How::Code(8)).within(BRIEF);
            ended.said(after(&["slow"], &FLEET)).quietly();
        }
    });
}

#[test]
fn a_signal_in_an_exits_teardown_is_how_the_process_ends() {
    each(|kind| {
        let ended = signalled("signal-in-an-exit", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&["slow"], &FLEET)).quietly().within(BRIEF);
    });
}

#[test]
fn an_exit_in_a_signals_teardown_waits_for_it_and_dies_by_the_signal() {
    each(|kind| {
        let running = Program::victim("exit-in-a-signals-teardown", kind).start().until_said("waiting");
        let ended = running.signal(INT).end().ended(How::Signal(INT)).within(BRIEF).quietly();
        ended.said(after(&["waiting", "exit", "slow"], &FLEET));
    });
}

#[test]
fn a_signal_during_registration_storms_on_two_threads_loses_nothing() {
    each(|kind| {
        for signal in [INT, TERM, HUP] {
            let ended = signalled("storm", kind, signal).ended(How::Signal(signal)).quietly();
            let mut counts: HashMap<&str, (u32, u32)> = HashMap::new();
            for line in ended.log.iter().filter(|line| *line != "ready") {
                let count = counts.entry(&line[1..]).or_default();
                if line.starts_with('+') { count.0 += 1 } else { count.1 += 1 }
            }
            assert!(counts.len() > 50, "{ended:#?}");
            // What was refused was never there, and is cleaned all the same; but then the process may be gone first.
            let wrong: Vec<_> =
                counts.iter().filter(|(_, (came, went))| *went > 1 || *came == 1 && *went == 0).collect();
            assert!(wrong.is_empty(), "lost or doubled {wrong:?}: {ended:#?}");
        }
    });
}

#[test]
fn a_forked_child_that_exits_runs_nothing_of_its_parents() {
    each(|kind| {
        for case in ["fork", "fork-return"] {
            let ended = Program::victim(case, kind).run().ended(How::Code(22)).quietly();
            ended.said(after(&["child exit 21"], &FLEET));
        }
    });
}

#[test]
fn a_forked_child_still_dies_of_signals() {
    each(|kind| {
        let ended = Program::victim("fork-signal", kind).run().ended(How::Code(22)).quietly();
        ended.said(after(&["child signal 15"], &FLEET));
    });
}
