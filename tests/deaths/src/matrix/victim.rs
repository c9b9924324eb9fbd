//! One process of the matrix: makes the files of a folder its own, says `ready`, and comes to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Termination};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ManagerConfig, Registration, ResourceGuard, ResourceManager};

use super::Kind;
use crate::death::for_ever;
use crate::work::FILES;

/// For the whole, where ten of the cleanups hang for their own limit.
const DEADLINE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_millis(20);

/// The file to which each cleanup adds a line when it has run.
pub const LOG: &str = "log";

type Guard = ResourceGuard<()>;

/// What a program does that has its guards.
pub fn play(way: &str, kind: Kind, folder: PathBuf) -> ExitCode {
    let config = ManagerConfig::default().shutdown_deadline(DEADLINE);
    let manager = ResourceManager::init_global(config).expect("nobody was first");
    if way != "SIGTERM without exit hooks" {
        let hooks = manager.install_exit_hooks(ExitOptions::default().deadline(DEADLINE));
        hooks.expect("nobody else has a handler").forget();
    }
    let mut guards = Fleet::new(folder, kind).guards(manager);
    if way == "a second SIGINT while a cleanup hangs" {
        let hanging = manager.resource("hanging").timeout(Duration::MAX).guard(for_ever);
        guards.push(hanging.expect("nothing is refused"));
    }
    println!("ready");
    io::stdout().flush().expect("the driver listens");
    end(way, manager, guards)
}

fn end(way: &str, manager: &'static ResourceManager, guards: Vec<Guard>) -> ExitCode {
    let tear_down = || drop(manager.cleanup());
    match way {
        // From the oldest on: what is needed goes first.
        "`main` returns, and drops in the wrong order" => guards.into_iter().for_each(drop),
        "`main` returns, and has forgotten its guards" => std::mem::forget(guards),
        "`main` returns, a thread has the guards" => {
            let (tell, told) = std::sync::mpsc::channel();
            thread::spawn(move || {
                let _guards = guards;
                tell.send(()).expect("main waits");
                for_ever();
            });
            told.recv().expect("the thread has them");
        }
        "`main` returns an error" => {
            std::mem::forget(guards);
            return Err::<(), _>(io::Error::other("done for")).report();
        }
        "the body of `castoff::run` returns" => {
            return castoff::run(|| {
                std::mem::forget(guards);
                ExitCode::from(3)
            });
        }
        "a teardown, then `main` returns" => tear_down(),
        "`exit(3)`" => std::process::exit(3),
        "`exit(3)` on another thread" => {
            thread::spawn(|| std::process::exit(3));
            for_ever();
        }
        "`exit(3)` in a cleanup" => drop(manager.guard("fatal", || std::process::exit(3))),
        "`exit(3)` while another thread tears down" => {
            thread::spawn(tear_down);
            std::process::exit(3);
        }
        "`main` panics" => panic!("main is done for"),
        "another thread panics, and `main` returns" => {
            let worker = thread::spawn(move || {
                let _guards = guards;
                panic!("a worker is done for");
            });
            assert!(worker.join().is_err());
        }
        "a forked child exits, then its parent" => {
            in_a_forked_child(|| std::process::exit(0));
            std::process::exit(3);
        }
        "SIGTERM while a teardown runs" => {
            thread::spawn(tear_down);
            // SAFETY: takes numbers.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            for_ever();
        }
        "SIGTERM, and `main` returns when the token fires" => manager.shutdown_requested().wait(),
        "`abort()`" => std::process::abort(),
        "a panic in a drop during a panic" => {
            let _twice = scopeguard::guard((), |()| panic!("a drop is done for"));
            panic!("main is done for");
        }
        // SAFETY: takes a number, and runs nothing.
        "`_exit(3)`" => unsafe { libc::_exit(3) },
        "`exec` of another program" => panic!("{}", Command::new("true").exec()),
        "the stack overflows" => drop(overflow(1)),
        "an allocation is refused" => {
            let layout = std::alloc::Layout::new::<u64>();
            std::alloc::handle_alloc_error(layout);
        }
        _ => for_ever(),
    }
    ExitCode::SUCCESS
}

/// Runs it in a forked child, and waits for its end.
fn in_a_forked_child(body: impl FnOnce()) {
    // SAFETY: the child does nothing but that, and has no other thread's locks to wait for: none runs.
    let child = unsafe { libc::fork() };
    if child == 0 {
        body();
    }
    let mut status = 0;
    // SAFETY: writes to what is there.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child exits as it would without castoff");
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 512]);
    overflow(here[0] + 1) + here[1]
}

/// A hundred files, of which each needs one older.
struct Fleet {
    folder: PathBuf,
    kind: Kind,
    log: Arc<File>,
}

impl Fleet {
    fn new(folder: PathBuf, kind: Kind) -> Fleet {
        let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG));
        Fleet { folder, kind, log: Arc::new(log.expect("there is room")) }
    }

    fn guards(&self, manager: &ResourceManager) -> Vec<Guard> {
        let mut guards: Vec<Guard> = Vec::with_capacity(FILES);
        for number in 0..FILES {
            let mut registration = manager.resource("file").timeout(LIMIT);
            // The bug that the judge has to see: what is needed is not said.
            if number > 0 && !cfg!(castoff_planted = "order") {
                registration = registration.depends_on(&guards[number / 2]);
            }
            guards.push(self.guard(registration, number));
        }
        guards
    }

    fn guard(&self, registration: Registration<'_>, number: usize) -> Guard {
        let path = self.folder.join(number.to_string());
        fs::write(&path, "guarded").expect("there is room");
        let log = Arc::clone(&self.log);
        let clean = move || cleaned(&log, &path, number);
        let guard = match (self.kind, number % 10) {
            (Kind::Async, _) => registration.timeout(DEADLINE).guard_async(move || async move {
                tokio::time::sleep(Duration::from_micros(100)).await;
                clean()
            }),
            (Kind::Faulty, 9) => registration.guard(move || panic!("cleanup {number} is done for")),
            (Kind::Faulty, 4) => registration.guard(for_ever),
            (Kind::Faulty | Kind::Sync, _) => registration.timeout(DEADLINE).guard(clean),
        };
        guard.expect("nothing is refused")
    }
}

/// One write for each: whatever ends the process, what was said before is there.
fn cleaned(mut log: &File, path: &Path, number: usize) -> io::Result<()> {
    let removed = fs::remove_file(path);
    log.write_all(format!("{number}\n").as_bytes())?;
    removed
}
