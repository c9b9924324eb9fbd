//! Ends that the program chooses itself, or does not.

use std::process::{ExitCode, Termination};
use std::thread;
use std::time::Duration;

use castoff::{CleanupReason, ExitOptions, ManagerConfig, ResourceManager};

use crate::fleet::{Kind, fleet, global, hanging, install, one, wait_for_ever};
use crate::log::say;

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    Some(match case {
        "nothing" => ExitCode::from(3),
        "return" => {
            let guards = fleet(global(), kind);
            say("body");
            drop(guards);
            ExitCode::from(3)
        }
        "return-held" => {
            std::mem::forget(fleet(global(), kind));
            say("body");
            ExitCode::from(3)
        }
        "question" => question(kind).report(),
        "exit" => {
            let _guards = fleet(global(), kind);
            std::process::exit(0)
        }
        "exit-7-elsewhere" => {
            let _guards = fleet(global(), kind);
            thread::spawn(|| std::process::exit(7));
            wait_for_ever()
        }
        "exit-in-a-child-manager" => {
            let _guards = fleet(&ResourceManager::new("service"), kind);
            std::process::exit(0)
        }
        "exit-hanging" => {
            limited();
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            std::process::exit(5)
        }
        "exit-failing" => {
            let _guards = fleet(global(), kind);
            let _bad =
                (global().guard("journal", || Err("disk full")), global().guard("index", || panic!("torn")));
            std::process::exit(5)
        }
        "exit-in-a-cleanup" => {
            let _guards = fleet(global(), kind);
            drop(global().guard("fatal", || std::process::exit(5)));
            wait_for_ever()
        }
        "exit-in-a-teardown" => {
            let _guards = fleet(global(), kind);
            let fatal = global().resource("fatal").timeout(Duration::from_millis(300));
            let _fatal = fatal.guard(|| std::process::exit(5)).expect("it can be registered");
            let report = global().cleanup();
            say(format!("{} cleaned", report.cleaned()));
            wait_for_ever()
        }
        "exit-in-an-exit-hook" => {
            let _guards = fleet(global(), kind);
            let why = global().resource("why").guard_with_context(|cx| {
                say(format!("{:?}", cx.reason()));
                assert_eq!(cx.reason(), CleanupReason::ProcessExit);
            });
            let _why = why.expect("it can be registered");
            std::process::exit(0)
        }
        "exit-after-shutdown" => {
            let _guards = fleet(global(), kind);
            assert!(global().shutdown().is_success());
            std::mem::forget(global().guard("too late", || say("too late")));
            let before = threads();
            say(format!("threads {before}"));
            ExitCode::SUCCESS
        }
        "panic-main" => {
            let _guards = fleet(global(), kind);
            panic!("main is done for")
        }
        "panic-worker" => {
            let _guards = fleet(global(), kind);
            let worker = thread::spawn(move || {
                let _own = one(global(), kind, "worker's own", &[]);
                panic!("a worker is done for")
            });
            assert!(worker.join().is_err());
            say("main goes on");
            ExitCode::from(4)
        }
        "panic-hanging" => {
            limited();
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            panic!("main is done for")
        }
        "panic-in-cleanups" => {
            limited();
            let _guards = fleet(global(), kind);
            let _bad = global().guard("torn", || panic!("torn"));
            panic!("main is done for")
        }
        "run" => castoff::run(|| {
            std::mem::forget(fleet(global(), kind));
            let by = thread::current().id();
            let local = one(global(), kind, "by a local", &[]);
            say(format!("body on {}", if by == thread::current().id() { "main" } else { "another" }));
            drop(local);
            ExitCode::from(6)
        }),
        "run-error" => castoff::run(|| question(kind)),
        "run-panic" => castoff::run(|| {
            std::mem::forget(fleet(global(), kind));
            if true {
                panic!("main is done for")
            }
        }),
        "run-within-run" => castoff::run(|| {
            let _guards = fleet(global(), kind);
            let inner = castoff::run(|| say("inner"));
            assert_eq!(inner, ExitCode::SUCCESS);
            say("outer");
            inner
        }),
        "run-twice" => {
            assert_eq!(castoff::run(|| std::mem::forget(fleet(global(), kind))), ExitCode::SUCCESS);
            say("again");
            castoff::run(|| drop(global().guard("later", || say("later"))))
        }
        "run-thread-locals" => {
            thread_local! {
                static OWN: std::cell::RefCell<Option<Farewell>> = const { std::cell::RefCell::new(None) };
            }
            OWN.set(Some(Farewell));
            castoff::run(|| std::mem::forget(fleet(global(), kind)))
        }
        "stderr-full" => {
            limited();
            let _guards = fleet(global(), kind);
            let _bad = global().guard("journal", || Err("disk full"));
            std::process::exit(5)
        }
        "exit-slow" => {
            let config = ManagerConfig::default().slow_after(Duration::from_millis(50));
            ResourceManager::init_global(config).expect("nobody was first");
            let slow = |name: &'static str, needs: &[&crate::fleet::Guard]| {
                let resource = needs.iter().fold(global().resource(name), |it, need| it.depends_on(*need));
                let slow = resource.guard(|| thread::sleep(Duration::from_millis(800)));
                slow.expect("it can be registered")
            };
            let pool = slow("pool", &[]);
            let cache = slow("cache", &[&pool]);
            let _guards = (slow("server", &[&cache]), cache, pool);
            std::process::exit(5)
        }
        "bad-listener" => {
            limited();
            let _guards = fleet(global(), kind);
            let listening = global().subscribe(|event| {
                if let castoff::ResourceEvent::TeardownFinished { .. } = event {
                    say("the listener hangs");
                    thread::sleep(Duration::from_secs(600));
                }
            });
            std::mem::forget(listening);
            std::process::exit(5)
        }
        "always-reported" => {
            install(ExitOptions::default().report(castoff::ExitReporting::Always)).forget();
            std::mem::forget(fleet(global(), kind));
            ExitCode::SUCCESS
        }
        _ => return None,
    })
}

/// The global manager with a deadline of a second.
pub fn limited() {
    ResourceManager::init_global(ManagerConfig::default().shutdown_deadline(Duration::from_secs(1)))
        .expect("nobody was first");
}

fn question(kind: Kind) -> Result<(), Box<dyn std::error::Error>> {
    let _guards = fleet(global(), kind);
    std::mem::forget(one(global(), kind, "forgotten", &[]));
    "no number".parse::<u16>()?;
    Ok(())
}

struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        say("thread-local gone");
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
