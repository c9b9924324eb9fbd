//! `#[castoff::test]` as users have it: crates whose tests pass and fail, run from outside, and what libtest and nextest
//! make of them.
//!
//! A test's name begins with `passes` or `fails`, and a comment `LEAK name` stands on the line that its failure names.

mod ui;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No run of a test binary may take longer.
const LIMIT: Duration = Duration::from_secs(60);

const PACKAGES: [&str; 4] = ["--package", "castoff-downstream", "--package", "castoff-renamed"];
const TESTS: [&str; 8] = ["--test", "outcomes", "--test", "crowd", "--test", "held", "--test", "renamed"];

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    // The target directory that this test is in: target/debug/deps/testing-...
    let this = std::env::current_exe().expect("a test knows where it is");
    let target = this.ancestors().nth(3).expect("cargo puts a test three folders deep");
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
    unset(&mut cargo);
    cargo
}

/// What would change outcomes or fill reports.
fn unset(command: &mut Command) {
    for variable in ["CASTOFF_LEAKS", "CASTOFF_LEAKS_ALLOW", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
}

/// What cargo has built.
struct Artifacts {
    /// The test binaries, by name.
    binaries: BTreeMap<String, PathBuf>,
    /// The castoff that they use.
    library: PathBuf,
}

/// Built once.
fn artifacts() -> &'static Artifacts {
    static BUILT: OnceLock<Artifacts> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = cargo();
        build.args(["test", "--no-run", "--quiet", "--locked", "--message-format", "json"]);
        let built = build.args(PACKAGES).args(TESTS).stderr(Stdio::inherit()).output();
        let built = built.expect("cargo can be started");
        assert!(built.status.success(), "the tests can't be built: {}", built.status);
        let text = String::from_utf8(built.stdout).expect("cargo writes text");
        let messages: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let binary = |message: &Value| {
            let path = PathBuf::from(message["executable"].as_str()?);
            Some((message["target"]["name"].as_str()?.to_owned(), path))
        };
        let library = messages.iter().find(|message| message["target"]["name"] == "castoff");
        let library = library.and_then(|message| message["filenames"][0].as_str());
        Artifacts {
            binaries: messages.iter().filter_map(binary).collect(),
            library: library.expect("cargo says where it put castoff").into(),
        }
    })
}

fn binary(name: &str) -> &'static Path {
    artifacts().binaries.get(name).unwrap_or_else(|| panic!("cargo built no {name}"))
}

fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut program = Command::new(binary(name));
    unset(&mut program);
    program.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let (id, start) = (child.id(), Instant::now());
    let waits = thread::spawn(move || child.wait_with_output().expect("it can be waited for"));
    while !waits.is_finished() {
        assert!(start.elapsed() < LIMIT, "{name} (process {id}) hangs");
        thread::sleep(Duration::from_millis(5));
    }
    waits.join().expect("it does not panic")
}

/// The lines that failures have to name, by test: read from the source.
fn lines(file: &str) -> BTreeMap<String, String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is there");
    let marked = text.lines().zip(1..).filter_map(|(line, number)| {
        let (_, name) = line.split_once("// LEAK ")?;
        Some((name.to_owned(), format!("{file}:{number}:")))
    });
    marked.collect()
}

/// What libtest says of each test: its result, and what it printed if it failed.
struct Told {
    results: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

fn told(output: &Output) -> Told {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut results = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, result)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            results.insert(name.trim_end_matches(" - should panic").to_owned(), result.to_owned());
        }
    }
    let mut outputs = BTreeMap::new();
    for part in text.split("\n---- ").skip(1) {
        let (name, rest) = part.split_once(" stdout ----\n").expect("each part has its heading");
        let end = rest.find("\n\nfailures:\n").unwrap_or(rest.len());
        outputs.insert(name.to_owned(), rest[..end].to_owned());
    }
    Told { results, outputs }
}

