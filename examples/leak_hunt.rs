//! A leak hunt: a small upload server with eight leaks in it, each of its own kind, and how each is found.
//!
//! `cargo run --example leak_hunt` plants them, asks what leaks, and fails unless every one is found: what was registered on
//! the very line that made it, the rest by what the operating system calls it (Linux). With `-- --clean [ROUNDS]` the same
//! program does everything right, a thousand times unless told otherwise, the second half of them while every core is
//! busy, and fails if anything at all is reported. `docs/leaks.md` goes through it.

use std::cell::RefCell;
use std::fs::File;
use std::panic::Location;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use castoff::{Footprint, FootprintDelta, ManagerConfig, ResourceGuard, ResourceManager};
use tokio::runtime::{Builder, Runtime};

type Guard = ResourceGuard<()>;
type Failure = Box<dyn std::error::Error>;

/// Statics are never dropped.
static CACHE: Mutex<Option<Guard>> = Mutex::new(None);

/// The server, and which leak was planted on which line.
struct Server {
    manager: ResourceManager,
    runtime: Runtime,
    planted: Vec<(&'static str, &'static Location<'static>)>,
}

/// Two of these that know each other keep each other alive.
struct Peer {
    _connection: Guard,
    other: RefCell<Link>,
}

enum Link {
    None,
    /// Counts: a circle of these never ends.
    Strong(#[allow(dead_code, reason = "it is there to be held")] Rc<Peer>),
    /// Does not count.
    Weak(#[allow(dead_code, reason = "it is there to be held")] Weak<Peer>),
}

impl Server {
    fn start() -> Result<Server, Failure> {
        let manager = ResourceManager::isolated("upload server", ManagerConfig::default());
        let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
        Ok(Server { manager, runtime, planted: Vec::new() })
    }

    /// Registers on the caller's line, and remembers that line for the end of the hunt.
    #[track_caller]
    fn leak(&mut self, label: &'static str) -> Guard {
        self.planted.push((label, Location::caller()));
        self.manager.guard(label, || ())
    }

    fn plant(&mut self, uploads: &mut Vec<Guard>) {
        // 1. Forgotten: nobody will ever drop it.
        std::mem::forget(self.leak("temporary upload"));

        // 2. A circle of `Rc`s.
        let left = Rc::new(Peer { _connection: self.leak("left peer"), other: RefCell::new(Link::None) });
        let right =
            Peer { _connection: self.leak("right peer"), other: RefCell::new(Link::Strong(left.clone())) };
        left.other.replace(Link::Strong(Rc::new(right)));

        // 3. In a static.
        *cache() = Some(self.leak("thumbnail cache"));

        // 4. Held by a thread that nobody joins and nobody stops.
        let held = self.leak("virus scanner");
        let (holds, told) = mpsc::channel();
        thread::spawn(move || {
            let _held = held;
            holds.send(()).unwrap_or(());
            thread::park();
        });
        told.recv().unwrap_or(());

        // 5. A list that only grows.
        for _ in 0..100 {
            uploads.push(self.manager.guard("finished upload", || ()));
        }
        uploads.push(self.leak("last upload"));

        // 6. A task that never ends.
        let held = self.leak("metrics task");
        self.runtime.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
    }

    /// The same, done right: each of them ends.
    fn work(&self) -> Result<(), Failure> {
        let guard = |label| self.manager.guard(label, || ());
        drop(guard("temporary upload"));

        let left = Rc::new(Peer { _connection: guard("left peer"), other: RefCell::new(Link::None) });
        let right =
            Peer { _connection: guard("right peer"), other: RefCell::new(Link::Weak(Rc::downgrade(&left))) };
        left.other.replace(Link::Strong(Rc::new(right)));
        drop(left);

        *cache() = Some(guard("thumbnail cache"));
        drop(cache().take());

        let held = guard("virus scanner");
        thread::spawn(move || drop(held)).join().map_err(|_| "the scanner panicked")?;

        let uploads: Vec<Guard> = (0..100).map(|_| guard("finished upload")).collect();
        drop(uploads);

        let held = guard("metrics task");
        let task = self.runtime.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        task.abort();
        self.runtime.block_on(task).err().ok_or("the task was aborted")?;

        drop(File::open(std::env::current_exe()?)?);
        sleeper("0").wait().map_err(Failure::from).map(drop)
    }

    /// Every leak that was planted is reported, with the line that made it, and nothing else is.
    fn check(&self) -> Result<(), Failure> {
        let report = self.manager.leak_report();
        println!("{report}\n");
        for (label, line) in &self.planted {
            let leak = report.leaks().iter().find(|leak| leak.label == *label);
            let leak = leak.ok_or_else(|| format!("`{label}` ({line}) was not found"))?;
            assert_eq!(leak.created_at, *line, "`{label}` is blamed on the line that made it");
        }
        let all = self.planted.len() + 100;
        assert_eq!(
            report.leaks().len(),
            all,
            "what was planted, the uploads, and not the port that is meant to be open"
        );
        Ok(())
    }
}

fn cache() -> std::sync::MutexGuard<'static, Option<Guard>> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sleeper(seconds: &str) -> Child {
    let mut command = Command::new("sleep");
    command.arg(seconds).stdin(Stdio::null());
    command.spawn().expect("every Unix has `sleep`")
}

/// 7 and 8: a descriptor and a child of which castoff has never heard. No line can be blamed for these: nobody noted one.
struct Unregistered {
    path: PathBuf,
    file: Option<File>,
    child: Child,
}

impl Unregistered {
    fn plant() -> Result<Unregistered, Failure> {
        let path = std::env::temp_dir().join(format!("leak-hunt-{}", std::process::id()));
        let file = Some(File::create(&path)?);
        Ok(Unregistered { path, file, child: sleeper("600") })
    }

