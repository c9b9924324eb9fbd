//! Starting the attacked program, seeing how it ended, and judging what it did.

use std::collections::HashMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const VICTIM: &str = env!("CARGO_BIN_EXE_castoff-attacked");
pub const COUNT: usize = 20;

/// The ways to end that every attack is tried on, and what a parent sees where none succeeds.
pub const ENDS: [(&str, How); 4] = [
    ("return", How::Code(0)),
    ("exit", How::Code(7)),
    ("signal", How::Signal(libc::SIGTERM)),
    ("teardown", How::Code(0)),
];
pub const KINDS: [&str; 2] = ["sync", "async"];

/// Several times what the slowest takes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Code(i32),
    Signal(i32),
    Hangs,
}

#[derive(Debug)]
pub struct Ended {
    pub how: How,
    pub log: Vec<String>,
    pub err: String,
    /// What strace saw.
    pub trace: String,
}

/// Runs `prefix... VICTIM end kind` with `{log}` and `{trace}` in the prefix replaced.
pub fn attack(prefix: &[&str], end: &str, kind: &str, environment: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().expect("there is room");
    let file = |name: &str| folder.path().join(name).to_str().expect("a path of ASCII").to_owned();
    for name in ["log", "err", "trace"] {
        std::fs::write(file(name), "").expect("there is room");
    }
    let fill = |word: &&str| word.replace("{log}", &file("log")).replace("{trace}", &file("trace"));
    let words: Vec<String> = prefix.iter().map(fill).chain([VICTIM, end, kind].map(String::from)).collect();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env("CASTOFF_LOG", file("log"))
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(file("err")).expect("there is room"))
        .process_group(0);
    let how = end_of(command);
    let text = |name| String::from_utf8_lossy(&std::fs::read(file(name)).expect("it is there")).into_owned();
    let log = text("log").lines().map(String::from).collect();
    Ended { how, log, err: text("err"), trace: text("trace") }
}

fn end_of(mut command: Command) -> How {
    let mut child = command.spawn().expect("it can be started: is strace there?");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return match (status.code(), status.signal()) {
                (Some(code), _) => How::Code(code),
                (None, Some(signal)) => How::Signal(signal),
                (None, None) => unreachable!("neither a code nor a signal: {status:?}"),
            };
        }
        if start.elapsed() > LIMIT {
            // SAFETY: takes numbers; the child has not been waited for, so the group is its own.
            unsafe { libc::kill(-child.id().cast_signed(), libc::SIGKILL) };
            child.wait().expect("nothing outlives SIGKILL");
            return How::Hangs;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Ended {
    /// When each resource was cleaned.
    pub fn cleaned(&self) -> Vec<usize> {
        let number = |line: &String| line.strip_prefix('-').map(|it| it.parse().expect("a number"));
        self.log.iter().filter_map(number).collect()
    }

    pub fn said(&self, mark: char) -> bool {
        self.log.iter().any(|line| line.starts_with(mark))
    }

    /// What must not be, whatever happened to the process: a cleanup twice, or before one that needs it.
    /// Where a line of the log may be `lost`, what is not in it may have been cleaned.
    pub fn wrong(&self, lost: bool) -> Vec<String> {
        let mut at = HashMap::new();
        let mut wrong = Vec::new();
        for (turn, number) in self.cleaned().into_iter().enumerate() {
            if at.insert(number, turn).is_some() {
                wrong.push(format!("{number} was cleaned twice"));
            }
        }
        for (number, turn) in &at {
            let is_late = |it: &usize| at.get(it).map_or(!lost, |it| it > turn);
            let early = |it: &usize| it / 2 == *number && it != number && is_late(it);
            let early = (0..COUNT).filter(early);
            wrong.extend(early.map(|it| format!("{number} was cleaned before {it}, which needs it")));
        }
        wrong
    }
}
