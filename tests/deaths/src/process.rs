//! Starting processes, signalling them, and seeing how they end.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// For what has to be there before anything can be measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of this program that is ready to end.
pub struct Process {
    child: Child,
}

impl Process {
    /// With the dispositions that a shell gives a program in the foreground, but for a signal that is ignored, and without
    /// core files.
    pub fn start(arguments: &[&str], ignored: Option<i32>) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ten backtraces with their symbols take longer than a deadline of a second, on a busy machine.
        command.env("RUST_BACKTRACE", "0");
        let prepare = move || {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
                let how = if ignored == Some(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
                // SAFETY: between fork and exec, where this may be called; neither runs code of ours.
                unsafe { libc::signal(signal, how) };
            }
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: likewise; it reads what is there.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
            Ok(())
        };
        // SAFETY: see inside.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn().expect("it can be started");
        let mut line = String::new();
        let out = child.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line).expect("it is text");
        assert_eq!(line, "ready\n", "{arguments:?}");
        Process { child }
    }

    pub fn send(&self, signal: i32) {
        // SAFETY: takes numbers; the child has not been waited for, so its number is its own.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// How it ended, as its parent sees it. `None`: it has not.
    pub fn ended_within(&mut self, limit: Duration) -> Option<String> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Some(told(status));
            }
            if start.elapsed() >= limit {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn give_up(&mut self) {
        self.child.kill().expect("it is our child");
        self.ended_within(PATIENCE).expect("nothing outlives SIGKILL");
    }
}

fn told(status: ExitStatus) -> String {
    let named = [
        (libc::SIGINT, "SIGINT"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
    ];
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => named
            .into_iter()
            .find(|(number, _)| *number == signal)
            .map_or_else(|| format!("signal {signal}"), |(_, name)| String::from(name)),
        (None, None) => String::from("no status"),
    }
}