/// Exactly those failed that should, each with its own line and no other's.
fn judge(told: &Told, lines: &BTreeMap<String, String>, should_fail: impl Fn(&str) -> bool) {
    for (name, result) in &told.results {
        let expected = if should_fail(name) { "FAILED" } else { "ok" };
        assert!(result.starts_with(expected) || result.starts_with("ignored"), "{name}: {result}");
    }
    for (name, line) in lines {
        let output = told.outputs.get(name).unwrap_or_else(|| panic!("{name} has not failed"));
        assert!(output.contains(line.as_str()), "{name} does not name {line}\n{output}");
        for (other, line) in lines.iter().filter(|(other, _)| *other != name) {
            assert!(!output.contains(line.as_str()), "{name} names {line} of {other}\n{output}");
        }
    }
}

#[test]
fn each_outcome_is_as_its_name_says_with_one_test_thread_and_with_eight() {
    let lines = lines("tests/testing/downstream/tests/outcomes.rs");
    for threads in ["1", "8"] {
        let output = run("outcomes", &["--test-threads", threads], &[]);
        assert_eq!(output.status.code(), Some(101));
        let told = told(&output);
        assert_eq!(told.results.len(), 24);
        judge(&told, &lines, |name| name.starts_with("fails"));
        assert!(told.results["ignored"].starts_with("ignored"));
        let has = |name: &str, text: &str| {
            assert!(
                told.outputs[name].contains(text),
                "{name} does not say {text:?}\n{}",
                told.outputs[name]
            );
        };
        has("fails_with_a_leak", "the test's body passed, but\n1 leak in `fails_with_a_leak`");
        has("fails_with_a_panic_and_a_leak", "its own panic\n");
        has("fails_with_a_panic_and_a_leak", "castoff: 1 leak in ");
        has("fails_with_an_error_and_a_leak", "Error: \"its own error\"\ncastoff: 1 leak in ");
        has("fails_async_with_a_panic_and_a_leak", "its own panic\n");
        has("fails_by_a_leak_though_it_panics_as_it_should", "test did not panic as expected");
        has("fails_by_a_drop", "1 cleanup failed that a drop had run:");
        has("fails_by_its_teardown", "teardown of `fails_by_its_teardown`: 1 failed");
        has("fails_by_its_deadline", "had not ended after its deadline of 300 ms; 1 resource is live:");
        has("fails_and_keeps", "1 resource is kept");
        assert!(!told.outputs["fails_and_keeps"].contains("this was cleaned"));
    }
}

#[test]
fn a_test_that_fails_by_a_leak_does_so_again_and_again_among_a_hundred_that_run_together() {
    let lines = lines("tests/testing/downstream/tests/crowd.rs");
    assert_eq!(lines.len(), 10);
    for threads in ["8", "8", "8", "8", "8", "1", "64"] {
        let told = told(&run("crowd", &["--test-threads", threads], &[]));
        assert_eq!(told.results.len(), 100);
        judge(&told, &lines, |name| lines.contains_key(name));
    }
}

#[test]
fn castoff_may_have_another_name() {
    let told = told(&run("renamed", &[], &[]));
    assert_eq!(told.results.len(), 3);
    judge(&told, &lines("tests/testing/renamed/tests/renamed.rs"), |name| name.starts_with("fails"));
}

#[test]
fn the_environment_says_how_severe_a_leak_is() {
    let leak = ["fails_with_a_leak", "--exact"];
    for severity in ["off", "count", "warn"] {
        let output = run("outcomes", &leak, &[("CASTOFF_LEAKS", severity)]);
        assert_eq!(output.status.code(), Some(0), "{severity}");
    }
    let warned = ["passes_with_a_warning", "--exact", "--nocapture"];
    let output = run("outcomes", &warned, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("castoff: 1 leak in `passes_with_a_warning`"));
    let output = run("outcomes", &warned, &[("CASTOFF_LEAKS", "fail")]);
    assert_eq!(output.status.code(), Some(101), "it goes before the attribute");
}

