//! Starting programs, signalling them, and seeing how they ended.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What cleanups are: every case that has cleanups is run with each.
pub(crate) const KINDS: [&str; 2] = ["sync", "async"];

/// A victim's resources, in the order in which they have to be cleaned.
pub(crate) const FLEET: [&str; 3] = ["server", "cache", "pool"];

/// No test may take longer for one program.
const LIMIT: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(1);

pub(crate) const INT: i32 = libc::SIGINT;
pub(crate) const TERM: i32 = libc::SIGTERM;
pub(crate) const HUP: i32 = libc::SIGHUP;

/// The victim, built once by cargo: in the profile where panics unwind, or in the one where they abort. Who starts each test
/// by itself has built it before, and says in `CASTOFF_VICTIMS` into which target directory.
pub(crate) fn victim(aborting: bool) -> &'static Path {
    static UNWINDING: OnceLock<PathBuf> = OnceLock::new();
    static ABORTING: OnceLock<PathBuf> = OnceLock::new();
    let cell = if aborting { &ABORTING } else { &UNWINDING };
    let (profile, how): (_, &[&str]) =
        if aborting { ("abort", &["--profile", "abort", "--no-default-features"]) } else { ("debug", &[]) };
    cell.get_or_init(|| match std::env::var_os("CASTOFF_VICTIMS") {
        Some(target) => Path::new(&target).join(profile).join("castoff-victim"),
        None => build(how),
    })
}

fn build(how: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The target directory that this test is in: target/debug/deps/exit-...
    let this = std::env::current_exe().expect("a test knows where it is");
    let target = this.ancestors().nth(3).expect("cargo puts a test three folders deep");
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--package", "castoff-victim", "--message-format", "json"])
        .args(how)
        .arg("--target-dir")
        .arg(target)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(built.status.success(), "the victim can't be built: {}", built.status);
    let messages = String::from_utf8(built.stdout).expect("cargo writes text");
    let executable = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.max().expect("cargo says where it put the victim")
}

/// A program to be started.
pub(crate) struct Program {
    pub(crate) command: Command,
    folder: TempDir,
    ignored: Vec<i32>,
}

impl Program {
    /// A victim playing this case.
    pub(crate) fn victim(case: &str, kind: &str) -> Program {
        let mut command = Command::new(victim(false));
        command.args([case, kind]);
        Program::new(command)
    }

    pub(crate) fn aborting(case: &str) -> Program {
        let mut command = Command::new(victim(true));
        command.arg(case);
        Program::new(command)
    }

    /// A script for bash. `$VICTIM` is the victim, `$LOG` the log.
    pub(crate) fn bash(script: &str) -> Program {
        let mut command = Command::new("bash");
        command.args(["-c", script]).env("VICTIM", victim(false));
        Program::new(command)
    }

    pub(crate) fn new(mut command: Command) -> Program {
        let folder = TempDir::new().expect("there is room for a log");
        let file = |name| fs::File::create(folder.path().join(name)).expect("there is room for a log");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        file("log");
        command.env("CASTOFF_LOG", folder.path().join("log")).env("LOG", folder.path().join("log"));
        // What a failing run says is long otherwise, and takes its time.
        command.env("RUST_BACKTRACE", "0");
        Program { command, folder, ignored: Vec::new() }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Command) -> &mut Command) -> Program {
        change(&mut self.command);
        self
    }

    /// The program finds these signals ignored.
    pub(crate) fn ignoring(mut self, signals: &[i32]) -> Program {
        self.ignored = signals.into();
        self
    }

    /// In a process group of its own, with the dispositions of a program that a person starts: a test may run where
    /// SIGINT is ignored.
    pub(crate) fn start(mut self) -> Running {
        self.command.process_group(0);
        self.start_as_leader()
    }

    /// The same for a program that makes itself the leader of a session, and so of a group.
    pub(crate) fn start_as_leader(mut self) -> Running {
        let ignored = std::mem::take(&mut self.ignored);
        let prepare = move || {
            for signal in [INT, TERM, HUP] {
                let how = if ignored.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
                // SAFETY: between fork and exec, where this may be called; neither runs code of ours.
                unsafe { libc::signal(signal, how) };
            }
            // No core of a victim that aborts.
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: likewise; it reads what is there.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
            Ok(())
        };
        // SAFETY: see inside.
        unsafe { self.command.pre_exec(prepare) };
        let child = self.command.spawn().expect("the program can be started");
        Running { child, folder: self.folder, ended: false }
    }

    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }
}

