//! Resources for what people hold: a typed value for each kind, ready for [`adopt`](crate::ResourceManager::adopt).
//!
//! Each takes the real thing and shares it with its cleanup, so that a teardown can end it while the guard is still
//! held. Four rules hold for all of them:
//!
//! 1. **By handle.** A cleanup ends what was adopted and nothing else: not what got the same number, path or name later.
//! 2. **Already gone is a success.** Whoever ends the thing before its cleanup has done the cleanup's work.
//! 3. **After its cleanup a value says so.** A guard that is still held answers with errors or `None`; it never panics.
//! 4. **Bounded where it can be.** What may have to wait has a limit of its own, and forces where it can.
//!
//! `docs/adapters.md` has the table of all of them, and how to write your own.

// Architecture: adapters know the vocabulary (`cleanup`, `id`, `resource`) and nothing else of castoff, and nothing knows
// them. A file for each kind; a folder where a kind has many.
mod custom;
mod database;
mod event;
mod file;
mod held;
mod joined;
mod network;
#[allow(dead_code)] // each feature uses a part of it
mod pause;
mod process;
#[cfg(feature = "tokio")]
mod running;
#[cfg(any(feature = "tokio", feature = "rusqlite"))]
#[allow(dead_code)] // each feature uses a part of it
mod slot;
mod timer;

pub use custom::{CurrentDirectory, EnvVar, Place, Restore};
#[cfg(feature = "redis")]
pub use database::RedisConnection;
#[cfg(feature = "rusqlite")]
pub use database::SqliteConnection;
#[cfg(feature = "sqlx-postgres")]
pub use database::{AdvisoryLock, SchemaInUse, TempDatabase, TempSchema};
#[cfg(feature = "sqlx")]
pub use database::{CommitError, OpenTransaction, Session, SessionState};
pub use database::{ConnectionPool, StillLent};
#[cfg(feature = "tracing-appender")]
pub use event::LogWriter;
pub use event::{Emitter, Handler, Listener};
#[cfg(feature = "tokio")]
pub use event::{Received, Source, Streamed, Subscribed, TokioListener};
#[cfg(feature = "notify")]
pub use file::FileWatcher;
#[cfg(feature = "memmap2")]
pub use file::MemoryMap;
pub use file::{FileLock, OpenFile, Writer};
#[cfg(feature = "tempfile")]
pub use file::{TemporaryDirectory, TemporaryFile};
#[cfg(unix)]
pub use network::ConnectionTimeout;
#[cfg(feature = "reqwest")]
pub use network::HttpClient;
#[cfg(all(unix, feature = "hyper"))]
pub use network::HttpServer;
#[cfg(feature = "tokio-tungstenite")]
pub use network::WebSocket;
#[cfg(feature = "signal-hook")]
pub use process::SignalHandler;
#[cfg(feature = "testcontainers")]
pub use process::TestContainer;
#[cfg(all(unix, feature = "process"))]
pub use process::{ChildError, ChildProcess, ProcessMonitor};
pub use process::{StopSignal, Worker, WorkerError};
#[cfg(feature = "tokio")]
pub use process::{Task, TaskError, Tasks};
#[cfg(any(feature = "tokio", feature = "rusqlite"))]
pub use slot::{Borrowed, Gone};
#[cfg(feature = "tokio")]
pub use timer::TokioTimer;
pub use timer::{Tick, Timer};