    fn check(&self, delta: &FootprintDelta) {
        println!("{delta}\n");
        let (path, pid) = (self.path.display().to_string(), self.child.id().to_string());
        assert!(delta.fds.iter().any(|fd| fd.contains(&path)), "the descriptor is found by its path");
        let child = delta.children.iter().find(|child| child.contains(&pid));
        assert!(child.is_some_and(|child| child.contains("sleep")), "the child is found by its command");
    }
}

/// An example has to leave nothing behind, even if it is about leaks.
impl Drop for Unregistered {
    fn drop(&mut self) {
        drop(self.file.take());
        std::fs::remove_file(&self.path).unwrap_or(());
        self.child.kill().and_then(|()| self.child.wait()).map(drop).unwrap_or(());
    }
}

fn hunt() -> Result<(), Failure> {
    let mut server = Server::start()?;
    let _port = server.manager.resource("port 8080").long_lived().guard(|| ())?;
    let before = Footprint::capture();
    let mut uploads = Vec::new();
    server.plant(&mut uploads);
    let unregistered = Unregistered::plant()?;
    server.check()?;
    match (before, Footprint::capture()) {
        (Ok(before), Ok(after)) => unregistered.check(&after.since(&before)),
        // Not Linux: the descriptor and the child stay unseen.
        (Err(error), _) | (_, Err(error)) => println!("{error}"),
    }
    println!("all of the planted leaks were found");
    // Its cleanups run: a leak is no reason to lose one.
    assert!(server.manager.cleanup().is_success());
    Ok(())
}

fn clean(rounds: usize) -> Result<(), Failure> {
    let server = Server::start()?;
    let _port = server.manager.resource("port 8080").long_lived().guard(|| ())?;
    server.work()?;
    let before = Footprint::capture();
    let busy = Arc::new(AtomicBool::new(false));
    for round in 0..rounds {
        if round == rounds / 2 {
            load(&busy);
        }
        server.work()?;
        // Not a report: that asks the operating system each time, which is done once, after all rounds.
        let leaks = server.manager.detect_leaks();
        assert!(leaks.is_empty(), "round {round}: {leaks:?}");
    }
    busy.store(false, Relaxed);
    if let (Ok(before), Ok(after)) = (before, Footprint::capture()) {
        let delta = after.since(&before);
        let (fds, children) = (&delta.fds, &delta.children);
        assert!(fds.is_empty() && children.is_empty(), "descriptors and children that stayed: {delta}");
    }
    println!("{rounds} rounds, the second half under load: nothing was reported");
    Ok(())
}

/// Keeps every core busy while this is set.
fn load(busy: &Arc<AtomicBool>) {
    busy.store(true, Relaxed);
    for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
        let busy = busy.clone();
        thread::spawn(move || while busy.load(Relaxed) {});
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => hunt(),
        Some("--clean") => clean(arguments.next().map_or(Ok(1_000), |rounds| rounds.parse())?),
        Some(other) => Err(format!("{other}: leak_hunt takes `--clean [ROUNDS]` or nothing").into()),
    }
}
