//! How it ends, and what calls back meanwhile.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ResourceEvent, ResourceGuard, ResourceManager};

use crate::log::say;
use crate::{COUNT, scarce};

type Guard = ResourceGuard<()>;

/// What [`take_memory`] takes at once, and how often at most: 2 GiB in all.
const BLOCK: usize = 1 << 20;
const MOST_BLOCKS: usize = 2_048;
const PAGE: [u8; 4_096] = [1; 4_096];
/// Whose cleanup is the one that takes memory: when most are cleaned.
const HOG: usize = 5;

pub fn come(end: &str, is_async: bool) -> ExitCode {
    let manager = ResourceManager::global();
    if end == "signal" {
        // Refused where there is no thread for it: the signal is the end then.
        match manager.install_exit_hooks(ExitOptions::default().deadline(Duration::from_secs(5))) {
            Ok(hooks) => hooks.forget(),
            Err(_) => say(b'h', 0).expect("the log takes it"),
        }
    }
    let guards = fleet(manager, is_async, (end == "hog-cleaning").then_some(HOG));
    say(b'r', COUNT).unwrap_or_default();
    match end {
        // The oldest first: the wrong order.
        "return" => guards.into_iter().for_each(drop),
        "exit" => std::process::exit(7),
        "signal" => die(),
        "teardown" => drop(manager.teardown().concurrency(4).run()),
        "threadless" => threadless(manager),
        "hog" => {
            take_memory();
            drop(manager.cleanup());
        }
        "hog-cleaning" => drop(manager.cleanup()),
        "panic-hook" => panic_hook(),
        "allocator" => allocator(manager),
        _ => panic!("no end is named {end:?}"),
    }
    ExitCode::SUCCESS
}

/// `hog`: whose cleanup takes all the memory there is, if one does.
fn fleet(manager: &ResourceManager, is_async: bool, hog: Option<usize>) -> Vec<Guard> {
    let mut guards: Vec<Guard> = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        let mut registration = manager.resource("one");
        if hog.is_some() {
            // To touch much memory for the first time may take long on a virtual machine.
            registration = registration.timeout(Duration::from_secs(50));
        }
        // The bug that the judge has to see: what is needed is not said.
        if number > 0 && !cfg!(castoff_planted = "order") {
            registration = registration.depends_on(&guards[number / 2]);
        }
        let guard = if is_async {
            registration.guard_async(move || async move {
                tokio::time::sleep(Duration::from_micros(100)).await;
                cleaned(number, hog)
            })
        } else {
            registration.guard(move || cleaned(number, hog))
        };
        guards.push(guard.expect("nothing is refused"));
    }
    guards
}

fn cleaned(number: usize, hog: Option<usize>) -> std::io::Result<()> {
    if hog == Some(number) {
        take_memory();
    }
    if cfg!(castoff_planted = "twice") && number == 7 {
        say(b'-', number)?;
    }
    say(b'-', number)
}

/// Takes memory and uses it, until it is refused or the process is killed for it; then all of it is let go.
fn take_memory() {
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(MOST_BLOCKS);
    while taken.len() < MOST_BLOCKS {
        let mut block = Vec::new();
        if block.try_reserve_exact(BLOCK).is_err() {
            say(b'!', taken.len()).expect("the log takes it");
            return;
        }
        (0..BLOCK / PAGE.len()).for_each(|_| block.extend_from_slice(&PAGE));
        taken.push(std::hint::black_box(block));
    }
    panic!("memory has no end");
}

fn die() {
    // SAFETY: takes numbers; the handler is castoff's, or there is none.
    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    // At most so long that nobody is left behind.
    thread::sleep(Duration::from_secs(60));
    std::process::abort();
}

/// No more address space than there is: not for the stack of a thread. Who listens hears of each cleanup that has none, before
/// it runs; then of one by a drop, which has a limit and no thread to keep it by.
fn threadless(manager: &ResourceManager) {
    let _heard = manager.subscribe(|event| {
        if let ResourceEvent::Unwatched { label, .. } = event {
            say(b'u', if &**label == "limited" { COUNT } else { 0 }).expect("the log takes it");
        }
    });
    let limited = manager.resource("limited").timeout(Duration::from_secs(60));
    let limited = limited.guard(|| say(b'd', COUNT)).expect("nothing is refused");
    let pages = std::fs::read_to_string("/proc/self/statm").expect("it is there on Linux");
    let pages: u64 = pages.split(' ').next().and_then(|it| it.parse().ok()).expect("a number of pages");
    let bytes = pages * 4096 + 512 * 1024;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: reads what is there.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "there is room for a thread after all");
    drop(limited);
    let report = manager.cleanup();
    let noted = report
        .timeline()
        .iter()
        .filter(|entry| entry.note.as_deref().is_some_and(|it| it.contains("no helper thread")));
    say(b'n', noted.count()).expect("the log takes it");
}

/// A panic hook that registers, looks and cleans, in a panic of `main` and in one of a cleanup.
fn panic_hook() {
    std::panic::set_hook(Box::new(|_| {
        let manager = ResourceManager::global();
        let guard = manager.guard("of the hook", || say(b'p', 0));
        std::hint::black_box(manager.resource_count());
        drop(guard);
        drop(manager.detect_leaks());
        drop(manager.cleanup());
    }));
    drop(ResourceManager::global().guard("panics", || panic!("a cleanup")));
    panic!("main");
}

/// An allocator that asks castoff. In the middle of castoff's own work that can't be answered, and is the end.
fn allocator(manager: &ResourceManager) {
    scarce::call_back();
    let more: Vec<Guard> = (0..1_000).map(|_| manager.guard("one more", || ())).collect();
    drop(more);
}
