//! A test in a process of its own: the test binary, started again for this test alone.
//!
//! Descriptors, threads and children are the process's, and which test they came by nothing tells. So a test that wants
//! them looked at has to be the only one in its process. It is where the command line names it and no other, as
//! nextest's does; elsewhere it is run once more like that, and this run only tells how that one went.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::Lock;
use crate::unwind::contain;

/// How long the output of a process is read that has ended. What it has left behind may keep the pipes open.
const LATE: Duration = Duration::from_millis(200);

/// Options of libtest's that are followed by a value.
const WITH_A_VALUE: [&str; 7] =
    ["--test-threads", "--skip", "--logfile", "--color", "--format", "--shuffle-seed", "-Z"];

/// Whether no other test runs in this process.
pub(super) fn is_alone(name: &str) -> bool {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    names_only(arguments, name)
}

fn names_only(mut arguments: impl Iterator<Item = String>, name: &str) -> bool {
    let (mut exact, mut named, mut others) = (false, false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--exact" => exact = true,
            option if WITH_A_VALUE.contains(&option) => drop(arguments.next()),
            option if option.starts_with('-') => {}
            filter if filter == name => named = true,
            _ => others = true,
        }
    }
    exact && named && !others
}

/// Runs the test in a process of its own, and prints what that printed.
///
/// # Errors
/// When it failed there, or could not be run there: what to tell.
pub(super) fn run(name: &str) -> Result<(), String> {
    let told = start(name).map_err(|error| {
        format!(
            "the test wants its footprint looked at, and a process of its own can't be had for it: {error}"
        )
    })?;
    // libtest keeps it with this test's output, and shows it if that fails.
    contain(|| print!("{}", without_summary(&told.out)));
    contain(|| eprint!("{}", told.err));
    match (told.status.success(), told.out.contains("test result: ok. 1 passed;")) {
        (true, true) => Ok(()),
        (true, false) => Err(format!(
            "the test wants its footprint looked at, and in a process of its own there is no test `{name}`; is it \
             called by another one?"
        )),
        (false, _) => Err(format!(
            "the test failed in a process of its own, where its footprint is looked at: {}; what it said is above",
            told.status
        )),
    }
}

/// What libtest says of a run of one test says nothing here, and would be taken for this run's.
fn without_summary(out: &str) -> &str {
    let out = out.strip_prefix("\nrunning 1 test\n").unwrap_or(out);
    let end = out.rfind("\n\nfailures:\n\nfailures:\n").or_else(|| out.rfind("\n\ntest result: "));
    end.map_or(out, |end| &out[..=end])
}

struct Told {
    status: ExitStatus,
    out: String,
    err: String,
}

fn start(name: &str) -> io::Result<Told> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([name, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let out = child.stdout.take().map(Collected::new).transpose()?;
    let err = child.stderr.take().map(Collected::new).transpose()?;
    let status = child.wait()?;
    let latest = Instant::now() + LATE;
    let text = |it: Option<Collected>| it.map(|it| it.by(latest)).unwrap_or_default();
    Ok(Told { status, out: text(out), err: text(err) })
}

/// What comes out of a pipe, read on a thread that may be left behind.
struct Collected {
    read: Arc<Lock<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Collected {
    fn new(mut pipe: impl Read + Send + 'static) -> io::Result<Collected> {
        let read = Arc::new(Lock::new(Vec::new()));
        let (end, ended) = mpsc::channel::<()>();
        let there = read.clone();
        let collect = move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut part) {
                there.lock().extend_from_slice(&part[..count]);
            }
            drop(end);
        };
        thread::Builder::new().name("castoff-output".into()).spawn(collect)?;
        Ok(Collected { read, ended })
    }

    fn by(self, latest: Instant) -> String {
        // Nothing is ever sent: it ends, or it is late.
        self.ended.recv_timeout(latest.saturating_duration_since(Instant::now())).unwrap_or(());
        String::from_utf8_lossy(&self.read.lock()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(line: &str) -> bool {
        names_only(line.split_whitespace().map(String::from), "orders::insert")
    }

    #[test]
    fn a_command_line_that_names_one_test_exactly_leaves_no_other() {
        assert!(alone("orders::insert --exact"));
        assert!(alone("--nocapture --exact orders::insert --include-ignored"));
        assert!(alone("--exact --test-threads 8 orders::insert --format pretty"));
        assert!(alone("--exact --skip other orders::insert"));
    }

    #[test]
    fn what_libtest_says_around_a_test_is_left_out() {
        let passed =
            "\nrunning 1 test\ntest a ... it said this\nok\n\ntest result: ok. 1 passed; 0 failed\n\n";
        assert_eq!(without_summary(passed), "test a ... it said this\nok\n");
        let failed = "\nrunning 1 test\ntest a ... FAILED\n\nfailures:\n\nfailures:\n    a\n\ntest result: FAILED.\n\n";
        assert_eq!(without_summary(failed), "test a ... FAILED\n");
        assert_eq!(without_summary("of another harness"), "of another harness");
    }

    #[test]
    fn any_other_may_run_others_as_well() {
        for line in [
            "",
            "orders::insert",
            "--exact",
            "--test-threads=1",
            "--exact orders",
            "--exact orders::insert orders::delete",
            "--exact --skip orders::insert",
        ] {
            assert!(!alone(line), "{line}");
        }
    }
}
