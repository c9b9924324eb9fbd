//! The clerks, who tell how things stand: one to whoever connects to the admin socket, and one on the terminal, when the
//! process gets the signal SIGUSR1.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use castoff::adapters::{SignalHandler, SqliteConnection, TemporaryDirectory, Worker};
use castoff::{ResourceGuard, ResourceManager};
use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::pipe;

use crate::Result;
use crate::office::reading::parcels;

pub(crate) struct Clerks {
    pub(crate) state: Arc<State>,
    /// Where the bytes come from that the action at the signal writes.
    pub(crate) signals: UnixStream,
    _clerks: [ResourceGuard<Worker>; 2],
    _handler: ResourceGuard<SignalHandler>,
    _socket: ResourceGuard<UnixListener>,
}

/// How things stand.
pub(crate) struct State {
    pub(crate) reports: AtomicU64,
    pub(crate) signals: AtomicU64,
    view: SqliteConnection,
}

impl State {
    fn line(&self) -> String {
        let (reports, signals) = (self.reports.load(Ordering::SeqCst), self.signals.load(Ordering::SeqCst));
        let parcels = parcels(&self.view).map_or_else(|error| error.to_string(), |count| count.to_string());
        format!("reports: {reports}, signals: {signals}, parcels: {parcels}")
    }
}

pub(crate) fn admin_socket(scratch: &TemporaryDirectory) -> PathBuf {
    scratch.join("admin")
}

impl Clerks {
    pub(crate) fn hire(
        manager: &ResourceManager,
        scratch: &ResourceGuard<TemporaryDirectory>,
        view: &ResourceGuard<SqliteConnection>,
    ) -> Result<Clerks> {
        let (reports, signals) = Default::default();
        let state = Arc::new(State { reports, signals, view: SqliteConnection::clone(view) });
        let socket = UnixListener::bind(admin_socket(scratch))?;
        let (calls, told) = (socket.try_clone()?, Arc::clone(&state));
        // It ends when the socket is shut down, which is that one's cleanup. A caller that hangs up misses its line.
        let admin = Worker::spawn("admin clerk", move |_| {
            while let Ok((mut caller, _)) = calls.accept() {
                drop(writeln!(caller, "{}", told.line()));
            }
        })?;
        let admin = manager.resource("admin clerk").depends_on(view).adopt(admin)?;
        let socket = manager.resource("admin socket").depends_on(&admin).depends_on(scratch).adopt(socket)?;
        // An action may do next to nothing: this one writes a byte. The clerk ends when no action has the other end.
        let (other_end, mut bytes) = UnixStream::pair()?;
        let (signals, told) = (bytes.try_clone()?, Arc::clone(&state));
        let signal = Worker::spawn("signal clerk", move |_| {
            while matches!(bytes.read(&mut [0]), Ok(1)) {
                told.signals.fetch_add(1, Ordering::SeqCst);
                println!("(SIGUSR1: {})", told.line());
            }
        })?;
        let signal = manager.resource("signal clerk").depends_on(view).adopt(signal)?;
        let handler = SignalHandler::new("signal handler", pipe::register(SIGUSR1, other_end)?);
        let handler =
            manager.resource("signal handler").description("SIGUSR1").depends_on(&signal).adopt(handler)?;
        Ok(Clerks { state, signals, _clerks: [admin, signal], _handler: handler, _socket: socket })
    }
}
