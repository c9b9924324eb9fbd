//! What a manager has to do with the end of the process.

use std::panic::Location;

use once_cell::sync::OnceCell;

use crate::error::ExitHookError;
use crate::exit::{self, ExitHooks, ExitOptions, ShutdownToken};
use crate::manager::ResourceManager;

/// Above what tests share.
static SHARED: OnceCell<ResourceManager> = OnceCell::new();

impl ResourceManager {
    /// The root of what tests share: a tree of its own, so that no teardown of the global one reaches it. It ends after
    /// that one, with the process: whatever uses what is shared has ended by then.
    pub(crate) fn shared() -> &'static ResourceManager {
        SHARED.get_or_init(|| {
            // Made here at the latest: it is what hears that the process ends.
            let config = ResourceManager::global().node().config.for_child();
            let manager = ResourceManager::make("shared".into(), Location::caller(), config, None);
            exit::watch_over_last(manager.node());
            manager
        })
    }

    /// From now on SIGINT (Ctrl-C), SIGTERM and SIGHUP end the process by a teardown: of this manager, then of the
    /// global one. Nothing touches signals before this is called. Call it early in `main`, before other threads.
    ///
    /// On the first signal the [`ShutdownToken`]s fire; after [`ExitOptions::drain`] everything is cleaned within
    /// [`ExitOptions::deadline`], on a thread of its own, with
    /// [`CleanupReason::Signal`](crate::CleanupReason::Signal); what went wrong is said on stderr; and then the
    /// process **dies by that signal**, so that a shell or an init system sees what it would have seen without. That
    /// is also how a program ends whose `main` returns meanwhile. Process 1 can't die of a signal: it exits with
    /// status 128 + its number.
    ///
    /// A second signal ends the process at once, with one line that says what was left. What comes within 100 ms of
    /// the first is not taken for a second one: `timeout`, shells and init systems send in pairs.
    ///
    /// The hooks are of the whole process. Two managers can't both have some; isolated managers that have none are
    /// not torn down. Where there are no Unix signals only Ctrl-C is heard, and the process exits with 130; that has
    /// never been tried.
    ///
    /// # Errors
    /// When there are hooks already, a signal has a handler that is not the default one, or the system refuses.
    /// Nothing was changed then.
    ///
    /// # Examples
    /// ```no_run
    /// use castoff::{ExitOptions, ResourceManager};
    /// use std::time::Duration;
    ///
    /// let manager = ResourceManager::new("service");
    /// manager.install_exit_hooks(ExitOptions::default().deadline(Duration::from_secs(20)))?.forget();
    /// let _pool = manager.guard("pool", || println!("pool closed"));
    /// manager.shutdown_requested().wait();
    /// # Ok::<(), castoff::ExitHookError>(())
    /// ```
    pub fn install_exit_hooks(&self, options: ExitOptions) -> Result<ExitHooks, ExitHookError> {
        exit::install(self.node(), options)
    }

    /// Tells when a signal has asked the process to end, before anything is cleaned. Every token of the process
    /// tells the same.
    ///
    /// # Examples
    /// ```
    /// let token = castoff::ResourceManager::global().shutdown_requested();
    /// assert!(!token.is_requested());
    /// ```
    pub fn shutdown_requested(&self) -> ShutdownToken {
        ShutdownToken::new()
    }
}