#[test]
fn the_allow_list_of_the_environment_is_used() {
    let folder = tempfile::tempdir().expect("a directory can be had");
    let path = folder.path().join("leaks.allow");
    let rules = "forgotten until 2999-12-31 because it is a test\nother until 2999-12-31 because it is one\n";
    std::fs::write(&path, rules).expect("it can be written");
    let list = path.to_str().expect("it is a text");
    let output = run("outcomes", &["fails_with_a_leak", "--exact"], &[("CASTOFF_LEAKS_ALLOW", list)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_no_test_owns_is_reported_after_the_summary_and_never_on_stdout() {
    let output = run("held", &[], &[("CASTOFF_LEAKS", "fail")]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(99), "{out}{err}");
    assert!(out.contains("test result: ok. 1 passed") && !out.contains("castoff"), "{out}");
    assert!(err.contains("castoff: process exit: 1 leak in `global`") && err.contains("held.rs:"), "{err}");
    assert!(err.contains("shared: cleaned"), "{err}");

    let output = run("held", &[], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("leak"));

    let output = run("held", &["--list"], &[("CASTOFF_LEAKS", "fail")]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("passes_with_a_static: test\n"));
}

#[cfg(unix)]
#[test]
fn a_signal_stops_a_test_with_exit_hooks_after_its_teardown() {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;

    let mut program = Command::new(binary("held"));
    unset(&mut program);
    program.args(["waits_for_a_signal", "--exact", "--ignored", "--nocapture"]).stdin(Stdio::null());
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let (id, mut stderr) = (child.id().to_string(), child.stderr.take().expect("it is piped"));
    let (tell, told) = std::sync::mpsc::channel();
    let reads = thread::spawn(move || {
        let mut text = String::new();
        let mut part = [0; 256];
        while let Ok(count @ 1..) = stderr.read(&mut part) {
            text.push_str(&String::from_utf8_lossy(&part[..count]));
            if text.contains("it waits") {
                tell.send(()).ok();
            }
        }
        text
    });
    let ready = told.recv_timeout(LIMIT / 4);
    // Not by `Child::kill`, which sends SIGKILL.
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be started");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break status,
            None if start.elapsed() > LIMIT / 4 => child.kill().expect("it runs"),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = reads.join().expect("it does not panic");
    assert!(ready.is_ok() && sent.success(), "{text}");
    assert_eq!(status.signal(), Some(15), "{text}");
    assert!(text.contains("container: stopped"), "{text}");
}

#[test]
fn nextest_sees_the_same() {
    let version = cargo().args(["nextest", "--version"]).output().expect("cargo can be started");
    if !version.status.success() {
        eprintln!(
            "NOT CHECKED: cargo nextest is not installed, so nothing is known of castoff's tests under it"
        );
        return;
    }
    binary("outcomes");
    let mut nextest = cargo();
    nextest.args([
        "nextest",
        "run",
        "--locked",
        "--no-fail-fast",
        "--color",
        "never",
        "--status-level",
        "all",
    ]);
    let output = nextest.args(PACKAGES).args(TESTS).output().expect("cargo can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(100), "{text}");
    // Of each test one line that begins with its status: "PASS [   0.006s] (1/2) castoff-downstream::crowd t00".
    let mut seen = 0;
    for line in text.lines().map(str::trim_start) {
        let Some((status, rest)) = line.split_once(" [") else { continue };
        if !matches!(status, "PASS" | "FAIL" | "LEAK") || !rest.contains("castoff-") {
            continue;
        }
        let name = rest.rsplit(' ').next().unwrap_or_default();
        let fails = name.starts_with("fails") || (name.starts_with('t') && name.ends_with('3'));
        assert_eq!(status, if fails { "FAIL" } else { "PASS" }, "{line}");
        seen += 1;
    }
    assert!(seen >= 127, "{seen} of 127 tests\n{text}");
}
