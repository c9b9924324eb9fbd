//! A watcher of files and directories.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use notify::{Config, EventHandler, RecommendedWatcher, RecursiveMode, Watcher};

use crate::adapters::held::Held;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A [`notify`] watcher: the cleanup stops it, and after the cleanup its handler is called no more.
///
/// A watcher that is dropped stops in its own time, and its handler may be called once more by its thread. Here a call
/// that is under way is waited for. A handler that ends its own watcher is not: it can't wait for itself.
///
/// `W` is the kind of watcher: the system's own unless said otherwise, [`notify::PollWatcher`] for a file system that
/// tells nothing.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::FileWatcher;
/// use notify::RecursiveMode;
/// use std::sync::mpsc;
///
/// let folder = tempfile::tempdir()?;
/// let (tell, told) = mpsc::channel();
/// let watcher: FileWatcher = FileWatcher::new("settings", tell)?;
/// let manager = ResourceManager::new("reload");
/// let watcher = manager.adopt(watcher);
/// watcher.watch(folder.path(), RecursiveMode::NonRecursive)?;
/// std::fs::write(folder.path().join("level"), "debug")?;
/// assert!(told.recv()?.is_ok());
///
/// assert!(manager.cleanup().is_success());
/// assert!(told.iter().all(|event| event.is_ok())); // it ends: the handler is gone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileWatcher<W = RecommendedWatcher> {
    label: Label,
    watcher: Held<W>,
    /// Ends the handler.
    end: Held<Box<dyn FnOnce() + Send>>,
}

impl<W: Watcher + Send + 'static> FileWatcher<W> {
    /// Makes a watcher that calls this handler: a closure, or a sender of a channel.
    ///
    /// # Errors
    /// If the system refuses one.
    pub fn new(label: impl Into<Label>, handler: impl EventHandler) -> notify::Result<FileWatcher<W>> {
        FileWatcher::with_config(label, handler, Config::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// If the system refuses one.
    pub fn with_config(
        label: impl Into<Label>,
        handler: impl EventHandler,
        config: Config,
    ) -> notify::Result<FileWatcher<W>> {
        let gate = Gate { handler: Held::new(handler), calls: Arc::default() };
        let watcher = Held::new(W::new(gate.clone(), config)?);
        Ok(FileWatcher { label: label.into(), watcher, end: Held::new(Box::new(move || gate.close())) })
    }

    /// Watches this path too.
    ///
    /// # Errors
    /// If it can't be watched, and after the cleanup.
    pub fn watch(&self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.with(|watcher| watcher.watch(path, mode))
    }

    /// Watches this path no more.
    ///
    /// # Errors
    /// If it was not watched, and after the cleanup.
    pub fn unwatch(&self, path: &Path) -> notify::Result<()> {
        self.with(|watcher| watcher.unwatch(path))
    }

    /// The watcher itself, which goes on calling its handler. `None` after its cleanup.
    pub fn into_inner(self) -> Option<W> {
        self.watcher.take()
    }

    fn with(&self, f: impl FnOnce(&mut W) -> notify::Result<()>) -> notify::Result<()> {
        let stopped = || format!("`{}` was stopped by its cleanup", self.label);
        self.watcher.with(f).unwrap_or_else(|| Err(notify::Error::generic(&stopped())))
    }
}

impl<W: Watcher + Send + 'static> Resource for FileWatcher<W> {
    const CATEGORY: Category = Category::File;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (watcher, end) = (self.watcher.clone(), self.end.clone());
        Cleanup::sync(move || {
            drop(watcher.take());
            end.take().into_iter().for_each(|end| end());
        })
    }
}

impl<W> fmt::Debug for FileWatcher<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("FileWatcher");
        out.field("label", &self.label).field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

/// Lets calls through to the handler until it is closed.
struct Gate<H> {
    handler: Held<H>,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    closed: bool,
    /// Who is in the handler.
    inside: Option<ThreadId>,
}

impl<H> Gate<H> {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No call begins any more, and the one under way has ended, unless it is the one that closes.
    fn close(&self) {
        let mut calls = self.calls();
        calls.closed = true;
        let from_inside = calls.inside == Some(thread::current().id());
        drop(calls);
        if !from_inside {
            drop(self.handler.take());
        }
    }
}

impl<H: EventHandler> EventHandler for Gate<H> {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let mut calls = self.calls();
        if calls.closed {
            return;
        }
        calls.inside = Some(thread::current().id());
        drop(calls);
        self.handler.with(|handler| handler.handle_event(event));
        self.calls().inside = None;
    }
}

impl<H> Clone for Gate<H> {
    fn clone(&self) -> Gate<H> {
        Gate { handler: self.handler.clone(), calls: Arc::clone(&self.calls) }
    }
}
