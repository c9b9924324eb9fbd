//! A process that is sent the signals that castoff handles, for RealtimeSanitizer: what a handler may not do ends it.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // Signals are sent by the C library.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ResourceManager};

/// How often the signal that asks is sent.
const QUESTIONS: usize = 100;

fn send(signal: i32) {
    // SAFETY: takes a number; the handler is castoff's.
    unsafe { libc::raise(signal) };
}

#[test]
fn handlers_do_nothing_that_a_handler_may_not() {
    let this = std::env::current_exe().expect("it runs");
    let mut child = Command::new(this);
    child.args(["--exact", "the_program", "--ignored", "--nocapture"]).env("RUST_BACKTRACE", "0");
    let ended = child.output().expect("it can be started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(libc::SIGTERM), "{}: {said}", ended.status);
    assert!(said.contains("it was cleaned") && !said.contains("RealtimeSanitizer"), "{said}");
    println!("{QUESTIONS} questions by SIGUSR1 and an end by SIGTERM: 0 reports");
}

#[test]
#[ignore = "what the other one starts"]
fn the_program() {
    let manager = ResourceManager::global();
    manager.install_exit_hooks(ExitOptions::default()).expect("nobody else has a handler").forget();
    let dump = castoff::dump_on(libc::SIGUSR1).expect("nobody else has a handler");
    let _guard = manager.guard("one", || eprintln!("it was cleaned"));
    for _ in 0..QUESTIONS {
        send(libc::SIGUSR1);
        thread::sleep(Duration::from_millis(1));
    }
    send(libc::SIGTERM);
    // At most so long that nobody is left behind.
    thread::sleep(Duration::from_secs(30));
    drop(dump);
}
