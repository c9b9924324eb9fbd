//! Whoever wants to know when a process ends, and does not own it.
//!
//! The thread waits for two descriptors: one that stands for the process, and one of a pair that the cleanup shuts. Where
//! nothing stands for a process (Linux before 5.4, other systems), it looks from time to time.
//!
//! A pair of sockets and not a pipe: it is shut also where a forked child has the other end, and nobody has to write to
//! one whose reader has gone, at which a program may die.
//!
//! Invariant: the thread ends once the pair is shut, after at most one call, and the cleanup waits for it. What has ended
//! before the cleanup is told for certain: the process is looked at before the pair.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::child::ChildProcess;
#[cfg(target_os = "linux")]
use super::leader::status_by;
use super::leader::{Leader, Seen};
use crate::adapters::held::Held;
use crate::adapters::joined::join;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long until the next look, where there is no descriptor to wait for.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls a closure when a process ends, on a thread of its own.
///
/// It goes by handle: by a descriptor for the process (a pidfd), never by its number, which may be another's by then. It
/// neither ends the process nor reaps it: a [`ChildProcess`] has its own guard for that. Make the monitor depend on the
/// child, and it is cleaned first: the end that the teardown brings about is not told. Make the child depend on the
/// monitor, and it is.
///
/// An end before the cleanup is told, and the cleanup waits for that: after it there is no call. On the monitor's own
/// thread (a call that ends its monitor) it does not wait. A closure that panicked fails the cleanup. One that hangs is left
/// alone at the cleanup's timeout; there is no last resort.
///
/// Dropped without a guard it stops too, but does not wait.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::{ChildProcess, ProcessMonitor};
/// use std::process::Command;
/// use std::sync::mpsc;
///
/// let manager = ResourceManager::new("jobs");
/// let job = manager.adopt(ChildProcess::spawn(&mut Command::new("true"))?);
/// let (tell, told) = mpsc::channel();
/// let monitor = ProcessMonitor::of(&job, move |status| drop(tell.send(status)))?;
/// let monitor = manager.resource("job monitor").depends_on(&job).adopt(monitor)?;
///
/// assert!(told.recv()?.is_some_and(|status| status.success()));
/// assert!(manager.cleanup().is_success());
/// assert!(monitor.is_over());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a monitor that is dropped stops"]
pub struct ProcessMonitor {
    label: Label,
    over: Arc<AtomicBool>,
    /// The pair's other end, and the thread, until a cleanup ends them.
    stop: Held<UnixStream>,
    thread: Held<JoinHandle<()>>,
}

impl ProcessMonitor {
    /// Calls the closure once when this child has ended, with how; `None` if somebody else has reaped it, who knows then. It
    /// is called at once for one that has ended already. What the child has started may run on.
    ///
    /// # Errors
    /// When the system has no descriptors or no thread for it.
    pub fn of(
        child: &ChildProcess,
        f: impl FnOnce(Option<ExitStatus>) + Send + 'static,
    ) -> io::Result<ProcessMonitor> {
        let leader = child.leader();
        let process = Process { handle: leader.handle()?, leader: Arc::downgrade(leader) };
        ProcessMonitor::start(format!("monitor of {}", child.label()), process, f)
    }

    /// Calls the closure once when the process has ended that this descriptor stands for, child or not: a pidfd, as
    /// pidfd_open(2) makes it. Whoever opens one by a number has to know that the number is still that of the process.
    ///
    /// How it ended is told to nobody but its parent.
    ///
    /// # Errors
    /// When the system has no descriptors or no thread for it.
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use castoff::adapters::ProcessMonitor;
    /// use rustix::process::{PidfdFlags, getpid, pidfd_open};
    ///
    /// let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    /// let monitor = ProcessMonitor::of_pidfd(this_process, || unreachable!("it runs"))?;
    /// let _monitor = ResourceManager::new("jobs").adopt(monitor);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(target_os = "linux")]
    pub fn of_pidfd(pidfd: OwnedFd, f: impl FnOnce() + Send + 'static) -> io::Result<ProcessMonitor> {
        let process = Process { handle: Some(pidfd), leader: Weak::new() };
        ProcessMonitor::start("process monitor".to_owned(), process, |_| f())
    }

    /// Under this label instead of what it watches.
    pub fn labelled(mut self, label: impl Into<Label>) -> ProcessMonitor {
        self.label = label.into();
        self
    }

    /// Whether no call will begin any more: it was cleaned, or the process has ended and the call has returned.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn start(
        label: String,
        process: Process,
        f: impl FnOnce(Option<ExitStatus>) + Send + 'static,
    ) -> io::Result<ProcessMonitor> {
        let (stopped, stop) = UnixStream::pair()?;
        let over = Arc::new(AtomicBool::new(false));
        let there = Over(Arc::clone(&over));
        let thread = Builder::new().name("process monitor".to_owned()).spawn(move || {
            let _over = there;
            if process.has_ended_before(&stopped) {
                f(process.status());
            }
        })?;
        let (stop, thread) = (Held::new(stop), Held::new(thread));
        Ok(ProcessMonitor { label: Label::from(label), over, stop, thread })
    }
}

