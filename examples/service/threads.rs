//! The service's threads: named at the start, joined at the end, counted in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::{fs, io, panic, thread};

/// Threads started by [`spawn`] that have not ended; what [`alive`] tells where there is no `/proc`.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts a thread for as long as it runs, and also when it panics.
struct Running;

impl Running {
    fn new() -> Running {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let running = Running::new();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _running = running;
        body();
    })
}

/// Waits for a thread. Its panic goes on here, and so from a cleanup into the report.
pub(crate) fn join(thread: JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        panic::resume_unwind(panic);
    }
}

/// The threads of this process by number, each with its name.
///
/// On Linux the kernel is asked, so that a thread is seen no matter who started it; elsewhere only the
/// service's own are known.
pub(crate) fn alive() -> BTreeMap<String, String> {
    match fs::read_dir("/proc/self/task") {
        Ok(tasks) => tasks.flatten().filter_map(|task| named(&task)).collect(),
        Err(_) => {
            (0..RUNNING.load(Ordering::SeqCst)).map(|n| (n.to_string(), "a thread".to_owned())).collect()
        }
    }
}

fn named(task: &fs::DirEntry) -> Option<(String, String)> {
    // A thread that ends between the two looks has no name any more, and is not alive.
    let name = fs::read_to_string(task.path().join("comm")).ok()?;
    Some((task.file_name().to_string_lossy().into_owned(), name.trim_end().to_owned()))
}
