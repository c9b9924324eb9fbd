//! What a look for leaks finds: [`ResourceLeak`] and its reasons.

use std::backtrace::Backtrace;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Label, ResourceId};
use crate::resource::{Category, Metadata};

/// A live resource that should not be, with all that is known of it.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("leaks");
/// std::mem::forget(manager.guard("forgotten", || ()));
/// let leaks = manager.detect_leaks();
/// assert_eq!(leaks.len(), 1);
/// assert!(leaks[0].to_string().starts_with("`forgotten` (made at "));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceLeak {
    /// The resource.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// Its kind.
    pub category: Category,
    /// How long it has lived.
    pub age: Duration,
    /// Why it counts as a leak, the surest first.
    pub reasons: Vec<LeakReason>,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// The thread that registered it.
    pub thread: Label,
    /// The manager it is registered with.
    pub manager: Label,
    /// Its tags.
    pub tags: Vec<Label>,
    /// Its metadata.
    pub metadata: Metadata,
    /// What needs it.
    pub dependents: Vec<ResourceId>,
    /// Who said that it is in use, the last few of them, the newest first: see
    /// [`ResourceGuard::touch`](crate::ResourceGuard::touch).
    pub touches: Vec<Touches>,
    /// The calls that led to its registration, where [`Backtraces`](crate::Backtraces) says so. Its symbols are looked
    /// up when it is printed.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub backtrace: Option<Arc<Backtrace>>,
}

impl ResourceLeak {
    /// The less, the worse: for putting the worst first.
    pub(crate) fn rank(&self) -> (u8, usize, std::cmp::Reverse<Duration>) {
        let worst = self.reasons.iter().map(LeakReason::doubt).min().unwrap_or(u8::MAX);
        (worst, usize::MAX - self.reasons.len(), std::cmp::Reverse(self.age))
    }

    pub(crate) fn why(&self) -> String {
        self.reasons.iter().map(LeakReason::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for ResourceLeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` (made at {} by {}, in `{}`)",
            self.label, self.created_at, self.thread, self.manager
        )?;
        write!(f, " has lived for {:.1?}: {}", self.age, self.why())
    }
}

/// Calls of [`ResourceGuard::touch`](crate::ResourceGuard::touch) by one thread, with none by another in between.
///
/// The last four such turns are kept, and times by a clock of some milliseconds a step: it is there to tell who used a
/// thing last, not to profile it.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager};
///
/// let manager = ResourceManager::new("sessions");
/// let guard = manager.guard("session", || ());
/// for _ in 0..3 {
///     ResourceGuard::touch(&guard);
/// }
/// let leak = manager.detect_leaks().remove(0);
/// assert_eq!((leak.touches.len(), leak.touches[0].times), (1, 3));
/// assert_eq!(leak.touches[0].thread, leak.thread);
/// ```
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Touches {
    /// The thread.
    pub thread: Label,
    /// How often.
    pub times: u64,
    /// How long ago the first of them was.
    pub first: Duration,
    /// How long ago the last of them was.
    pub last: Duration,
}

impl fmt::Display for Touches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => write!(f, "once by {}, {:.1?} ago", self.thread, self.last),
            times => write!(f, "{times} times by {}, the last {:.1?} ago", self.thread, self.last),
        }
    }
}

/// Why a live resource counts as a leak.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("reasons");
/// let _guard = manager.guard("held", || ());
/// assert_eq!(manager.detect_leaks()[0].reasons, [castoff::LeakReason::StillLive]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum LeakReason {
    /// Certain: it was live when the process ended. A `static`, a forgotten guard, a detached thread, a call of
    /// [`std::process::exit`].
    HeldAtExit,
    /// Certain: its scope has ended, and it is still held.
    ScopeEnded {
        /// The scope's name.
        scope: Label,
    },
    /// Suspected: the thread that registered it has ended, and no other has used it.
    OwnerThreadEnded {
        /// That thread's name.
        thread: Label,
    },
    /// Suspected: it is older than its limit.
    Overdue {
        /// The limit, of the resource or its manager.
        limit: Duration,
    },
    /// Suspected: it was said to be in use once, and has not been for as long as its limit.
    Unused {
        /// How long ago it was last said to be in use.
        since: Duration,
    },
    /// It is live, and nobody set a limit.
    StillLive,
}

impl LeakReason {
    fn doubt(&self) -> u8 {
        match self {
            LeakReason::HeldAtExit => 0,
            LeakReason::ScopeEnded { .. } => 1,
            LeakReason::OwnerThreadEnded { .. } => 2,
            LeakReason::Overdue { .. } => 3,
            LeakReason::Unused { .. } => 4,
            LeakReason::StillLive => 5,
        }
    }
}

impl fmt::Display for LeakReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeakReason::HeldAtExit => f.write_str("held when the process ended"),
            LeakReason::ScopeEnded { scope } => write!(f, "held after the end of its scope `{scope}`"),
            LeakReason::OwnerThreadEnded { thread } => {
                write!(f, "its thread `{thread}` has ended, and no other has used it")
            }
            LeakReason::Overdue { limit } => write!(f, "older than {limit:.1?}"),
            LeakReason::Unused { since } => write!(f, "not used for {since:.1?}"),
            LeakReason::StillLive => f.write_str("still live"),
        }
    }
}