/// What is watched.
struct Process {
    /// Readable once it has ended. `None` where the system has no such thing.
    handle: Option<OwnedFd>,
    /// Who knows how a child has ended that was reaped, as long as anybody has it.
    leader: Weak<Leader>,
}

impl Process {
    /// Waits until it has ended, or until the other end of the pair is shut. Whether it has ended.
    fn has_ended_before(&self, stopped: &UnixStream) -> bool {
        let mut pause = self.handle.is_none().then_some(Duration::ZERO);
        loop {
            let mut both = vec![PollFd::new(stopped, PollFlags::IN)];
            both.extend(self.handle.as_ref().map(|handle| PollFd::new(handle, PollFlags::IN)));
            match poll(&mut both, pause.and_then(|pause| Timespec::try_from(pause).ok()).as_ref()) {
                Ok(_) => (),
                Err(Errno::INTR) => continue,
                // Nothing can be told of what can't be waited for.
                Err(_) => return false,
            }
            let is_ready = |at: usize| both.get(at).is_some_and(|fd| !fd.revents().is_empty());
            let is_running = match self.handle {
                Some(_) => !is_ready(1),
                // If nobody has it any more, nobody will know.
                None => match self.look() {
                    Some(seen) => seen == Seen::Running,
                    None => return false,
                },
            };
            if !is_running || is_ready(0) {
                return !is_running;
            }
            pause = pause.map(|_| PAUSE);
        }
    }

    /// How it ended. By the leader only once it is reaped: whoever takes the child back has to be the only one who has it.
    fn status(&self) -> Option<ExitStatus> {
        #[cfg(target_os = "linux")]
        if let Some(status) = self.handle.as_ref().and_then(status_by) {
            return Some(status);
        }
        match self.look() {
            Some(Seen::Ended(status)) => Some(status),
            _ => None,
        }
    }

    fn look(&self) -> Option<Seen> {
        self.leader.upgrade()?.look().ok()
    }
}

fn shut(stop: &Held<UnixStream>) {
    // One whose thread has ended has nobody to tell.
    stop.take().map(|stop| stop.shutdown(Shutdown::Both).ok());
}

/// Says so when the thread is done, by a panic too.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Resource for ProcessMonitor {
    const CATEGORY: Category = Category::Process;

    /// What it watches: `monitor of sleep (pid 4321)`.
    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (stop, thread) = (self.stop.clone(), self.thread.clone());
        Cleanup::sync(move || {
            shut(&stop);
            thread.take().map_or(Ok(()), |thread| join("monitor", thread))
        })
    }
}

impl Drop for ProcessMonitor {
    fn drop(&mut self) {
        shut(&self.stop);
    }
}

impl fmt::Debug for ProcessMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessMonitor")
            .field("label", &self.label)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A child that is watched without a descriptor for it, as on systems that have none.
    fn without_handle() -> (ChildProcess, Process) {
        let child = ChildProcess::spawn(Command::new("sleep").arg("600")).expect("sleep is there");
        let process = Process { handle: None, leader: Arc::downgrade(child.leader()) };
        (child, process)
    }

    fn end(child: &ChildProcess) {
        let leader = child.leader();
        leader.signal(rustix::process::Signal::KILL).expect("it is ours");
        assert!(leader.ends_within(Duration::from_secs(10)).expect("it is ours"));
    }

    #[test]
    fn without_a_descriptor_the_end_is_seen_by_looking_and_before_and_after_the_reap() {
        let (child, process) = without_handle();
        let (stopped, _stop) = UnixStream::pair().expect("a pair");
        let watching = std::thread::spawn(move || {
            assert!(process.has_ended_before(&stopped));
            process
        });
        end(&child);
        let process = watching.join().expect("it saw the end");
        assert_eq!(process.status().map(|status| status.to_string()).as_deref(), Some("signal: 9 (SIGKILL)"));
        child.leader().reap().expect("it has ended");
        let (stopped, _stop) = UnixStream::pair().expect("a pair");
        assert!(process.has_ended_before(&stopped));
        assert!(process.status().is_some());
    }

    #[test]
    fn without_a_descriptor_a_stop_is_seen_and_a_child_that_nobody_has_any_more_has_no_end() {
        let (child, process) = without_handle();
        let (stopped, stop) = UnixStream::pair().expect("a pair");
        stop.shutdown(Shutdown::Both).expect("it is open");
        assert!(!process.has_ended_before(&stopped));
        // Where both are there, what has ended is told.
        end(&child);
        assert!(process.has_ended_before(&stopped));

        child.leader().reap().expect("it has ended");
        drop(child);
        let (stopped, _stop) = UnixStream::pair().expect("a pair");
        assert!(!process.has_ended_before(&stopped));
    }
}
