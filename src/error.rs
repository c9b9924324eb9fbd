//! What can go wrong: one enum an operation. Each message says which resource, made where, what was tried and
//! what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Label, ResourceId};
use crate::resource::Category;

/// Why a registration was refused. The refused cleanup has run already, as if its guard had been dropped at once.
///
/// # Examples
/// ```
/// use castoff::{RegisterError, ResourceManager};
///
/// let manager = ResourceManager::new("refusals");
/// let _first = manager.resource("pool").named("db").guard(|| ())?;
/// match manager.resource("other pool").named("db").guard(|| ()) {
///     Err(RegisterError::DuplicateName { existing, created_at, .. }) => {
///         assert_eq!(existing, "pool");
///         assert_eq!(created_at.file(), file!());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[non_exhaustive]
pub enum RegisterError {
    /// A live resource of this manager has that name.
    #[error(
        "cannot register `{label}` as {name:?}: `{existing}` (made at {created_at}) has that name; \
         choose another, or wait until it is gone"
    )]
    DuplicateName {
        /// The refused registration's label.
        label: Label,
        /// The name asked for.
        name: Label,
        /// The label of the resource that has it.
        existing: Label,
        /// Where that one was made.
        created_at: &'static Location<'static>,
    },
    /// No live resource of this manager or those above it has the name of a dependency.
    #[error(
        "cannot register `{label}`: nothing live is named {name:?} in its manager or those above; \
         register the dependency first, and give it that name with `named`"
    )]
    UnknownDependency {
        /// The refused registration's label.
        label: Label,
        /// The name that nothing has.
        name: Label,
    },
    /// A dependency has ended, is being cleaned, or belongs to another tree of managers.
    #[error(
        "cannot register `{label}`: its dependency {} has ended, is being cleaned, or belongs to another tree \
         of managers; register it while the dependency is live",
        named(dependency.as_ref(), *created_at, *id)
    )]
    DependencyGone {
        /// The refused registration's label.
        label: Label,
        /// The dependency that was asked for.
        id: ResourceId,
        /// Its label, where it is still known.
        dependency: Option<Label>,
        /// Where it was made, where that is still known.
        created_at: Option<&'static Location<'static>>,
    },
    /// The dependencies asked for would make a circle.
    #[error(
        "cannot register `{label}`: its dependencies make a circle, {}; drop one of them",
        arrows(path, sites)
    )]
    Cycle {
        /// The refused registration's label.
        label: Label,
        /// The circle: each needs the next, and the last is the first again.
        path: Vec<Label>,
        /// Where each of them was made.
        sites: Vec<&'static Location<'static>>,
    },
    /// As many resources are live as the manager may hold.
    #[error(
        "cannot register `{label}`: its manager holds {limit} live resources, the most it may; \
         end some, or raise `max_resources`"
    )]
    LimitReached {
        /// The refused registration's label.
        label: Label,
        /// The most that may live at once.
        limit: usize,
    },
    /// The manager was shut down.
    #[error(
        "cannot register `{label}`: its manager `{manager}` was shut down; \
         register before `shutdown`, or with another manager"
    )]
    ShutDown {
        /// The refused registration's label.
        label: Label,
        /// The manager that was shut down.
        manager: Label,
    },
    /// The label is empty.
    #[error("cannot register a resource with an empty label; say what it is, such as \"orders pool\"")]
    EmptyLabel {
        /// The refused registration's label: empty.
        label: Label,
    },
}

impl RegisterError {
    /// The label of the registration that was refused.
    pub fn label(&self) -> &Label {
        match self {
            RegisterError::DuplicateName { label, .. }
            | RegisterError::UnknownDependency { label, .. }
            | RegisterError::DependencyGone { label, .. }
            | RegisterError::Cycle { label, .. }
            | RegisterError::LimitReached { label, .. }
            | RegisterError::ShutDown { label, .. }
            | RegisterError::EmptyLabel { label } => label,
        }
    }
}

