//! What exit hooks do: [`ExitOptions`], and its vocabulary.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::report::TeardownReport;

pub(super) type Before = Arc<dyn Fn(ExitSignal) + Send + Sync>;
pub(super) type After = Arc<dyn Fn(&TeardownReport) + Send + Sync>;

/// A signal that asks a process to end.
///
/// # Examples
/// ```
/// use castoff::ExitSignal;
/// assert_eq!(ExitSignal::Terminate.number(), 15);
/// assert_eq!(ExitSignal::Interrupt.to_string(), "SIGINT");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ExitSignal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: what `kill`, init systems and containers send.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
}

impl ExitSignal {
    pub(super) const ALL: [ExitSignal; 3] =
        [ExitSignal::Interrupt, ExitSignal::Terminate, ExitSignal::Hangup];

    /// Its number, the same on every Unix.
    pub fn number(self) -> i32 {
        match self {
            ExitSignal::Hangup => 1,
            ExitSignal::Interrupt => 2,
            ExitSignal::Terminate => 15,
        }
    }

    pub(super) fn numbered(number: i32) -> Option<ExitSignal> {
        ExitSignal::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

impl fmt::Display for ExitSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExitSignal::Interrupt => "SIGINT",
            ExitSignal::Terminate => "SIGTERM",
            ExitSignal::Hangup => "SIGHUP",
        })
    }
}

/// When the teardown of an ending process puts its report on stderr.
///
/// # Examples
/// ```
/// use castoff::{ExitOptions, ExitReporting};
/// let _quiet = ExitOptions::default().report(ExitReporting::Never);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ExitReporting {
    /// Never.
    Never,
    /// If not everything was cleaned.
    #[default]
    OnFailure,
    /// Always.
    Always,
}

/// How a process ends when a signal asks it to. See
/// [`install_exit_hooks`](crate::ResourceManager::install_exit_hooks).
///
/// # Examples
/// ```
/// use castoff::{ExitOptions, ExitReporting, ExitSignal};
/// use std::time::Duration;
///
/// let options = ExitOptions::default()
///     .signals([ExitSignal::Interrupt, ExitSignal::Terminate])
///     .drain(Duration::from_secs(5))
///     .deadline(Duration::from_secs(20))
///     .report(ExitReporting::Always);
/// ```
#[derive(Clone)]
pub struct ExitOptions {
    pub(super) signals: Vec<ExitSignal>,
    pub(super) drain: Duration,
    /// Else the manager's `shutdown_deadline`.
    pub(super) deadline: Option<Duration>,
    pub(super) before: Option<Before>,
    pub(super) after: Option<After>,
    pub(super) reporting: ExitReporting,
    pub(super) progress: bool,
}

impl Default for ExitOptions {
    fn default() -> ExitOptions {
        ExitOptions {
            signals: ExitSignal::ALL.into(),
            drain: Duration::ZERO,
            deadline: None,
            before: None,
            after: None,
            reporting: ExitReporting::default(),
            progress: true,
        }
    }
}

impl ExitOptions {
    /// How long the teardown may take, callbacks included; then the process ends, whatever hangs. It counts from the
    /// end of the [`drain`](Self::drain). The manager's
    /// [`shutdown_deadline`](crate::ManagerConfig::shutdown_deadline) unless set, which is 10 s; `Duration::MAX` for
    /// ever. Give it less than whoever sends the signal waits before SIGKILL.
    pub fn deadline(self, limit: Duration) -> Self {
        ExitOptions { deadline: Some(limit), ..self }
    }

    /// Which signals. All unless set; the others are left as they are. One that is ignored when the hooks are
    /// installed, as SIGHUP is under `nohup`, stays ignored.
    pub fn signals(self, signals: impl IntoIterator<Item = ExitSignal>) -> Self {
        ExitOptions { signals: signals.into_iter().collect(), ..self }
    }

    /// How long to wait between the firing of the [`ShutdownToken`](crate::ShutdownToken)s and the teardown: for a
    /// load balancer to see that this process takes no more requests. Zero unless set.
    pub fn drain(self, delay: Duration) -> Self {
        ExitOptions { drain: delay, ..self }
    }

    /// Called after the drain, before anything is cleaned. Its time is the deadline's; its panic is contained.
    ///
    /// # Examples
    /// ```
    /// use castoff::ExitOptions;
    /// let _options = ExitOptions::default().before(|signal| eprintln!("{signal}: closing"));
    /// ```
    pub fn before(self, callback: impl Fn(ExitSignal) + Send + Sync + 'static) -> Self {
        ExitOptions { before: Some(Arc::new(callback)), ..self }
    }

    /// Called with the report after the teardown, before that goes to stderr: not where a hang ended the process
    /// first. Its panic is contained. It may call [`std::process::exit`] to end the process by a code, not by the
    /// signal.
    ///
    /// # Examples
    /// ```
    /// use castoff::ExitOptions;
    /// let _options = ExitOptions::default().after(|report| assert_eq!(report.failed(), 0));
    /// ```
    pub fn after(self, callback: impl Fn(&TeardownReport) + Send + Sync + 'static) -> Self {
        ExitOptions { after: Some(Arc::new(callback)), ..self }
    }

    /// When the report goes to stderr, in one write: on failure unless set. While the hooks are installed this holds
    /// for the teardown at the program's own end as well.
    pub fn report(self, when: ExitReporting) -> Self {
        ExitOptions { reporting: when, ..self }
    }

    /// Whether a teardown that waits long for one cleanup says so on stderr, each time that
    /// [`slow_after`](crate::ManagerConfig::slow_after) has passed. It does unless set.
    pub fn progress(self, on: bool) -> Self {
        ExitOptions { progress: on, ..self }
    }
}

impl fmt::Debug for ExitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitOptions")
            .field("signals", &self.signals)
            .field("drain", &self.drain)
            .field("deadline", &self.deadline)
            .field("before", &self.before.is_some())
            .field("after", &self.after.is_some())
            .field("report", &self.reporting)
            .field("progress", &self.progress)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_its_number_and_others_are_not() {
        for signal in ExitSignal::ALL {
            assert_eq!(ExitSignal::numbered(signal.number()), Some(signal));
        }
        assert_eq!([0, 9, -15].map(ExitSignal::numbered), [None; 3]);
    }
}
