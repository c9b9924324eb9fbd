//! `#[castoff::test]` as users have it: crates whose tests pass and fail, run from outside, and what libtest and nextest
//! make of them.
//!
//! A test's name begins with `passes` or `fails`, and a comment `LEAK name` stands on the line that its failure names.

mod ends;
#[cfg(target_os = "linux")]
mod footprint;
mod nextest;
mod outcomes;
mod shared;
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
const TESTS: [&str; 14] = [
    "--test",
    "outcomes",
    "--test",
    "crowd",
    "--test",
    "held",
    "--test",
    "suite",
    "--test",
    "footprint",
    "--test",
    "own_main",
    "--test",
    "renamed",
];

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
        let messages = messages(&text);
        let binary = |message: &Value| {
            let path = PathBuf::from(message["executable"].as_str()?);
            Some((message["target"]["name"].as_str()?.to_owned(), path))
        };
        Artifacts { binaries: messages.iter().filter_map(binary).collect(), library: library(&messages) }
    })
}

fn messages(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The castoff among what cargo says that it has made.
fn library(messages: &[Value]) -> PathBuf {
    let library = messages.iter().find(|message| message["target"]["name"] == "castoff");
    let library = library.and_then(|message| message["filenames"][0].as_str());
    library.expect("cargo says where it put castoff").into()
}

fn binary(name: &str) -> &'static Path {
    artifacts().binaries.get(name).unwrap_or_else(|| panic!("cargo built no {name}"))
}

fn program(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut program = Command::new(binary(name));
    unset(&mut program);
    program.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    program
}

fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    within(LIMIT, name, program(name, arguments, environment))
}

/// What a program has written when it has ended.
fn within(limit: Duration, name: &str, mut program: Command) -> Output {
    let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let (id, start) = (child.id(), Instant::now());
    let waits = thread::spawn(move || child.wait_with_output().expect("it can be waited for"));
    while !waits.is_finished() {
        assert!(start.elapsed() < limit, "{name} (process {id}) hangs");
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

/// Sends SIGTERM to a program that says on stderr that it waits. How it ended, and what it wrote there.
#[cfg(unix)]
fn terminated(
    name: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (std::process::ExitStatus, String) {
    use std::io::Read;

    let mut program = program(name, arguments, environment);
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
    (status, text)
}