fn named(label: Option<&Label>, created_at: Option<&'static Location<'static>>, id: ResourceId) -> String {
    match (label, created_at) {
        (Some(label), Some(site)) => format!("`{label}` (made at {site})"),
        (Some(label), None) => format!("`{label}`"),
        _ => format!("{id}"),
    }
}

fn arrows(path: &[Label], sites: &[&'static Location<'static>]) -> String {
    let steps: Vec<String> =
        path.iter().zip(sites).map(|(label, site)| format!("`{label}` (made at {site})")).collect();
    steps.join(" -> ")
}

fn quoted(labels: &[Label], between: &str) -> String {
    let quoted: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    quoted.join(between)
}

/// Why a resource could not be unregistered.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager, UnregisterError};
///
/// let manager = ResourceManager::new("unregister");
/// let pool = manager.guard("pool", || ());
/// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
/// let Err(UnregisterError::DependentsLive { dependents }) = manager.unregister(ResourceGuard::id(&pool)) else {
///     panic!("the server needs the pool");
/// };
/// assert_eq!(dependents, ["server"]);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[non_exhaustive]
pub enum UnregisterError {
    /// Others depend on it.
    #[error(
        "cannot unregister: {} still depend on it; end them first, or use `ResourceGuard::release`",
        quoted(dependents, ", ")
    )]
    DependentsLive {
        /// Their labels.
        dependents: Vec<Label>,
    },
}

/// Why a dependency was refused, or what is wrong with the graph.
///
/// # Examples
/// ```
/// use castoff::{DependencyError, ResourceGuard, ResourceManager};
///
/// let manager = ResourceManager::new("dependencies");
/// let (a, b) = (manager.guard("a", || ()), manager.guard("b", || ()));
/// let (a, b) = (ResourceGuard::id(&a), ResourceGuard::id(&b));
/// manager.add_dependency(a, b)?;
/// let Err(DependencyError::Cycle { path }) = manager.add_dependency(b, a) else { panic!("a needs b") };
/// assert_eq!(path, ["b", "a", "b"]);
/// # Ok::<(), DependencyError>(())
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[non_exhaustive]
pub enum DependencyError {
    /// It would make a circle.
    #[error("this dependency would make a circle, {}; drop one of them", quoted(path, " -> "))]
    Cycle {
        /// The circle: each needs the next, and the last is the first again.
        path: Vec<Label>,
    },
    /// Nothing live has this name.
    #[error("nothing live is named {name:?}; register it first, and give it that name with `named`")]
    Unknown {
        /// The name that nothing has.
        name: Label,
    },
    /// One of the two has ended, is being cleaned, or belongs to another tree of managers.
    #[error(
        "{id} has ended, is being cleaned, or belongs to another tree of managers; add dependencies between live resources"
    )]
    Gone {
        /// The one that has.
        id: ResourceId,
    },
}

/// The global manager was made before [`init_global`](crate::ResourceManager::init_global) could configure it.
///
/// # Examples
/// ```
/// use castoff::{ManagerConfig, ResourceManager};
///
/// ResourceManager::global();
/// assert!(ResourceManager::init_global(ManagerConfig::default()).is_err());
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[error(
    "the global manager exists already; call `init_global` first thing in `main`, before the first `global` or `new`"
)]
pub struct AlreadyInitialized;

/// Why the exit hooks were not installed. Nothing was changed then.
///
/// # Examples
/// ```no_run
/// use castoff::{ExitHookError, ExitOptions, ResourceManager};
///
/// match ResourceManager::global().install_exit_hooks(ExitOptions::default()) {
///     Ok(hooks) => hooks.forget(),
///     // The program handles signals itself: it has to call `shutdown` itself, too.
///     Err(ExitHookError::ForeignHandler { signal }) => eprintln!("signal {signal} is taken"),
///     Err(error) => panic!("{error}"),
/// }
/// ```
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ExitHookError {
    /// The process has exit hooks, of this manager or another.
    #[error("cannot install exit hooks: the process has some; drop those first, or keep them")]
    AlreadyInstalled,
    /// The program handles a signal itself, or another crate does.
    #[error(
        "cannot install exit hooks: signal {signal} has a handler, which was left as it is; \
         remove that handler, leave the signal out with `ExitOptions::signals`, or call `shutdown` from it"
    )]
    ForeignHandler {
        /// The signal's number.
        signal: i32,
    },
    /// The system refused a thread, or a change of a signal's disposition.
    #[error(
        "cannot install exit hooks: the system refused; try again when there is room for one more thread"
    )]
    System(#[source] io::Error),
}

