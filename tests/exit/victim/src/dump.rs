//! Programs that are asked by a signal what leaks.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use castoff::{DumpError, ExitOptions, LeakDump, dump_on};
use libc::{SIGUSR1, c_int};

use crate::fleet::{Kind, fleet, global, install, one, wait_for_ever};
use crate::log::say;

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    match case {
        "dump" => {
            let _guards = fleet(global(), kind);
            install(ExitOptions::default()).forget();
            ready(asked())
        }
        "dump-before-anything" => ready(asked()),
        "dump-dropped" => {
            let _guards = fleet(global(), kind);
            (0..3).for_each(|_| drop(asked()));
            say("ready");
            wait_for_ever()
        }
        "dump-of-an-ignored-signal" => {
            // SAFETY: takes numbers; no other thread looks at this signal.
            unsafe { libc::signal(SIGUSR1, libc::SIG_IGN) };
            drop(asked());
            raise();
            say("ignored again");
            Some(ExitCode::SUCCESS)
        }
        "dump-behind-a-handler" => behind_a_handler(),
        "dump-of-no-such-signal" => {
            let refused = dump_on(libc::SIGSEGV);
            assert!(matches!(refused, Err(DumpError::Fault { signal: libc::SIGSEGV })), "{refused:?}");
            let refused = dump_on(1_000);
            assert!(matches!(refused, Err(DumpError::System { signal: 1_000, .. })), "{refused:?}");
            // What was refused is in nobody's way.
            asked().forget();
            raise();
            say("goes on");
            Some(ExitCode::SUCCESS)
        }
        "dump-in-front-of-a-handler" => {
            let dump = asked();
            handle();
            drop(dump);
            raise();
            say(format!("handled {}", HANDLED.load(SeqCst)));
            Some(ExitCode::SUCCESS)
        }
        "dump-and-fork" => {
            let _guards = [one(global(), kind, "held", &[])];
            let dump = asked();
            fork(|| {
                raise();
                say("the child goes on");
            });
            ready(dump)
        }
        "dump-of-a-child" => {
            let dump = asked();
            fork(|| {
                let _guard = one(global(), Kind::Sync, "the child's", &[]);
                let again = asked();
                raise();
                drop(dump);
                // Until the test has seen the report, and for at most so long.
                while std::fs::read_to_string(std::env::var("CASTOFF_LOG").unwrap_or_default())
                    .is_ok_and(|log| !log.contains("seen"))
                {
                    thread::sleep(Duration::from_millis(1));
                }
                drop(again);
            });
            say("ended");
            Some(ExitCode::SUCCESS)
        }
        "dump-storm" => {
            let _guards = fleet(global(), kind);
            let _dump = asked();
            let storm = || (0..20_000).for_each(|_| raise());
            thread::scope(|threads| (0..4).for_each(|_| drop(threads.spawn(storm))));
            say("the storm is over");
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

fn asked() -> LeakDump {
    dump_on(SIGUSR1).expect("the signal is free")
}

fn ready(dump: LeakDump) -> Option<ExitCode> {
    dump.forget();
    say("ready");
    wait_for_ever()
}

fn raise() {
    // SAFETY: takes a number; handled on this thread before it returns.
    unsafe { libc::raise(SIGUSR1) };
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: c_int) {
    HANDLED.fetch_add(1, SeqCst);
}

fn handle() {
    let handler = count as extern "C" fn(c_int);
    // SAFETY: the handler is an item of this program, and does nothing but one atomic addition.
    unsafe { libc::signal(SIGUSR1, handler as usize) };
}

fn behind_a_handler() -> Option<ExitCode> {
    handle();
    let refused = dump_on(SIGUSR1);
    assert!(matches!(refused, Err(DumpError::ForeignHandler { signal: SIGUSR1 })), "{refused:?}");
    let refused = dump_on(libc::SIGKILL);
    assert!(matches!(refused, Err(DumpError::System { .. })), "{refused:?}");
    let other = dump_on(libc::SIGUSR2).expect("the signal is free");
    assert_eq!(format!("{other:?}"), "LeakDump { signal: 12, .. }");
    let refused = dump_on(libc::SIGALRM);
    assert!(matches!(refused, Err(DumpError::AlreadyInstalled { signal: libc::SIGUSR2 })), "{refused:?}");
    raise();
    say(format!("handled {}", HANDLED.load(SeqCst)));
    Some(ExitCode::SUCCESS)
}

/// Runs this in a forked child, and waits for that.
fn fork(child: impl FnOnce()) {
    // SAFETY: the child uses the allocator, which the C library keeps usable in a forked child, and ends below.
    match unsafe { libc::fork() } {
        -1 => panic!("no child can be forked"),
        0 => {
            child();
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: the status is ours to write to.
            let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!((waited, status), (pid, 0), "the child has to end well");
        }
    }
}
