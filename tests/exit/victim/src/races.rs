//! Ends that meet something that is under way.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ResourceManager};

use crate::fleet::{Guard, Kind, fleet, global, install, one, wait_for_ever};
use crate::log::say;

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    match case {
        "signal-in-a-drop" => {
            install(ExitOptions::default()).forget();
            let [pool, cache, server] = fleet(global(), kind);
            let slow = global().resource("slow").depends_on(&server).guard(|| {
                say("ready");
                thread::sleep(Duration::from_millis(300));
                say("slow");
            });
            std::mem::forget((pool, cache, server));
            drop(slow.expect("it can be registered"));
            wait_for_ever()
        }
        "signal-in-a-teardown" => {
            install(ExitOptions::default()).forget();
            let _guards = (fleet(global(), kind), slow(global(), &[]));
            let _later = one(global(), kind, "first", &[]);
            let report = global().cleanup();
            say(format!("main saw {} cleaned", report.cleaned()));
            wait_for_ever()
        }
        "signal-in-a-shutdown-then-return" => {
            install(ExitOptions::default()).forget();
            let _guards = (fleet(global(), kind), slow(global(), &[]));
            drop(global().shutdown());
            Some(ExitCode::from(5))
        }
        "exit-in-a-shutdown" | "exit-in-a-childs-teardown" => {
            let manager = match case {
                "exit-in-a-shutdown" => global().clone(),
                _ => ResourceManager::new("service"),
            };
            // Two teardowns keep the order that was declared, so it is.
            let guards = fleet(&manager, kind);
            std::mem::forget(slow(&manager, &guards[2..]));
            std::mem::forget(guards);
            thread::spawn(move || drop(manager.shutdown()));
            until_the_slow_one_runs();
            std::process::exit(8)
        }
        "signal-in-an-exit" => {
            install(ExitOptions::default()).forget();
            let _guards = (fleet(global(), kind), slow(global(), &[]));
            std::process::exit(5)
        }
        "exit-in-a-signals-teardown" => {
            install(ExitOptions::default()).forget();
            let _guards = (fleet(global(), kind), slow(global(), &[]));
            say("waiting");
            until_the_slow_one_runs();
            say("exit");
            std::process::exit(5)
        }
        "storm" => {
            install(ExitOptions::default()).forget();
            for thread in 0..2 {
                thread::spawn(move || register_for_ever(thread));
            }
            wait_for_ever()
        }
        "fork" | "fork-return" => {
            std::mem::forget(fleet(global(), kind));
            install(ExitOptions::default()).forget();
            // SAFETY: the child goes on with this thread alone, and ends at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                if case == "fork-return" {
                    return Some(ExitCode::from(21));
                }
                std::process::exit(21);
            }
            say(format!("child {}", status_of(child)));
            Some(ExitCode::from(22))
        }
        "fork-signal" => {
            std::mem::forget(fleet(global(), kind));
            install(ExitOptions::default()).forget();
            // SAFETY: the child only sleeps, and is ended by a signal.
            let child = unsafe { libc::fork() };
            if child == 0 {
                wait_for_ever();
            }
            // SAFETY: the child has not been waited for: the number is its own.
            unsafe { libc::kill(child, libc::SIGTERM) };
            say(format!("child {}", status_of(child)));
            Some(ExitCode::from(22))
        }
        _ => None,
    }
}

fn status_of(child: libc::pid_t) -> String {
    let mut status = 0;
    // SAFETY: `status` is there to be written to, and nobody else waits for this child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    match libc::WIFEXITED(status) {
        true => format!("exit {}", libc::WEXITSTATUS(status)),
        false => format!("signal {}", libc::WTERMSIG(status)),
    }
}

static RUNS: AtomicBool = AtomicBool::new(false);

/// Takes a moment, and says when it begins and when it ends.
fn slow(manager: &ResourceManager, needs: &[Guard]) -> Guard {
    let cleanup = move || {
        RUNS.store(true, Relaxed);
        say("ready");
        thread::sleep(Duration::from_millis(300));
        say("slow");
    };
    let registration = needs.iter().fold(manager.resource("slow"), |it, need| it.depends_on(need));
    registration.guard(cleanup).expect("it can be registered")
}

fn until_the_slow_one_runs() {
    while !RUNS.load(Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Registers through builders, which are refused in the end; keeps some, drops some. Each says `+n` when it is there,
/// and `-n` when it is cleaned.
fn register_for_ever(thread: u64) {
    let mut kept: Vec<Guard> = Vec::new();
    for at in 0.. {
        let number = thread * 1_000_000 + at;
        let made = global().resource("one of many").guard(move || say(format!("-{number}")));
        let Ok(guard) = made else { break };
        say(format!("+{number}"));
        kept.push(guard);
        if at == 50 {
            say("ready");
        }
        if at % 3 == 0 {
            drop(kept.swap_remove((at / 2) as usize % kept.len()));
        }
        // The log is to be read again.
        thread::sleep(Duration::from_micros(200));
    }
    wait_for_ever()
}
