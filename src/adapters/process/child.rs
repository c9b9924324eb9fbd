//! A child process, with all that it has started.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use super::end::{ChildError, end, kill};
use super::leader::{Leader, Owned, Seen};
use crate::adapters::pause::{Pause, before_it_is_given_up};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long a child is waited for after SIGTERM, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// A child process: asked to end by SIGTERM, after a grace of 5 s killed, and reaped.
///
/// [`spawn`](ChildProcess::spawn) starts it in a process group of its own, and the group is ended with it: what the
/// child has started, and what outlives it. `ChildProcess::from(child)` takes a child that runs already, and ends that
/// child alone.
///
/// Its number is never used when it may be another's: the child stays a zombie until its cleanup reaps it, also after
/// [`wait`](ChildProcess::wait), and on Linux a descriptor (a pidfd) stands for it until then.
///
/// One that has ended before is just reaped, which is a success unless [`must_succeed`](ChildProcess::must_succeed) was
/// asked for. One that outlasts its grace is an error of the cleanup, and the last resort kills it.
///
/// # What it does not do
/// - What has left the group (`setsid`, a daemon) is not ended with it.
/// - In a group of its own a child gets no Ctrl-C from the terminal; it gets castoff's SIGTERM instead, in its turn.
/// - Other than on Linux, what is left of the group when the child has ended is killed without grace.
/// - A SIGKILL to this process leaves the child behind.
///
/// # Examples
/// ```
/// use castoff::adapters::ChildProcess;
/// use castoff::ResourceManager;
/// use std::process::Command;
///
/// let manager = ResourceManager::new("fixtures");
/// let server = manager.adopt(ChildProcess::spawn(Command::new("sleep").arg("60"))?);
/// assert_eq!(server.exit_status()?, None);
///
/// assert!(manager.cleanup().is_success()); // SIGTERM, and it ended
/// assert_eq!(server.exit_status()?.map(|status| status.to_string()), Some("signal: 15 (SIGTERM)".to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a child that is dropped goes on running: adopt it"]
pub struct ChildProcess {
    /// The pipe to its standard input, if there is one: to be taken, as of a [`Child`].
    pub stdin: Option<ChildStdin>,
    /// The pipe from its standard output.
    pub stdout: Option<ChildStdout>,
    /// The pipe from its standard error.
    pub stderr: Option<ChildStderr>,
    name: Label,
    pid: u32,
    grace: Duration,
    must_succeed: bool,
    leader: Arc<Leader>,
}

