//! The same hundred files guarded by each peer, as its own documentation shows it.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use castoff::{ExitOptions, ManagerConfig, ResourceManager};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;
use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};

use crate::death::{Every, for_ever};
use crate::work::{FILES, Work};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct Peer {
    pub name: &'static str,
    pub run: fn(Work) -> ExitCode,
    /// Whether its cleanups can be made to panic and to hang.
    pub is_general: bool,
}

pub const PEERS: [Peer; 6] = [
    Peer { name: "castoff", run: castoff, is_general: true },
    Peer { name: "scopeguard", run: scopeguard, is_general: true },
    Peer { name: "tempfile", run: tempfile, is_general: false },
    Peer { name: "ctrlc", run: ctrlc, is_general: true },
    Peer { name: "signal-hook", run: signal_hook, is_general: true },
    Peer { name: "tokio-graceful-shutdown", run: graceful_shutdown, is_general: true },
];

/// With a deadline of a second for the whole, and a limit of 50 ms for each cleanup.
fn castoff(work: Work) -> ExitCode {
    let deadline = Duration::from_secs(1);
    let config = ManagerConfig::default().shutdown_deadline(deadline);
    let manager = ResourceManager::init_global(config).expect("nobody was first");
    let hooks = manager.install_exit_hooks(ExitOptions::default().deadline(deadline));
    hooks.expect("nobody else has a handler").forget();
    let guard = |cleanup| manager.resource("file").timeout(Duration::from_millis(50)).guard(cleanup);
    let guards: Vec<_> = work.cleanups().into_iter().map(guard).collect();
    work.ready();
    work.death.come(for_ever);
    drop(guards);
    ExitCode::SUCCESS
}

fn scopeguard(work: Work) -> ExitCode {
    let guards: Vec<_> =
        work.cleanups().into_iter().map(|cleanup| scopeguard::guard((), |()| cleanup())).collect();
    work.ready();
    work.death.come(for_ever);
    drop(guards);
    ExitCode::SUCCESS
}

fn tempfile(work: Work) -> ExitCode {
    let file = |_| tempfile::NamedTempFile::new_in(&work.folder).expect("there is room");
    let files: Vec<_> = (0..FILES).map(file).collect();
    work.ready();
    work.death.come(for_ever);
    drop(files);
    ExitCode::SUCCESS
}

/// `main` waits for the handler, and cleans then.
fn ctrlc(work: Work) -> ExitCode {
    let (tell, told) = mpsc::channel();
    ctrlc::set_handler(move || tell.send(()).expect("main waits")).expect("the first handler");
    let cleanups = work.cleanups();
    work.ready();
    work.death.come(|| told.recv().expect("the handler is there"));
    cleanups.into_iter().for_each(|cleanup| cleanup());
    ExitCode::SUCCESS
}

/// `main` waits for a signal, cleans, and dies by it. `TERM_SIGNALS` are SIGTERM, SIGQUIT and SIGINT.
fn signal_hook(work: Work) -> ExitCode {
    let mut signals = Signals::new(TERM_SIGNALS).expect("they can be caught");
    let cleanups = work.cleanups();
    work.ready();
    let mut came = None;
    work.death.come(|| came = signals.forever().next());
    cleanups.into_iter().for_each(|cleanup| cleanup());
    if let Some(signal) = came {
        signal_hook::low_level::emulate_default_handler(signal).expect("it can be died by");
    }
    ExitCode::SUCCESS
}

/// One subsystem for each file, and one that comes to the end. A second for all to end.
fn graceful_shutdown(work: Work) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(run_gracefully(work));
    // Its own way out of `main` is `?`.
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run_gracefully(work: Work) -> Result<(), Failure> {
    let toplevel = Toplevel::<Failure>::new(async move |top: &mut SubsystemHandle<Failure>| {
        for (number, cleanup) in work.cleanups().into_iter().enumerate() {
            let fault = work.fault(number);
            let subsystem = async move |subsystem: &mut SubsystemHandle<Failure>| {
                subsystem.on_shutdown_requested().await;
                // Its cleanups await: they hang by awaiting.
                if fault == Every::Hangs {
                    std::future::pending::<()>().await;
                }
                cleanup();
                Ok::<(), Failure>(())
            };
            top.start(SubsystemBuilder::new(format!("file {number}"), subsystem));
        }
        let end = async move |subsystem: &mut SubsystemHandle<Failure>| {
            work.ready();
            let mut waits = false;
            work.death.come(|| waits = true);
            match waits {
                true => subsystem.on_shutdown_requested().await,
                false => subsystem.request_shutdown(),
            }
            Ok::<(), Failure>(())
        };
        top.start(SubsystemBuilder::new("main", end));
    });
    Ok(toplevel.catch_signals().handle_shutdown_requests(Duration::from_secs(1)).await?)
}
