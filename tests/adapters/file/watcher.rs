//! A watcher on the real file system: it is told, until its cleanup.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};

use castoff::adapters::FileWatcher;
use castoff::{ResourceGuard, ResourceManager};
use notify::{PollWatcher, RecursiveMode};
use tempfile::TempDir;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager};

struct Settings;

struct Seen {
    folder: TempDir,
    calls: Arc<AtomicUsize>,
    /// Keeps the handler inside of a call.
    hold: Option<Sender<()>>,
    inside: Arc<AtomicUsize>,
    handler: Arc<()>,
}

impl Seen {
    /// Something happens in the folder.
    fn touch(&self) {
        let name = format!("file-{}", self.calls.load(Ordering::Relaxed));
        fs::write(self.folder.path().join(name), "debug").unwrap();
    }
}

fn watcher(hanging: bool) -> (FileWatcher, Seen) {
    let (hold, held) = mpsc::channel::<()>();
    let seen = Seen {
        folder: tempfile::tempdir().unwrap(),
        calls: Arc::default(),
        hold: hanging.then_some(hold),
        inside: Arc::default(),
        handler: Arc::default(),
    };
    let (calls, inside, alive) =
        (Arc::clone(&seen.calls), Arc::clone(&seen.inside), Arc::clone(&seen.handler));
    let handler = move |_| {
        let _alive = &alive;
        inside.fetch_add(1, Ordering::SeqCst);
        held.recv().ok();
        inside.fetch_sub(1, Ordering::SeqCst);
        calls.fetch_add(1, Ordering::SeqCst);
    };
    let watcher = FileWatcher::new("settings", handler).unwrap();
    watcher.watch(seen.folder.path(), RecursiveMode::NonRecursive).unwrap();
    seen.touch();
    (watcher, seen)
}

impl Case for Settings {
    type Adopted = FileWatcher;
    type Witness = Seen;

    fn make() -> (FileWatcher, Seen) {
        let (watcher, seen) = watcher(false);
        until("a first call", || seen.calls.load(Ordering::SeqCst) > 0);
        (watcher, seen)
    }

    /// The handler is dropped, so that it can't be called.
    fn is_over(seen: &Seen) -> bool {
        seen.touch();
        Arc::strong_count(&seen.handler) == 1
    }

    fn end_first(watcher: &mut FileWatcher, seen: &Seen) {
        watcher.unwatch(seen.folder.path()).unwrap();
    }
}

impl Hangs for Settings {
    fn make_hanging() -> (FileWatcher, Seen) {
        let (watcher, seen) = watcher(true);
        until("the handler to be inside of a call", || seen.inside.load(Ordering::SeqCst) == 1);
        (watcher, seen)
    }

    fn after(mut seen: Seen) {
        drop(seen.hold.take());
        until("the handler to go", || Settings::is_over(&seen));
        assert_eq!(seen.calls.load(Ordering::SeqCst), 1, "none begins after the cleanup has");
    }
}

contract!(Settings);

#[test]
fn after_its_cleanup_nothing_more_is_watched() {
    alone(|| {
        let (manager, (watcher, seen)) = (manager(), Settings::make());
        let guard = manager.adopt(watcher);
        assert!(manager.cleanup().is_success());
        let error = guard.watch(seen.folder.path(), RecursiveMode::NonRecursive).unwrap_err();
        assert_eq!(error.to_string(), "`settings` was stopped by its cleanup");
    });
}

#[test]
fn a_handler_may_end_its_own_watcher() {
    alone(|| {
        let (manager, folder) = (manager(), tempfile::tempdir().unwrap());
        let own: Arc<Mutex<Option<ResourceGuard<FileWatcher>>>> = Arc::default();
        let (tell, told) = mpsc::channel();
        let inside = Arc::downgrade(&own);
        let handler = move |_| {
            let own = inside.upgrade().and_then(|own| own.lock().unwrap().take());
            tell.send(own.map(ResourceGuard::close)).unwrap();
        };
        let guard = adopt(&manager, handler);
        guard.watch(folder.path(), RecursiveMode::NonRecursive).unwrap();
        *own.lock().unwrap() = Some(guard);
        fs::write(folder.path().join("file"), "debug").unwrap();
        assert!(matches!(told.recv().unwrap(), Some(Ok(()))));
        assert_eq!(manager.resource_count(), 0);
        // The watcher's thread has ended, and with it the handler.
        assert!(told.iter().all(|more| more.is_none()));
    });
}

fn adopt(
    manager: &ResourceManager,
    handler: impl FnMut(notify::Result<notify::Event>) + Send + 'static,
) -> ResourceGuard<FileWatcher> {
    manager.adopt(FileWatcher::new("settings", handler).unwrap())
}

#[test]
fn one_that_polls_is_stopped_too() {
    alone(|| {
        let handler = Arc::new(());
        let alive = Arc::clone(&handler);
        let handle = move |_| drop(Arc::clone(&alive));
        let config = notify::Config::default().with_manual_polling();
        let watcher: FileWatcher<PollWatcher> = FileWatcher::with_config("by hand", handle, config).unwrap();
        ResourceGuard::close(manager().adopt(watcher)).unwrap();
        assert_eq!(Arc::strong_count(&handler), 1);
    });
}
