//! What is done when a signal comes.

use signal_hook_registry::SigId;

use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// An action that signal-hook runs at a signal: the cleanup unregisters it.
///
/// The id is signal-hook's own and is never used again. What the signal did before signal-hook took it over is not put
/// back: with no action left it does nothing. Unregistering waits for actions under way, of any signal; there is no last
/// resort for one that does not end, and an action must not unregister itself: it would wait for itself. For Ctrl-C and SIGTERM there is
/// [`install_exit_hooks`](crate::ResourceManager::install_exit_hooks), which does put it back.
///
/// # Examples
/// ```
/// # #[cfg(unix)] {
/// use castoff::ResourceManager;
/// use castoff::adapters::SignalHandler;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let reload = Arc::new(AtomicBool::new(false));
/// let id = signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&reload))?;
/// let manager = ResourceManager::new("reload");
/// let _handler = manager.adopt(SignalHandler::new("reload on SIGUSR2", id));
/// signal_hook::low_level::raise(signal_hook::consts::SIGUSR2)?;
/// assert!(reload.swap(false, Ordering::Relaxed));
///
/// assert!(manager.cleanup().is_success());
/// signal_hook::low_level::raise(signal_hook::consts::SIGUSR2)?;
/// assert!(!reload.load(Ordering::Relaxed));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "only a cleanup unregisters it: adopt it"]
pub struct SignalHandler {
    label: Label,
    id: SigId,
}

impl SignalHandler {
    /// Takes the id that signal-hook gave, and what people call the action.
    pub fn new(label: impl Into<Label>, id: SigId) -> SignalHandler {
        SignalHandler { label: label.into(), id }
    }

    /// The id itself.
    pub fn into_inner(self) -> SigId {
        self.id
    }
}

impl Resource for SignalHandler {
    const CATEGORY: Category = Category::Process;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let id = self.id;
        Cleanup::sync(move || {
            // Or has been already, which is as good.
            let _unregistered = signal_hook_registry::unregister(id);
        })
    }
}
