//! How a manager behaves: [`ManagerConfig`].

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

    /// How long `shutdown` and the end of a scope take at most. 10 s unless set; `Duration::MAX` for ever.
    pub fn shutdown_deadline(self, limit: Duration) -> Self {
        ManagerConfig { shutdown_deadline: limit, ..self }
    }

    /// Registrations that name no priority get their category's
    /// [`typical_priority`](crate::Category::typical_priority). Off unless set: newest first decides then.
    pub fn priority_by_category(self, on: bool) -> Self {
        ManagerConfig { priority_by_category: on, ..self }
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
