//! A test program, and its tests.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Of one process. None of the tests needs that many.
const BUSY_SECONDS: libc::rlim_t = 120;

#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    /// By this test.
    Failed(String),
    /// The process ended otherwise.
    Died,
    Hung,
}

pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    folder: PathBuf,
}

impl Program {
    pub(crate) fn new(tree: &Path, path: PathBuf) -> Program {
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = file.rsplit_once('-').map_or(&*file, |(name, _)| name).to_owned();
        Program { path, name, folder: tree.join("tests/sanitized") }
    }

    /// Another when it was built again.
    pub(crate) fn version(&self) -> String {
        let built = self.path.metadata().and_then(|program| program.modified());
        format!("{} {built:?}", self.path.display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
        command
    }

    pub(crate) fn tests(&self) -> Vec<String> {
        let output = self.command().arg("--list").output().expect("a test program can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    }

    /// Runs these tests as this mutant, up to the first that fails.
    pub(crate) fn verdict(
        &self,
        tests: &[&str],
        mutant: usize,
        reached: Option<&Path>,
        limit: Duration,
    ) -> Verdict {
        let mut command = self.command();
        command.args(["--exact", "--test-threads=2"]).args(tests).env("CASTOFF_MUTANT", mutant.to_string());
        if let Some(reached) = reached {
            command.env("CASTOFF_REACHED", reached);
        }
        // SAFETY: one system call, which may be made between a fork and what follows.
        unsafe { command.pre_exec(limit_busy_seconds) };
        // A group of its own, so that it is ended with all that it has started.
        let child = command.process_group(0).spawn().expect("a test program can be started");
        judge(child, limit)
    }
}

/// What a test starts may be in a group of its own, and spin for ever: the system ends what has been busy for that long.
fn limit_busy_seconds() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: BUSY_SECONDS, rlim_max: BUSY_SECONDS };
    // SAFETY: reads one value, which outlives the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_CPU, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn judge(mut child: Child, limit: Duration) -> Verdict {
    let group = -i32::try_from(child.id()).expect("a process has a number");
    let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
    let (say, heard) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let failed = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
            if failed.is_some_and(|name| say.send(name.to_owned()).is_err()) {
                break;
            }
        }
    });
    let end = Instant::now() + limit;
    let verdict = match heard.recv_timeout(limit) {
        Ok(test) => Verdict::Failed(test),
        Err(mpsc::RecvTimeoutError::Timeout) => Verdict::Hung,
        Err(mpsc::RecvTimeoutError::Disconnected) => match ended(&mut child, end) {
            Some(true) => return Verdict::Passed,
            Some(false) => return Verdict::Died,
            None => Verdict::Hung,
        },
    };
    // SAFETY: the group of a child that has not been waited for.
    unsafe { libc::kill(group, libc::SIGKILL) };
    child.wait().expect("it is ours");
    verdict
}

/// Whether it has ended well. Its output may end before it does.
fn ended(child: &mut Child, end: Instant) -> Option<bool> {
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status.success());
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