/// Why there is no [`Footprint`](crate::Footprint).
///
/// # Examples
/// ```
/// use castoff::{Footprint, FootprintError};
///
/// match Footprint::capture() {
///     Ok(footprint) => println!("{footprint}"),
///     // Not Linux: a test that wants to run everywhere goes on without.
///     Err(FootprintError::Unsupported) => {}
///     Err(error) => panic!("{error}"),
/// }
/// ```
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum FootprintError {
    /// Not Linux, where the system keeps `/proc`.
    #[error(
        "cannot tell what the operating system holds for this process: only Linux is read, by its /proc; \
         go without elsewhere"
    )]
    Unsupported,
    /// `/proc` is not mounted, or does not let this process read about itself, or no descriptor is free to read by.
    #[error(
        "cannot tell what the operating system holds for this process: {0}; \
         see that /proc is mounted, is that of this process's namespace, and that a descriptor is free"
    )]
    Io(#[from] io::Error),
}

/// A cleanup that did not end well.
///
/// # Examples
/// ```
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
///
/// let guard = ResourceManager::new("errors").guard("journal", || Err("disk full"));
/// let Err(error) = ResourceGuard::close(guard) else { panic!("the disk is full") };
/// assert!(matches!(error.kind, CleanupErrorKind::Failed(_)));
/// assert!(error.to_string().starts_with("cleanup of `journal` (made at "));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CleanupError {
    /// The resource.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// Its kind.
    pub category: Category,
    /// What happened.
    pub kind: CleanupErrorKind,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// How long the cleanup took, until it ended or was given up. Zero where nobody was there to hear of it when it
    /// began: a drop beyond the first thousand that is not timed, as [`Latency`](crate::Latency) says.
    pub elapsed: Duration,
}

impl fmt::Display for CleanupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cleanup of `{}` (made at {}) {}", self.label, self.created_at, self.kind)
    }
}

impl Error for CleanupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            CleanupErrorKind::Failed(cause) => Some(&**cause),
            _ => None,
        }
    }
}

/// What became of a cleanup that did not end well.
///
/// # Examples
/// ```
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
///
/// let guard = ResourceManager::new("kinds").guard("wobbly", || panic!("no"));
/// let Err(error) = ResourceGuard::close(guard) else { panic!("it panics") };
/// assert!(matches!(error.kind, CleanupErrorKind::Panicked(message) if message == "no"));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum CleanupErrorKind {
    /// It returned this error.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::error"))]
    Failed(Arc<dyn Error + Send + Sync>),
    /// It panicked with this message.
    Panicked(String),
    /// It had not ended within this time, and was given up.
    TimedOut(Duration),
    /// It was stopped before its end.
    Cancelled,
    /// `close` on a guard that others depend on: its cleanup runs when they have gone, as by drop.
    Deferred {
        /// The labels of the dependents.
        behind: Vec<Label>,
    },
}

impl fmt::Display for CleanupErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CleanupErrorKind::Failed(cause) => write!(f, "failed: {cause}"),
            CleanupErrorKind::Panicked(message) => write!(f, "panicked: {message}"),
            CleanupErrorKind::TimedOut(limit) => {
                write!(
                    f,
                    "had not ended after {limit:.1?} and was given up; give it a longer `timeout`, or a `last_resort`"
                )
            }
            CleanupErrorKind::Cancelled => write!(f, "was cancelled before its end"),
            CleanupErrorKind::Deferred { behind } => {
                write!(f, "waits for {}, which depend on it; end them first", quoted(behind, ", "))
            }
        }
    }
}