impl ChildProcess {
    /// Starts a command in a process group of its own. Output pipes and the rest are as the command says.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<ChildProcess> {
        let child = command.process_group(0).spawn()?;
        Ok(ChildProcess::new(child, program(command.get_program()), true, None))
    }

    /// With its status if it has been reaped.
    fn new(mut child: Child, name: Label, group: bool, status: Option<ExitStatus>) -> ChildProcess {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = child.id();
        ChildProcess {
            stdin,
            stdout,
            stderr,
            ..ChildProcess::owning(Owned::Std(child), pid, name, group, status)
        }
    }

    fn owning(child: Owned, pid: u32, name: Label, group: bool, status: Option<ExitStatus>) -> ChildProcess {
        let raw = pid.try_into().ok().and_then(Pid::from_raw).expect("the system numbers children from 1 up");
        let leader = Arc::new(Leader::new(child, raw, group, status));
        let (stdin, stdout, stderr) = (None, None, None);
        ChildProcess { stdin, stdout, stderr, name, pid, grace: GRACE, must_succeed: false, leader }
    }

    /// How long it is waited for after SIGTERM: 5 s unless said otherwise, never longer than nine tenths of what the
    /// cleanup's timeout leaves. Zero sends SIGKILL at once.
    pub fn grace(self, grace: Duration) -> ChildProcess {
        ChildProcess { grace, ..self }
    }

    /// Makes it an error of the cleanup if the child has ended by then with anything but success.
    pub fn must_succeed(self) -> ChildProcess {
        ChildProcess { must_succeed: true, ..self }
    }

    /// Its number. Of use as long as the child is not reaped: while its guard is held, and no teardown has run.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// If somebody else has reaped it, who knows then.
    pub fn exit_status(&self) -> io::Result<Option<ExitStatus>> {
        match self.leader.look()? {
            Seen::Running => Ok(None),
            Seen::Ended(status) => Ok(Some(status)),
            Seen::Lost => Err(io::Error::from(rustix::io::Errno::CHILD)),
        }
    }

    /// Waits for its end, and leaves it a zombie for the cleanup to reap. Its standard input is closed first, as
    /// [`Child::wait`] does.
    ///
    /// # Errors
    /// If somebody else has reaped it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let mut pause = Pause::default();
        loop {
            match self.exit_status()? {
                Some(status) => return Ok(status),
                None => thread::sleep(pause.next()),
            }
        }
    }

    /// The same, awaited. It looks again and again, every 20 ms at least.
    ///
    /// # Errors
    /// If somebody else has reaped it.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    /// Cancelled, it has closed standard input, and nothing else.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use castoff::adapters::ChildProcess;
    /// use castoff::ResourceManager;
    ///
    /// let child = ChildProcess::spawn(&mut std::process::Command::new("true"))?;
    /// let mut child = ResourceManager::new("jobs").adopt(child);
    /// assert!(child.wait_async().await?.success());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn wait_async(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let mut pause = Pause::default();
        loop {
            match self.exit_status()? {
                Some(status) => return Ok(status),
                None => tokio::time::sleep(pause.next()).await,
            }
        }
    }

    /// Who looks at it, and reaps it.
    pub(super) fn leader(&self) -> &Arc<Leader> {
        &self.leader
    }

    /// The child itself, with the pipes that were not taken. `None` if its cleanup has reaped it, or may yet; and for
    /// one of tokio's.
    pub fn into_inner(self) -> Option<Child> {
        match Arc::into_inner(self.leader)?.into_child()? {
            Owned::Std(mut child) => {
                (child.stdin, child.stdout, child.stderr) = (self.stdin, self.stdout, self.stderr);
                Some(child)
            }
            #[cfg(feature = "tokio-process")]
            Owned::Tokio(_) => None,
        }
    }
}

impl From<Child> for ChildProcess {
    /// This child alone, without what it has started: nobody can know whether its group is its own.
    fn from(mut child: Child) -> ChildProcess {
        // One that has been waited for has no number any more.
        let status = child.try_wait().ok().flatten();
        ChildProcess::new(child, Label::from("child"), false, status)
    }
}

#[cfg(feature = "tokio-process")]
impl TryFrom<tokio::process::Child> for ChildProcess {
    type Error = io::Error;

    /// This child alone. Its pipes have to be taken before: they are tokio's.
    ///
    /// For a whole group there is [`ChildProcess::spawn`] with `command.as_std_mut()`, and tokio's `ChildStdout::from_std`
    /// and its like for the pipes.
    ///
    /// # Errors
    /// If it has been waited for already.
    fn try_from(child: tokio::process::Child) -> io::Result<ChildProcess> {
        let reaped = || io::Error::new(io::ErrorKind::InvalidInput, "the child has been waited for already");
        let pid = child.id().ok_or_else(reaped)?;
        Ok(ChildProcess::owning(Owned::Tokio(Box::new(child)), pid, Label::from("child"), false, None))
    }
}

/// The name of a program without its folder. Never its arguments: they may be secret.
fn program(path: &OsStr) -> Label {
    Label::from(Path::new(path).file_name().unwrap_or(path).to_string_lossy().into_owned())
}

impl Resource for ChildProcess {
    const CATEGORY: Category = Category::Process;

    /// The program with its number: `sleep (pid 4321)`.
    fn label(&self) -> Label {
        Label::from(format!("{} (pid {})", self.name, self.pid))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (grace, must_succeed, label) = (self.grace, self.must_succeed, self.label());
        let (leader, last) = (Arc::clone(&self.leader), Arc::clone(&self.leader));
        Cleanup::with_context(move |cx| {
            if must_succeed
                && let Seen::Ended(status) = leader.look()?
                && !status.success()
            {
                leader.reap()?;
                return Err(ChildError::Ended { label, status }.into());
            }
            end(&leader, before_it_is_given_up(grace, cx.deadline()), label)
        })
        .last_resort(move || kill(&last))
    }
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildProcess")
            .field("program", &self.name)
            .field("pid", &self.pid)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
