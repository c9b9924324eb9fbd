//! How a manager behaves: [`ManagerConfig`] and what it is made of.

use std::time::Duration;

/// How a manager behaves. A child takes its parent's, but for `max_resources`, which counts children in anyway.
///
/// # Examples
/// ```
/// use castoff::{ManagerConfig, RegisterError, ResourceManager};
/// use std::time::Duration;
///
/// let config = ManagerConfig::default().default_timeout(Duration::from_secs(1)).max_resources(1);
/// let manager = ResourceManager::with_config("connections", config);
/// let _one = manager.resource("first").guard(|| ())?;
/// let refused = manager.resource("second").guard(|| ());
/// assert!(matches!(refused, Err(RegisterError::LimitReached { limit: 1, .. })));
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    pub(crate) leak_after: Duration,
    pub(crate) slow_after: Duration,
    pub(crate) default_timeout: Option<Duration>,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) priority_by_category: bool,
    pub(crate) max_resources: Option<usize>,
    pub(crate) leaks: Option<LeakSeverity>,
    pub(crate) backtraces: Backtraces,
}

/// What the check for leaks at the end of the process, or of a [test](crate::testing), does with what is still live
/// then and not [long-lived](crate::Registration::long_lived).
///
/// At the end of the process it counts, unless the global manager is told otherwise ([`ManagerConfig::leaks`]): a good
/// program may keep a guard in a `static`. At the end of a test it fails. The environment variable `CASTOFF_LEAKS`, one of `off`, `count`, `warn` and `fail`, goes before both.
///
/// # Examples
/// ```
/// use castoff::LeakSeverity;
/// assert!(LeakSeverity::Warn < LeakSeverity::Fail);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakSeverity {
    /// Nobody looks.
    Off,
    /// Told to listeners, and nothing is said.
    Count,
    /// Said on stderr: at the end of the process before anything is cleaned.
    Warn,
    /// Said, and a process that would have succeeded ends with status 99; a test fails with the report.
    Fail,
}

impl LeakSeverity {
    /// What a person wrote.
    pub(crate) fn named(name: &str) -> Option<LeakSeverity> {
        let known = [
            ("off", LeakSeverity::Off),
            ("count", LeakSeverity::Count),
            ("warn", LeakSeverity::Warn),
            ("fail", LeakSeverity::Fail),
        ];
        known
            .into_iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(name.trim()))
            .map(|(_, severity)| severity)
    }
}

/// Whose backtraces are kept, as evidence of who registered what. One costs some microseconds and some hundred bytes;
/// symbols are looked up when it is printed, which takes longer.
///
/// # Examples
/// ```
/// use castoff::{Backtraces, ManagerConfig, ResourceManager};
///
/// let config = ManagerConfig::default().backtraces(Backtraces::Always);
/// let manager = ResourceManager::isolated("traced", config);
/// let _guard = manager.guard("held", || ());
/// assert!(manager.detect_leaks()[0].backtrace.is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backtraces {
    /// Nobody's: the line that registered is known anyway.
    Never,
    /// The first so many of each line, and then ever fewer: as many again for each doubling of their number.
    Sampled(u32),
    /// Everybody's.
    Always,
}

impl Default for ManagerConfig {
    fn default() -> ManagerConfig {
        ManagerConfig {
            leak_after: Duration::ZERO,
            slow_after: Duration::from_secs(2),
            default_timeout: None,
            shutdown_deadline: Duration::from_secs(10),
            priority_by_category: false,
            max_resources: None,
            leaks: None,
            backtraces: Backtraces::Never,
        }
    }
}

impl ManagerConfig {
    /// How old a resource has to be before it can be a leak. Zero unless set: whoever asks at the end of a test
    /// wants all of them.
    pub fn leak_after(self, limit: Duration) -> Self {
        ManagerConfig { leak_after: limit, ..self }
    }

    /// How long a teardown waits for one cleanup before it says so, by
    /// [`ResourceEvent::SlowCleanup`](crate::ResourceEvent::SlowCleanup), and how often. 2 s unless set;
    /// `Duration::MAX` for never.
    pub fn slow_after(self, limit: Duration) -> Self {
        ManagerConfig { slow_after: limit, ..self }
    }

    /// How long a teardown waits for a cleanup whose resource does not say. Its category's unless set;
    /// `Duration::MAX` for ever.
    pub fn default_timeout(self, limit: Duration) -> Self {
        ManagerConfig { default_timeout: Some(limit), ..self }
    }

    /// How long `shutdown`, the end of a scope and the teardown at the end of the process take at most. 10 s unless
    /// set; `Duration::MAX` for ever.
    pub fn shutdown_deadline(self, limit: Duration) -> Self {
        ManagerConfig { shutdown_deadline: limit, ..self }
    }

    /// Registrations that name no priority get their category's
    /// [`typical_priority`](crate::Category::typical_priority). Off unless set: newest first decides then.
    pub fn priority_by_category(self, on: bool) -> Self {
        ManagerConfig { priority_by_category: on, ..self }
    }

    /// What the check at the end of the process does with leaks, for the global manager, and that at the end of each
    /// [test](crate::testing) below. See [`LeakSeverity`].
    pub fn leaks(self, severity: LeakSeverity) -> Self {
        ManagerConfig { leaks: Some(severity), ..self }
    }

    /// Whose backtraces are kept for leak reports. Nobody's unless set.
    pub fn backtraces(self, policy: Backtraces) -> Self {
        ManagerConfig { backtraces: policy, ..self }
    }

    /// How many resources may live at once in the manager and its children. No limit unless set. A builder is
    /// refused beyond it; a short form registers all the same and sends
    /// [`ResourceEvent::LimitExceeded`](crate::ResourceEvent::LimitExceeded).
    pub fn max_resources(self, limit: usize) -> Self {
        ManagerConfig { max_resources: Some(limit), ..self }
    }

    pub(crate) fn for_child(&self) -> ManagerConfig {
        ManagerConfig { max_resources: None, ..self.clone() }
    }
}
