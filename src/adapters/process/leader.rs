//! A child that nobody reaps before its cleanup does, and the group that it leads.
//!
//! As long as a child is not reaped, running or a zombie, the kernel gives its number to no other process and to no
//! other group. So all looks are made without reaping (`WNOWAIT`), all signals are sent before the reap and under the
//! lock that it needs, and the number is the child's whenever it is used.
//!
//! Somebody else may reap behind our back: a `waitpid(-1)` elsewhere, an ignored SIGCHLD. A look before each signal
//! notices, and the child is no longer ours then. On Linux looks are made by a descriptor of the child, as the number may
//! have gone to another child of ours.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use crate::adapters::pause::ends_within;

/// Who can reap it.
#[derive(Debug)]
pub(super) enum Owned {
    Std(Child),
    #[cfg(feature = "tokio-process")]
    Tokio(Box<tokio::process::Child>),
}

impl Owned {
    /// Reaps it. Only for what has ended: this waits.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        match self {
            Owned::Std(child) => child.wait(),
            #[cfg(feature = "tokio-process")]
            Owned::Tokio(child) => {
                child.try_wait()?.ok_or_else(|| io::Error::other("it has ended, and tokio can't reap it"))
            }
        }
    }
}

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    Running,
    /// It is a zombie, or was reaped here.
    Ended(ExitStatus),
    /// Somebody else has reaped it: its number may be another's.
    Lost,
}

#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    /// Whether it leads a group of its own.
    group: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Owned>,
    handle: Handle,
    /// Set once it has been reaped.
    status: Option<ExitStatus>,
}

/// By what it is looked at: a pidfd where the system has them, until the reap.
#[derive(Debug)]
struct Handle {
    pid: Pid,
    #[cfg(target_os = "linux")]
    fd: Option<OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Handle {
    fn none(pid: Pid) -> Handle {
        Handle { pid, fd: None }
    }

    fn open(pid: Pid) -> Handle {
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        // Linux 5.3 can open one, but not wait by it.
        let fd = fd.filter(|fd| !matches!(look_by(WaitId::PidFd(fd.as_fd())), Err(Errno::INVAL)));
        Handle { pid, fd }
    }

    fn look(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        look_by(self.fd.as_ref().map_or(WaitId::Pid(self.pid), |fd| WaitId::PidFd(fd.as_fd())))
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        match &self.fd {
            Some(fd) => rustix::process::pidfd_send_signal(fd, signal),
            None => rustix::process::kill_process(self.pid, signal),
        }
    }

    fn close(&mut self) {
        self.fd = None;
    }

    fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        self.fd.as_ref().map(OwnedFd::try_clone).transpose()
    }
}

#[cfg(not(target_os = "linux"))]
impl Handle {
    fn none(pid: Pid) -> Handle {
        Handle { pid }
    }

    fn open(pid: Pid) -> Handle {
        Handle { pid }
    }

    fn look(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        look_by(WaitId::Pid(self.pid))
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        rustix::process::kill_process(self.pid, signal)
    }

    fn close(&mut self) {}

    fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        Ok(None)
    }
}

/// How the child ended that this descriptor stands for. `None` while it runs, once it is reaped, and of what is no child.
#[cfg(target_os = "linux")]
pub(super) fn status_by(pidfd: &OwnedFd) -> Option<ExitStatus> {
    look_by(WaitId::PidFd(pidfd.as_fd())).ok().flatten().as_ref().map(status_of)
}

fn look_by(id: WaitId<'_>) -> rustix::io::Result<Option<WaitIdStatus>> {
    rustix::process::waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
}

impl Leader {
    /// Of a child that has not been reaped, or has with this status.
    pub(super) fn new(child: Owned, pid: Pid, group: bool, status: Option<ExitStatus>) -> Leader {
        let handle = if status.is_none() { Handle::open(pid) } else { Handle::none(pid) };
        Leader { pid, group, state: Mutex::new(State { child: Some(child), handle, status }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look(&self) -> io::Result<Seen> {
        self.look_at(&self.state())
    }

    fn look_at(&self, state: &State) -> io::Result<Seen> {
        if let Some(status) = state.status {
            return Ok(Seen::Ended(status));
        }
        match state.handle.look() {
            Ok(None) | Err(Errno::INTR) => Ok(Seen::Running),
            Ok(Some(ended)) => Ok(Seen::Ended(status_of(&ended))),
            Err(Errno::CHILD) => Ok(Seen::Lost),
            Err(error) => Err(error.into()),
        }
    }

    /// A descriptor of its own for the child, where the system has them and it has not been reaped.
    pub(super) fn handle(&self) -> io::Result<Option<OwnedFd>> {
        self.state().handle.duplicate()
    }

    /// Sends a signal to it, and to its group if it leads one. Nothing if it is not ours any more.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let state = self.state();
        if state.status.is_some() || self.look_at(&state)? == Seen::Lost {
            return Ok(());
        }
        let sent = match self.group {
            true => rustix::process::kill_process_group(self.pid, signal),
            false => state.handle.signal(signal),
        };
        match sent {
            // A zombie alone in its group: some systems say so by one of these.
            Err(Errno::SRCH | Errno::PERM) if self.look_at(&state)? != Seen::Running => Ok(()),
            other => Ok(other?),
        }
    }

    /// Whether it or a member of its group runs.
    pub(super) fn is_alive(&self) -> io::Result<bool> {
        Ok(match self.look()? {
            Seen::Running => true,
            Seen::Ended(_) => self.state().status.is_none() && self.group && has_living(self.pid),
            Seen::Lost => false,
        })
    }

    /// Waits until all have ended, or for so long. Whether they have.
    pub(super) fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        ends_within(limit, || self.is_alive().map(|alive| !alive))
    }

    /// Reaps what has ended; what is left of its group is killed first, while the number is still the group's.
    pub(super) fn reap(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        let mut state = self.state();
        match self.look_at(&state)? {
            Seen::Running => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it runs although it was sent SIGKILL"))
            }
            Seen::Lost => {
                // Not reaped, as that goes by its number, which may be another's.
                drop(state.child.take());
                Ok(())
            }
            Seen::Ended(_) => {
                if let Some(mut child) = state.child.take() {
                    state.status = Some(child.reap()?);
                    state.handle.close();
                }
                Ok(())
            }
        }
    }

    /// The child, if nobody has reaped it. Only with no cleanup to come.
    pub(super) fn into_child(self) -> Option<Owned> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).child
    }
}

/// As `wait` would give it: the exit code in the second byte, a signal in the first, with a bit for a core.
fn status_of(ended: &WaitIdStatus) -> ExitStatus {
    const CORE: i32 = 0x80;
    let core = if ended.dumped() { CORE } else { 0 };
    let raw = ended.exit_status().map(|code| (code & 0xff) << 8);
    ExitStatus::from_raw(raw.or(ended.terminating_signal().map(|signal| signal | core)).unwrap_or(0))
}

/// Whether any process of this group runs, zombies left out. What can't be asked is taken to have ended.
#[cfg(target_os = "linux")]
fn has_living(group: Pid) -> bool {
    let group = group.as_raw_nonzero().to_string();
    let living = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // proc(5): pid (command) state parent group. The command may hold anything.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let (state, in_group) = (fields.next()?, fields.nth(1)?);
        (in_group == group && !matches!(state, "Z" | "X")).then_some(())
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| living(entry).is_some())
}

/// There is no list to look in: when its leader has ended, what is left of a group is killed.
#[cfg(not(target_os = "linux"))]
fn has_living(_: Pid) -> bool {
    false
}
