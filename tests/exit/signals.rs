//! SIGINT, SIGTERM and SIGHUP: the first cleans and is what the parent sees, the second is the end.

use std::time::Duration;

use crate::support::{Ended, FLEET, HUP, How, INT, KINDS, Program, TERM, after, each};

const BRIEF: Duration = Duration::from_secs(2);
/// A second signal that comes sooner is taken for the echo of the first.
const BETWEEN: Duration = Duration::from_millis(150);

fn signalled(case: &str, kind: &str, signal: i32) -> Ended {
    Program::victim(case, kind).start().until_said("ready").signal(signal).end()
}

#[test]
fn each_signal_cleans_in_order_and_is_what_the_parent_sees() {
    each(|kind| {
        for signal in [INT, TERM, HUP] {
            let ended = signalled("wait", kind, signal).ended(How::Signal(signal));
            ended.said(FLEET).quietly().within(BRIEF);
        }
    });
}

#[test]
fn without_hooks_a_signal_ends_the_process_as_ever() {
    each(|kind| {
        for signal in [INT, TERM, HUP] {
            signalled("wait-without-hooks", kind, signal).ended(How::Signal(signal)).said([]).quietly();
        }
    });
}

#[test]
fn a_cleanup_is_told_by_which_signal() {
    for signal in [INT, TERM, HUP] {
        let ended = signalled("wait-reason", KINDS[0], signal).ended(How::Signal(signal));
        ended.said([format!("signal {signal}").as_str()]).quietly();
    }
}

#[test]
fn the_manager_with_the_hooks_goes_first_then_the_global_tree() {
    each(|kind| {
        let ended = signalled("wait-as-child-manager", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&FLEET, &["newest", "base"])).quietly();
        let ended = signalled("wait-as-isolated", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&FLEET, &["base"])).quietly();
    });
}

#[test]
fn a_hang_ends_by_the_deadline_and_takes_no_other_with_it() {
    each(|kind| {
        let ended = signalled("wait-hanging", kind, TERM).ended(How::Signal(TERM)).within(BRIEF);
        let ended = ended.said(after(&["hangs"], &FLEET));
        ended.told("castoff: SIGTERM: teardown of `global`: 3 cleaned, 1 timed out");
        // In the manager with the hooks, it leaves time for the global tree.
        let ended = signalled("wait-hanging-child-manager", kind, TERM).ended(How::Signal(TERM));
        ended.said(["hangs", "base"]).within(BRIEF);
        // The manager's own deadline where the options have none.
        signalled("limited-wait", kind, TERM).ended(How::Signal(TERM)).within(BRIEF);
    });
}

#[test]
fn a_hanging_callback_ends_by_the_deadline_with_a_line_that_says_what_was_left() {
    each(|kind| {
        let ended = signalled("wait-hanging-callback", kind, TERM).ended(How::Signal(TERM)).within(BRIEF);
        let told = "castoff: SIGTERM: the teardown had not ended after 1.0s; 3 resources were not cleaned: ";
        let ended = ended.told(told).told("`server` (");
        assert_eq!(ended.err.lines().count(), 1, "{ended:#?}");
    });
}

#[test]
fn a_second_signal_ends_a_hanging_teardown_at_once_with_one_line() {
    each(|kind| {
        for second in [INT, TERM] {
            let running = Program::victim("wait-hanging-long", kind).start();
            let running = running.until_said("ready").signal(INT).until_said("hangs").after(BETWEEN);
            let ended = running.signal(second).end().ended(How::Signal(second)).said(["hangs"]);
            let ended = ended.within(Duration::from_millis(700));
            let name = if second == INT { "SIGINT" } else { "SIGTERM" };
            let told = format!(
                "castoff: {name}, the second signal: leaving at once; 4 resources were not cleaned: `hanging` ("
            );
            let ended = ended.told(&told);
            assert_eq!(ended.err.lines().count(), 1, "{ended:#?}");
        }
    });
}

#[test]
fn a_second_signal_ends_the_process_though_nobody_reads_stderr() {
    each(|kind| {
        let (_reader, full) = crate::ends::full_pipe();
        let program = Program::victim("wait-hanging-long", kind).with(|it| it.stderr(full));
        let running = program.start().until_said("ready").signal(INT).until_said("hangs").after(BETWEEN);
        running.signal(INT).end().ended(How::Signal(INT)).within(Duration::from_secs(1));
    });
}

#[test]
fn a_third_signal_does_not_even_wait_for_the_line() {
    let third = || {
        let (_reader, full) = crate::ends::full_pipe();
        let program = Program::victim("wait-hanging-long", KINDS[0]).with(|it| it.stderr(full));
        let running = program.start().until_said("ready").signal(INT).until_said("hangs").after(BETWEEN);
        running.signal(INT).after(Duration::from_millis(50)).signal(HUP).end().how
    };
    // For a quarter of a second the line waits for its reader: on a busy machine the third may come too late.
    assert!((0..5).any(|_| third() == How::Signal(HUP)));
}

#[test]
fn what_a_signal_interrupts_goes_on() {
    let running = Program::victim("wait-in-a-read", KINDS[0]).start().until_said("ready").until_asleep();
    running.signal(TERM).end().ended(How::Signal(TERM)).said(FLEET).quietly();
}

#[test]
fn an_echo_of_the_first_signal_is_no_second_one() {
    each(|kind| {
        let echoed = || {
            let running = Program::victim("signal-in-a-drop", kind).start().until_said("ready");
            running.signal(TERM).after(Duration::from_millis(1)).signal(TERM).signal(HUP).end()
        };
        // A machine that is busy may keep a signal for longer than an echo takes.
        let mut ended = echoed();
        for _ in 0..4 {
            if ended.err.contains("the second signal") {
                ended = echoed();
            }
        }
        ended.ended(How::Signal(TERM)).said(after(&["slow"], &FLEET)).quietly();
    });
}

#[test]
fn an_ignored_signal_stays_ignored() {
    each(|kind| {
        let program = Program::victim("wait", kind).ignoring(&[HUP, INT]);
        let running = program.start().until_said("ready").signal(HUP).signal(INT);
        let running = running.after(Duration::from_millis(50)).signal(TERM);
        running.end().ended(How::Signal(TERM)).said(FLEET).quietly();
    });
}

#[test]
fn tokens_fire_before_anything_is_cleaned_for_whoever_waits_in_whatever_way() {
    each(|kind| {
        let ended = signalled("tokens", kind, TERM).ended(How::Signal(TERM));
        ended.said(after(&["all have heard"], &FLEET)).quietly();
    });
}

#[test]
fn a_main_that_returns_when_the_token_fires_still_dies_by_the_signal() {
    each(|kind| {
        for _ in 0..10 {
            let ended = signalled("token-then-return", kind, TERM).ended(How::Signal(TERM)).quietly();
            let cleaned: Vec<&str> =
                ended.log.iter().map(String::as_str).filter(|it| FLEET.contains(it)).collect();
            assert_eq!(cleaned, FLEET, "{ended:#?}");
            let ended = signalled("hooks-are-a-local-of-main", kind, INT).ended(How::Signal(INT));
            ended.said(FLEET).quietly();
        }
    });
}

#[test]
fn whoever_waited_for_a_token_goes_on_also_where_the_process_then_ends_by_a_code() {
    each(|kind| {
        let ended = signalled("tokens-then-exit", kind, TERM).ended(How::Code(11));
        ended.said(after(&["all have heard"], &FLEET)).quietly();
    });
}
