//! How a child is ended.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::leader::Leader;
use crate::id::Label;

/// How long a child is waited for after SIGKILL: the kernel needs a moment to take its memory apart.
const KILLED: Duration = Duration::from_secs(2);

/// Asks it and its group to end, and reaps it.
pub(super) fn end(
    leader: &Leader,
    grace: Duration,
    label: Label,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if grace.is_zero() {
        return Ok(kill(leader)?);
    }
    if leader.is_alive()? {
        leader.signal(Signal::TERM)?;
        // One that is stopped gets its SIGTERM when it goes on.
        leader.signal(Signal::CONT)?;
    }
    if !leader.ends_within(grace)? {
        return Err(ChildError::Outlasted { label, grace }.into());
    }
    Ok(leader.reap()?)
}

/// Force, and the reap.
pub(super) fn kill(leader: &Leader) -> io::Result<()> {
    leader.signal(Signal::KILL)?;
    leader.ends_within(KILLED)?;
    leader.reap()
}

/// Why the cleanup of a [`ChildProcess`](super::ChildProcess) failed.
///
/// # Examples
/// ```
/// use castoff::adapters::{ChildError, ChildProcess};
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
/// use std::process::Command;
///
/// let mut migration = ChildProcess::spawn(&mut Command::new("false"))?.must_succeed();
/// migration.wait()?;
/// let guard = ResourceManager::new("migrations").adopt(migration);
/// let Err(error) = ResourceGuard::close(guard) else { panic!("it ended with 1") };
/// let CleanupErrorKind::Failed(cause) = error.kind else { panic!("it says why") };
/// assert!(matches!(cause.downcast_ref(), Some(ChildError::Ended { status, .. }) if status.code() == Some(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// It, or something that it had started, still ran when its grace was over. The last resort kills it.
    #[error(
        "`{label}` or its group had not ended {grace:.1?} after SIGTERM, and has to be killed; give it a longer `grace`"
    )]
    Outlasted {
        /// The program and its number.
        label: Label,
        /// How long it had.
        grace: Duration,
    },
    /// It had to succeed, and had ended otherwise before its cleanup.
    #[error("`{label}` had ended before its cleanup, with {status}")]
    Ended {
        /// The program and its number.
        label: Label,
        /// How it had ended.
        status: ExitStatus,
    },
}
