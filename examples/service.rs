//! A service of real parts, put under real traffic and torn down in order: the job castoff is made for.
//!
//! It takes orders over HTTP, lets a child process checksum each of them, and stores them in an SQLite file
//! in a temporary data directory. Everything it starts is registered where it is started, with what it
//! depends on:
//!
//! ```text
//! gate (critical: the first to go), sign        changed state
//! marker ready
//!   └─> marker address
//!         └─> http server                a thread of tiny_http
//!               └─> workers 1 to 4       a child manager: one place in the order
//!                     ├─> feed to audit ─> audit   a subscription to the feed of stored orders, and its thread
//!                     ├─> checksum process ─> data directory
//!                     └─> orders database ─> directory lock ─> data directory
//! current directory          ─> data directory
//! ticker (an interval timer) ─> orders database
//! marker pid                 ─> orders database
//! ```
//!
//! With `--features full` it has an asynchronous half, too, which tracks what becomes of the orders: an axum
//! server for HTTP and WebSocket, a pool of SQLite connections, a log, a WebSocket client, a health probe, a second
//! child process and tasks in the background. `tracking/mod.rs` tells who needs whom there. And it has an office, which
//! reports on both and answers questions: a directory that is watched, a buffered summary, a mapped index, a transaction
//! that stays open, a pool of r2d2's, Unix and UDP sockets, an action at a signal. `office/mod.rs` tells who needs whom
//! in it. One plan and one teardown for all three.
//!
//! Most parts are adopted by castoff's adapters. The database, the workers, the checksum process and the HTTP server
//! have cleanups written by hand, and in the asynchronous half the courier and the heartbeat: those that `--faulty` makes
//! go wrong, to show how that looks, and what no adapter knows.
//!
//! Every kind of adapter in `docs/adapters.md` has a job here but `EnvVar`, which a program of threads can't promise anything
//! for, and those of what needs a foreign server (PostgreSQL, redis, an engine of containers), as this has to run wherever
//! Rust and a C compiler are.
//!
//! `cargo run --example service -- --help` tells what it can show. Read `stack.rs` first: it starts
//! everything.

#[path = "service/arguments.rs"]
mod arguments;
#[path = "service/audit.rs"]
mod audit;
#[path = "service/checklist.rs"]
mod checklist;
#[path = "service/checksums.rs"]
mod checksums;
#[path = "service/database.rs"]
mod database;
#[path = "service/directory.rs"]
mod directory;
#[path = "service/endings.rs"]
mod endings;
#[path = "service/faults.rs"]
mod faults;
#[path = "service/gate.rs"]
mod gate;
#[path = "service/http_client.rs"]
mod http_client;
#[path = "service/http_server.rs"]
mod http_server;
#[path = "service/journal.rs"]
mod journal;
#[path = "service/leftovers.rs"]
mod leftovers;
#[path = "service/markers.rs"]
mod markers;
#[cfg(feature = "full")]
#[path = "service/office/mod.rs"]
mod office;
#[path = "service/stack.rs"]
mod stack;
#[path = "service/threads.rs"]
mod threads;
#[path = "service/ticker.rs"]
mod ticker;
#[cfg(feature = "full")]
#[path = "service/tracking/mod.rs"]
mod tracking;
#[path = "service/traffic.rs"]
mod traffic;
#[path = "service/workers.rs"]
mod workers;

use std::process::ExitCode;

use castoff::ResourceManager;

use arguments::{Ending, Job};
use checklist::Checklist;
use journal::Journal;
use leftovers::Leftovers;
use stack::Stack;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    let outcome = match Job::from_arguments(std::env::args().skip(1)) {
        Ok(Job::Help) => {
            print!("{}", arguments::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Ok(Job::Checksums(manners)) => checksums::child(manners).map(|()| ExitCode::SUCCESS),
        Ok(Job::Serve(ending)) => serve(ending),
        Err(mistake) => {
            eprintln!("service: {mistake}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("service: {error}");
        ExitCode::FAILURE
    })
}

/// Start, work, tear down, look what is left. Wherever a `?` leaves early, the guards clean up what was
/// started.
fn serve(ending: Ending) -> Result<ExitCode> {
    let before = leftovers::Before::look();
    let manager = ResourceManager::new("orders service");
    let journal = Journal::keep(&manager);
    let mut checklist = Checklist::default();

    let stack = Stack::start(&manager, ending == Ending::Faulty)?;
    stack::print_started(&manager);

    traffic::run(&manager, &stack, &mut checklist)?;
    let forgotten = match ending {
        Ending::Faulty => Some(faults::provoke(&stack)?),
        Ending::Batch | Ending::WrongOrder => None,
    };

    println!("\nThe plan:\n{}", manager.plan());
    let audited = audit::Expectation::of(&stack)?;
    let leftovers = Leftovers::to_look_for(&stack, before);
    #[cfg(feature = "full")]
    let (office, tracked) = (office::proof::Proof::of(&stack)?, tracking::proof::Proof::of(&stack)?);
    let live = manager.resources();
    match ending {
        Ending::Batch => endings::batch(&manager, stack, &mut checklist),
        Ending::WrongOrder => endings::wrong_order(&manager, stack, &journal, &mut checklist),
        Ending::Faulty => endings::faulty(&manager, stack, &mut checklist),
    }
    drop(forgotten);

    checklist.check("order kept: dependents first", journal.order_of(&live));
    checklist.check("nothing lost: audit", audited.compare());
    #[cfg(feature = "full")]
    {
        office.check(&mut checklist);
        tracked.check(&mut checklist);
    }
    leftovers.check(&manager, &mut checklist);
    if ending == Ending::Faulty {
        checklist.check("hung cleanup ended late", journal.finished_late(checksums::LABEL));
    }
    Ok(checklist.exit_code())
}
