//! Installing the hooks, and taking them away: [`ExitHooks`].

use std::fmt;
use std::sync::Arc;

use crate::error::ExitHookError;
use crate::exit::options::ExitOptions;
use crate::exit::say::Manner;
use crate::exit::signal::{self, ACTIVE};
use crate::exit::sys;
use crate::registry::tree::Node;
use crate::unwind::contain;

/// The exit hooks of the process, from [`install_exit_hooks`](crate::ResourceManager::install_exit_hooks). Dropped,
/// they leave the signals as they were found, and a signal ends the process as if they had never been there.
///
/// # Examples
/// ```
/// use castoff::{ExitHookError, ExitOptions, ResourceManager};
///
/// let manager = ResourceManager::new("service");
/// let hooks = manager.install_exit_hooks(ExitOptions::default())?;
/// let again = manager.install_exit_hooks(ExitOptions::default());
/// assert!(matches!(again, Err(ExitHookError::AlreadyInstalled)));
///
/// drop(hooks);
/// manager.install_exit_hooks(ExitOptions::default())?.forget();
/// # Ok::<(), ExitHookError>(())
/// ```
#[must_use = "dropping the hooks uninstalls them; `forget` keeps them until the process ends"]
pub struct ExitHooks {
    taken: sys::Taken,
}

impl ExitHooks {
    /// Keeps them until the process ends: what `main` wants, for a local of `main` is gone before the teardown at
    /// its end.
    ///
    /// # Examples
    /// ```no_run
    /// use castoff::{ExitOptions, ResourceManager};
    /// ResourceManager::global().install_exit_hooks(ExitOptions::default())?.forget();
    /// # Ok::<(), castoff::ExitHookError>(())
    /// ```
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for ExitHooks {
    fn drop(&mut self) {
        let mut active = ACTIVE.lock();
        // Once a signal has come the process ends by it, and a second one still has to be heard.
        if active.as_ref().is_none_or(signal::Active::is_ending) {
            return;
        }
        sys::put_back(&self.taken);
        Manner::of(&ExitOptions::default()).set();
        let gone = active.take();
        drop(active);
        // With it may go a manager, and who listened to that: foreign code.
        contain(move || drop(gone));
    }
}

impl fmt::Debug for ExitHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitHooks").finish_non_exhaustive()
    }
}

/// Installs hooks that end the process by a teardown of this manager and the global one.
pub(crate) fn install(node: &Arc<Node>, options: ExitOptions) -> Result<ExitHooks, ExitHookError> {
    if ACTIVE.lock().is_some() {
        return Err(ExitHookError::AlreadyInstalled);
    }
    let signals = options.signals.clone();
    let manner = Manner::of(&options);
    // Before any signal is touched, for a thread may be refused; and under no lock, for it may drop the callbacks.
    let watcher = signal::watch(node, options).map_err(ExitHookError::System)?;
    let mut active = ACTIVE.lock();
    if active.is_some() {
        return Err(ExitHookError::AlreadyInstalled);
    }
    // A signal that comes from here on waits for this lock on ctrlc's thread.
    let taken = sys::take(&signals, signal::woken)?;
    manner.set();
    *active = Some(watcher);
    Ok(ExitHooks { taken })
}
