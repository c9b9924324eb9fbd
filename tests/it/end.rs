//! The end of a process that has what tests share: what is said of leaks, what is cleaned, and in which order.

use std::process::Command;

use castoff::ResourceManager;
use castoff::testing::Shared;

/// How this program ends when it holds something, and what it says.
fn end(code: i32, leaks: Option<&str>) -> (Option<i32>, String) {
    let mut program = Command::new(std::env::current_exe().expect("it runs"));
    program.args(["--exact", "end::the_program_that_ends", "--ignored", "--nocapture"]);
    program.env("CODE", code.to_string()).env_remove("CASTOFF_LEAKS").env_remove("CASTOFF_LEAKS_ALLOW");
    let ended = program.envs(leaks.map(|severity| ("CASTOFF_LEAKS", severity))).output();
    let ended = ended.expect("it can be started");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn what_tests_share_ends_after_all_else_and_nobody_can_ask_for_more_of_it_then() {
    let (code, said) = end(0, None);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "pool cleaned, and late is refused: the process is ending", "{said}");
    assert_eq!((code, &lines[1..]), (Some(0), &["database cleaned"][..]), "{said}");
}

#[test]
fn leaks_are_said_before_anything_is_cleaned_and_fail_a_process_that_has_not_failed() {
    for (code, severity, ended) in [(0, "warn", 0), (0, "fail", 99), (7, "fail", 7)] {
        let (code, said) = end(code, Some(severity));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((code, lines[0]), (Some(ended), "castoff: process exit: 1 leak in `global`"), "{said}");
        let cleaned = lines.iter().position(|line| line.starts_with("pool cleaned"));
        assert_eq!((cleaned, lines.len()), (Some(lines.len() - 2), lines.len()), "{said}");
    }
    let (code, said) = end(0, Some("count"));
    assert!(code == Some(0) && said.starts_with("pool cleaned"), "{said}");
}

#[test]
#[ignore = "the tests above start it"]
fn the_program_that_ends() {
    static DATABASE: Shared<()> = Shared::new("database", &|| (), &|_| eprintln!("database cleaned"));
    static LATE: Shared<()> = Shared::new("late", &|| (), &|_| ());
    DATABASE.get();
    let pool = ResourceManager::global().guard("pool", || {
        let refused = LATE.try_get().expect_err("nobody would clean it").to_string();
        let why = refused.split(": ").find(|part| part.contains("ending")).unwrap_or(&refused);
        eprintln!("pool cleaned, and late is refused: {}", why.split(';').next().unwrap_or(why));
    });
    std::mem::forget(pool);
    let code = std::env::var("CODE").ok().and_then(|code| code.parse().ok());
    std::process::exit(code.expect("it is a number"));
}
