//! A log that is written by a thread of its own.
//!
//! tracing-appender's `WorkerGuard` waits when it is dropped: 0.1 s for room in the queue, then 1 s until the thread has
//! written what was queued. It tells nobody whether it has, nor of errors. So its writer is wrapped here: it notes the
//! first error, and its drop, by the thread as the last that it does, says that all is written.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::adapters::held::Held;
use crate::adapters::pause::before_it_is_given_up;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long the thread is waited for, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(4);

/// How long tracing-appender waits until what was queued is written.
const ITS_OWN: Duration = Duration::from_secs(1);

/// The writer of a log by tracing-appender: what is queued is written, and its thread ends.
///
/// Log lines are queued, and written by a thread. What is still in the queue when the process ends is lost, unless somebody
/// waits for the thread: this cleanup does, for 4 s. An error of the writer, in the cleanup or long before, fails it:
/// otherwise nobody would hear of it.
///
/// It has to be the last of all that logs. Adopt it first: the newest is cleaned first. Where that does not decide, let what
/// logs depend on it, or give it [`Priority::Low`](crate::Priority::Low). A line after that is lost: refused, or counted by
/// [`NonBlocking::error_counter`], but for one in the moment in which the thread ends.
///
/// A writer that hangs (a full pipe, a dead file server) is left alone after the grace, which is an error, and goes on when
/// it can. There is no last resort: what it holds back can't be had. A queue that is full for 0.1 s when it is to end, so
/// that tracing-appender can't even say so, is the same: the thread goes on, and ends with the last [`NonBlocking`].
///
/// # Examples
/// ```
/// use castoff::adapters::LogWriter;
/// use castoff::{Priority, ResourceManager};
/// use std::io::Write;
///
/// let path = std::env::temp_dir().join(format!("castoff-doc-log-{}", std::process::id()));
/// let manager = ResourceManager::new("service");
/// let (mut lines, log) = LogWriter::new(std::fs::File::create(&path)?);
/// let _log = manager.resource("log").priority(Priority::Low).adopt(log)?;
/// // tracing_subscriber::fmt().with_writer(lines).init();
/// writeln!(lines, "ready")?;
///
/// assert!(manager.cleanup().is_success());
/// assert_eq!(std::fs::read_to_string(&path)?, "ready\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "what is queued is written when it is dropped: adopt it"]
pub struct LogWriter {
    label: Label,
    grace: Duration,
    guard: Held<WorkerGuard>,
    /// `None` of a guard that was made elsewhere.
    written: Option<Arc<Written>>,
}

impl LogWriter {
    /// Starts the thread, with what tracing-appender takes for usual: a queue of 128 000 lines, and lines that find it full
    /// are lost.
    ///
    /// # Panics
    /// When the system has no thread for it, as `tracing_appender::non_blocking` does.
    pub fn new(writer: impl Write + Send + 'static) -> (NonBlocking, LogWriter) {
        LogWriter::build(NonBlockingBuilder::default(), writer)
    }

    /// The same with settings of your own.
    ///
    /// # Panics
    /// When the system has no thread for it, as `tracing_appender::non_blocking` does.
    ///
    /// # Examples
    /// ```
    /// use castoff::adapters::LogWriter;
    /// use castoff::{ResourceGuard, ResourceManager};
    /// use tracing_appender::non_blocking::NonBlockingBuilder;
    ///
    /// let (lines, log) = LogWriter::build(NonBlockingBuilder::default().lossy(false), std::io::sink());
    /// let log = ResourceManager::new("service").adopt(log);
    /// drop(lines);
    /// assert!(ResourceGuard::close(log).is_ok());
    /// ```
    pub fn build(
        builder: NonBlockingBuilder,
        writer: impl Write + Send + 'static,
    ) -> (NonBlocking, LogWriter) {
        let written = Arc::new(Written::default());
        let (lines, guard) = builder.finish(Told { writer, account: Account(Arc::clone(&written)) });
        (lines, LogWriter { written: Some(written), ..LogWriter::from(guard) })
    }

    /// How long the thread is waited for: 4 s unless said otherwise, never longer than nine tenths of what the cleanup's
    /// timeout leaves. tracing-appender's own 1.1 s are waited for anyway.
    pub fn grace(self, grace: Duration) -> LogWriter {
        LogWriter { grace, ..self }
    }

    /// Under this label instead of `log`.
    pub fn labelled(self, label: impl Into<Label>) -> LogWriter {
        LogWriter { label: label.into(), ..self }
    }
}

impl From<WorkerGuard> for LogWriter {
    /// A guard that was made elsewhere. It knows nothing of its writer: errors are not told, and if the end takes a second
    /// the cleanup can only say that something may be missing.
    fn from(guard: WorkerGuard) -> LogWriter {
        LogWriter { label: Label::from("log"), grace: GRACE, guard: Held::new(guard), written: None }
    }
}

impl Resource for LogWriter {
    const CATEGORY: Category = Category::Event;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (guard, written, grace) = (self.guard.clone(), self.written.clone(), self.grace);
        Cleanup::with_context(move |cx| {
            let start = Instant::now();
            let Some(guard) = guard.take() else { return Ok(()) };
            let limit = start + before_it_is_given_up(grace, cx.deadline());
            drop(guard);
            match written {
                Some(written) => written.all_by(limit, start),
                None if start.elapsed() < ITS_OWN => Ok(()),
                None => Err(held_back(start)),
            }
        })
    }
}

fn held_back(start: Instant) -> String {
    let waited = start.elapsed();
    format!(
        "the log's writer had not ended after {waited:.1?}: what is still queued may be lost if the process ends"
    )
}

/// A writer that keeps account.
struct Told<W> {
    writer: W,
    /// The last field: dropped when the writer has been.
    account: Account,
}

struct Account(Arc<Written>);

impl Drop for Account {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.note::<()>(Err(io::Error::other("it panicked, and its thread has ended"))).ok();
        }
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

#[derive(Default)]
struct Written {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    errors: u64,
    first: Option<io::Error>,
}

impl Written {
    fn all_by(&self, limit: Instant, start: Instant) -> Result<(), String> {
        let state = self.state();
        let left = limit.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, |state| !state.ended);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (state.first.take(), state.ended) {
            (Some(first), _) => {
                Err(format!("errors in writing the log: {}, at first: {first}", state.errors))
            }
            (None, true) => Ok(()),
            (None, false) => Err(held_back(start)),
        }
    }

    fn note<R>(&self, result: io::Result<R>) -> io::Result<R> {
        result.inspect_err(|error| {
            // The thread itself looks no further than that there is one.
            let copy = io::Error::new(error.kind(), error.to_string());
            let mut state = self.state();
            state.errors += 1;
            state.first.get_or_insert(copy);
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The thread calls `write_all`, not `write`.
impl<W: Write> Write for Told<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.account.0.note(self.writer.write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.account.0.note(self.writer.flush())
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter")
            .field("label", &self.label)
            .field("grace", &self.grace)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
