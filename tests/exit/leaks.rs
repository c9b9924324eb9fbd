//! What is held when the process ends: found before it is cleaned, as severely as asked for.

use crate::support::{Ended, How, Program, each};

fn end(case: &str, kind: &str, severity: Option<&str>) -> Ended {
    let program = Program::victim(case, kind).with(|command| command.env_remove("CASTOFF_LEAKS"));
    match severity {
        Some(severity) => program.with(|command| command.env("CASTOFF_LEAKS", severity)).run(),
        None => program.run(),
    }
}

#[test]
fn a_program_that_holds_something_at_its_end_is_silent_unless_asked() {
    each(|kind| {
        for severity in [None, Some("off"), Some("count"), Some("nonsense")] {
            end("leaks", kind, severity).ended(How::Code(0)).said(["forgotten"]).quietly();
        }
    });
}

#[test]
fn asked_to_warn_it_says_what_and_where_before_it_cleans() {
    each(|kind| {
        let ended = end("leaks", kind, Some("warn")).ended(How::Code(0)).said(["forgotten"]);
        let ended = ended.told("castoff: process exit: 1 leak in `global`");
        let ended = ended.told("fleet.rs:").told("`forgotten` (event) by main");
        ended.told("held when the process ended");
    });
}

#[test]
fn asked_to_fail_it_fails_unless_it_has_failed_by_itself() {
    each(|kind| {
        let ended = end("leaks", kind, Some("fail"));
        ended.ended(How::Code(99)).said(["forgotten"]).told("held when the process ended");
        let ended = end("leaks-and-fails", kind, Some("FAIL"));
        ended.ended(How::Code(7)).said(["forgotten"]).told("held when the process ended");
    });
}

#[test]
fn the_configuration_of_the_global_manager_holds_unless_the_environment_says_otherwise() {
    each(|kind| {
        end("leaks-as-configured", kind, None).ended(How::Code(99)).told("1 leak in `global`");
        end("leaks-as-configured", kind, Some("off")).ended(How::Code(0)).said(["forgotten"]).quietly();
    });
}

#[test]
fn a_clean_program_is_silent_however_severe_the_check_is() {
    each(|kind| {
        end("leaks-nothing", kind, Some("fail"))
            .ended(How::Code(0))
            .said(["server", "cache", "pool"])
            .quietly();
    });
}

#[test]
fn the_allow_list_that_the_environment_names_is_used_and_checked() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let path = folder.path().join("leaks.allow");
    let run = |rules: &str| {
        std::fs::write(&path, rules).expect("it can be written");
        let program = Program::victim("leaks", "sync");
        program.with(|it| it.env("CASTOFF_LEAKS", "fail").env("CASTOFF_LEAKS_ALLOW", &path)).run()
    };
    run("forgot* until 2999-12-31 because it is a test\n").ended(How::Code(0)).quietly();
    run("forgot* until 2020-12-31 because it was a test\n").ended(How::Code(99)).told("has expired");
    run("other until 2999-12-31 because it is a test\n").ended(How::Code(99)).told("matched nothing");
    run("not a rule\n").ended(How::Code(99)).told("line 1 of the allow-list");
}

#[test]
fn an_allow_list_that_cannot_be_read_allows_nothing_and_is_said() {
    let program = Program::victim("leaks", "sync").with(|it| it.env("CASTOFF_LEAKS", "warn"));
    let ended = program.with(|it| it.env("CASTOFF_LEAKS_ALLOW", "/no/such/leaks.allow")).run();
    ended.ended(How::Code(0)).told("1 leak in `global`").told("/no/such/leaks.allow");
}

#[test]
fn an_allow_list_without_a_name_is_none() {
    let program = Program::victim("leaks", "sync");
    let ended = program.with(|it| it.env("CASTOFF_LEAKS", "warn").env("CASTOFF_LEAKS_ALLOW", "")).run();
    assert!(!ended.err.contains("allow-list"), "{ended:#?}");
    ended.ended(How::Code(0)).told("1 leak in `global`");
}
