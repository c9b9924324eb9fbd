//! Helper threads, which wait a while for more when they are done: to wake one takes a tenth of the time that it takes to
//! start one.
//!
//! A thread that is idle is in the list, and whoever takes it out of there gives it something to do. It is the thread's
//! own affair to leave the list when nobody has come; when it finds itself taken out, somebody is about to.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::fork;
use crate::sync::Lock;

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread waits for more: as long as castoff's runtime does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many wait at once, at most. Under an explorer of interleavings no time passes, and nobody waits for some.
const MOST: usize = if cfg!(castoff_explored) { 0 } else { 16 };

static IDLE: Lock<Vec<Arc<Seat>>> = Lock::new(Vec::new());

/// Where an idle thread waits.
struct Seat {
    name: &'static str,
    /// In a forked child the threads of its parent are gone, and their seats are not.
    era: u32,
    job: Mutex<Option<Job>>,
    called: Condvar,
}

/// Runs it on an idle thread of this name, or on a new one.
///
/// # Errors
/// When there is neither.
pub(super) fn run(name: &'static str, job: Job) -> io::Result<()> {
    let Some(seat) = idle(name) else {
        return thread::Builder::new().name(name.into()).spawn(move || serve(name, job)).map(drop);
    };
    *seat.job() = Some(job);
    seat.called.notify_one();
    Ok(())
}

/// Takes an idle thread of this name out of the list.
fn idle(name: &str) -> Option<Arc<Seat>> {
    // Not waited for: in a forked child somebody may have it who is not there any more.
    let mut idle = IDLE.try_lock()?;
    let era = fork::era();
    let at = idle.iter().rposition(|seat| seat.name == name && seat.era == era)?;
    Some(idle.swap_remove(at))
}

fn serve(name: &'static str, first: Job) {
    first();
    let seat = Arc::new(Seat { name, era: fork::era(), job: Mutex::new(None), called: Condvar::new() });
    while let Some(job) = seat.wait() {
        job();
    }
}

impl Seat {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing to do, if somebody comes with it in time.
    fn wait(self: &Arc<Seat>) -> Option<Job> {
        {
            let mut idle = IDLE.try_lock()?;
            idle.retain(|seat| seat.era == self.era);
            if idle.len() >= MOST {
                return None;
            }
            idle.push(self.clone());
        }
        let none = |job: &mut Option<Job>| job.is_none();
        let waited = self.called.wait_timeout_while(self.job(), PATIENCE, none);
        let (mut job, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if job.is_none() && !self.leave() {
            job = self.called.wait_while(job, none).unwrap_or_else(PoisonError::into_inner);
        }
        job.take()
    }

    /// Leaves the list. False: somebody has taken this out of it.
    fn leave(&self) -> bool {
        let mut idle = IDLE.lock();
        let at = idle.iter().position(|seat| std::ptr::eq(&**seat, self));
        at.map(|at| idle.swap_remove(at)).is_some()
    }
}
