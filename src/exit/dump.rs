//! [`dump_on`]: a signal that asks a running program what leaks.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::thread;

use crate::exit::end::root;
use crate::exit::sys;
use crate::leak;
use crate::sync::Lock;
use crate::unwind::contain;

/// Signals that a fault raises: a handler that returns from one comes to the same fault again.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

static STATE: Lock<State> = Lock::new(State { active: None, questions: None });

struct State {
    /// In which process, and by which signal: a forked child has to begin anew.
    active: Option<(u32, i32, sys::Asking)>,
    /// In which process somebody answers what comes in here.
    questions: Option<(u32, &'static PipeWriter)>,
}

/// From now on this signal makes the process say on stderr what leaks, and go on: the
/// [`leak_report`](crate::ResourceManager::leak_report) of the global manager and all below it, less what the
/// allow-list in the variable `CASTOFF_LEAKS_ALLOW` allows. SIGUSR1 is the usual choice: `kill -USR1 PID`.
///
/// A thread of castoff's own looks and writes, so nothing is stopped and whatever the signal interrupted goes on. It
/// is started by the first call, and sleeps from then until the process ends. Signals that come while a report is
/// still to be begun are answered by that one. What a manager keeps for less than its
/// [`leak_after`](crate::ManagerConfig::leak_after) is left out; with the default, zero, all that is live is told.
///
/// In a forked child the signal does nothing, until the child calls this itself. Isolated managers are in no report.
///
/// # Errors
/// When the signal has a handler (nothing is changed then), or is one that a fault raises; when another call is in
/// force; when the system refuses a pipe, a thread or the signal.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let _dump = castoff::dump_on(libc::SIGUSR1)?;
/// let _guard = ResourceManager::global().guard("socket", || ());
/// // From a shell: kill -USR1 PID
/// # Ok::<(), castoff::DumpError>(())
/// ```
pub fn dump_on(signal: i32) -> Result<LeakDump, DumpError> {
    if FAULTS.contains(&signal) {
        return Err(DumpError::Fault { signal });
    }
    let process = std::process::id();
    let mut state = STATE.lock();
    match state.active.take() {
        Some(active) if active.0 == process => {
            let signal = active.1;
            state.active = Some(active);
            return Err(DumpError::AlreadyInstalled { signal });
        }
        // Inherited from a parent, whose thread did not come along.
        Some((_, _, asking)) => sys::ask_no_more(&asking),
        None => {}
    }
    let questions = answered(&mut state, process).map_err(|source| DumpError::System { signal, source })?;
    match sys::ask_on(signal, questions) {
        Ok(Some(asking)) => state.active = Some((process, signal, asking)),
        Ok(None) => return Err(DumpError::ForeignHandler { signal }),
        Err(source) => return Err(DumpError::System { signal, source }),
    }
    Ok(LeakDump { process, signal })
}

/// The end of a pipe at whose other end a thread of this process answers. Neither is ever closed: a handler that has
/// just begun may still write to it.
fn answered(state: &mut State, process: u32) -> io::Result<&'static PipeWriter> {
    if let Some((_, questions)) = state.questions.filter(|(owner, _)| *owner == process) {
        return Ok(questions);
    }
    let (reader, writer) = io::pipe()?;
    thread::Builder::new().name("castoff-dump".into()).spawn(move || answer(reader))?;
    let writer: &'static PipeWriter = Box::leak(Box::new(writer));
    state.questions = Some((process, writer));
    Ok(writer)
}

fn answer(mut questions: PipeReader) {
    // Its other end is never closed, so this reads until the process ends.
    while questions.read_exact(&mut [0]).is_ok() {
        let active = STATE.lock().active.as_ref().map(|(_, signal, _)| *signal);
        if let Some(signal) = active.filter(|_| sys::was_asked()) {
            // Listeners hear of leaks, and are foreign.
            contain(|| sys::write_stderr(&said(signal)));
        }
    }
}

fn said(signal: i32) -> String {
    match root() {
        Some(root) => format!("castoff: signal {signal}: {}\n", leak::now(root)),
        None => format!("castoff: signal {signal}: no leaks: nothing has been registered\n"),
    }
}

/// A signal prints what leaks as long as this lives; from [`dump_on`]. Dropped, it puts back what the signal did
/// before, where nobody has put something in front of it since.
///
/// # Examples
/// ```
/// let dump = castoff::dump_on(libc::SIGUSR2)?;
/// let again = castoff::dump_on(libc::SIGUSR2);
/// assert!(matches!(again, Err(castoff::DumpError::AlreadyInstalled { .. })));
///
/// drop(dump);
/// castoff::dump_on(libc::SIGUSR2)?.forget();
/// # Ok::<(), castoff::DumpError>(())
/// ```
#[must_use = "dropping it puts the signal back as it was; `forget` keeps it until the process ends"]
pub struct LeakDump {
    process: u32,
    signal: i32,
}

impl LeakDump {
    /// Keeps it until the process ends.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for LeakDump {
    fn drop(&mut self) {
        let mut state = STATE.lock();
        // One that a forked child has inherited is not the child's to end, once the child has one of its own.
        if let Some((_, _, asking)) = state.active.take_if(|(process, ..)| *process == self.process) {
            sys::ask_no_more(&asking);
        }
    }
}

impl fmt::Debug for LeakDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakDump").field("signal", &self.signal).finish_non_exhaustive()
    }
}

/// Why a signal can't be made to print what leaks: see [`dump_on`].
///
/// # Examples
/// ```
/// let refused = castoff::dump_on(libc::SIGSEGV);
/// assert!(matches!(refused, Err(castoff::DumpError::Fault { signal: libc::SIGSEGV })));
/// ```
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DumpError {
    /// Another call is in force.
    #[error("cannot print leaks on one more signal: signal {signal} does; drop its `LeakDump` first")]
    AlreadyInstalled {
        /// The signal that does it.
        signal: i32,
    },
    /// The program handles the signal itself, or another crate does.
    #[error(
        "cannot print leaks on signal {signal}: it has a handler, which was left as it is; take another \
         signal, or call `leak_report` from a thread that the handler wakes"
    )]
    ForeignHandler {
        /// The signal's number.
        signal: i32,
    },
    /// A fault raises it: the program can't go on after it.
    #[error("cannot print leaks on signal {signal}: a fault raises it; take SIGUSR1 or SIGUSR2")]
    Fault {
        /// The signal's number.
        signal: i32,
    },
    /// The system refused a pipe, a thread, or this signal.
    #[error("cannot print leaks on signal {signal}: the system refused; is it a signal that can be caught?")]
    System {
        /// The signal's number.
        signal: i32,
        /// What it said.
        #[source]
        source: io::Error,
    },
}