/// A program that runs. Killed with its group when it is dropped.
pub(crate) struct Running {
    child: Child,
    folder: TempDir,
    ended: bool,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).expect("it was made before");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has written to stderr so far.
    pub(crate) fn err(&self) -> String {
        self.text("err")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.text("log").lines().map(String::from).collect()
    }

    fn everything(&self) -> String {
        format!("log {:?}\nstdout {:?}\nstderr {}", self.log(), self.text("out"), self.text("err"))
    }

    /// Waits until this holds, for a while.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Running) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().expect("it is our child");
            // What it said last is read once more: it may have come just before the end.
            if ended.is_some() && holds(self) {
                return;
            }
            let all = || self.everything();
            assert!(ended.is_none(), "it ended ({ended:?}) before {what}: {}", all());
            assert!(start.elapsed() < LIMIT, "no {what} after {LIMIT:?}: {}", all());
            thread::sleep(POLL);
        }
    }

    /// Waits until the log has this line.
    #[track_caller]
    pub(crate) fn until_said(mut self, line: &str) -> Running {
        self.until(&format!("{line:?} in the log"), |it| it.log().iter().any(|said| said == line));
        self
    }

    /// Waits until it sleeps, as a shell does that waits for its child: before that SIGINT is the end of bash at once, and
    /// its child is still at its work. Where there is no `/proc` nobody knows.
    #[track_caller]
    pub(crate) fn until_asleep(mut self) -> Running {
        let stat = format!("/proc/{}/stat", self.pid());
        let sleeps = |stat: String| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'));
        self.until("sleep", |_| fs::read_to_string(&stat).map_or(true, sleeps));
        self
    }

    /// Signals this one process.
    #[track_caller]
    pub(crate) fn signal(self, signal: i32) -> Running {
        send(self.pid(), signal);
        self
    }

    /// Signals the whole group.
    #[track_caller]
    pub(crate) fn signal_all(self, signal: i32) -> Running {
        send(-self.pid(), signal);
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Running {
        thread::sleep(delay);
        self
    }

    /// How it ended, and how long that took from now on.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "it had not ended after {LIMIT:?}: {}", self.everything());
            thread::sleep(POLL);
        };
        self.ended = true;
        let took = start.elapsed();
        Ended { how: How::from(status), log: self.log(), out: self.text("out"), err: self.text("err"), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever it has started goes, too, and if it has ended itself.
        // SAFETY: takes numbers. The group is its own, and while the child has not been waited for its number is not
        // given to anybody else; afterwards only what it left behind is in the group, or nobody.
        unsafe { libc::kill(-self.pid(), libc::SIGKILL) };
        if !self.ended {
            self.child.wait().map(drop).unwrap_or(());
        }
    }
}

#[track_caller]
pub(crate) fn send(to: i32, signal: i32) {
    // SAFETY: takes numbers.
    let sent = unsafe { libc::kill(to, signal) };
    assert_eq!(sent, 0, "signal {signal} to {to}: {}", io::Error::last_os_error());
}

/// What a parent sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for How {
    fn from(status: ExitStatus) -> How {
        match (status.code(), status.signal()) {
            (Some(code), _) => How::Code(code),
            (None, Some(signal)) => How::Signal(signal),
            (None, None) => panic!("neither a code nor a signal: {status:?}"),
        }
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    pub(crate) log: Vec<String>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ended {
    #[track_caller]
    pub(crate) fn ended(self, how: How) -> Ended {
        assert_eq!(self.how, how, "{self:#?}");
        self
    }

    /// The log has these lines and no others, in this order. What only synchronizes is left out.
    #[track_caller]
    pub(crate) fn said<'a>(self, lines: impl IntoIterator<Item = &'a str>) -> Ended {
        let said: Vec<&str> = self.log.iter().map(String::as_str).filter(|line| *line != "ready").collect();
        let wanted: Vec<&str> = lines.into_iter().collect();
        assert_eq!(said, wanted, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Ended {
        assert!(self.took < limit, "it took {:?} instead of {limit:?}: {self:#?}", self.took);
        self
    }

    /// Nothing on stderr, and, as always, nothing on stdout.
    #[track_caller]
    pub(crate) fn quietly(self) -> Ended {
        assert_eq!(self.err, "", "{self:#?}");
        self.with_clean_stdout()
    }

    #[track_caller]
    pub(crate) fn with_clean_stdout(self) -> Ended {
        assert_eq!(self.out, "", "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn told(self, text: &str) -> Ended {
        assert!(self.err.contains(text), "no {text:?} on stderr: {self:#?}");
        self.with_clean_stdout()
    }
}

/// Runs a check for each kind of cleanup.
pub(crate) fn each(check: impl Fn(&str)) {
    KINDS.iter().for_each(|kind| check(kind));
}

pub(crate) fn after<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [first, rest].concat()
}
