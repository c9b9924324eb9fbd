//! A limit on how long a connection may last, or be idle.
//!
//! Invariant: the thread looks whether it was stopped right before it cuts, under the lock that stops it, and the cleanup
//! waits for the thread: after it nothing is cut.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::socket::shut_down;
use crate::adapters::held::Held;
use crate::adapters::joined::join;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// Cuts a connection when its time is over, unless it is cleaned before.
///
/// Cut means shut down both ways, for all who hold the socket: who waits in `read` gets the end of the stream, and so does
/// the peer. It is for a conversation as a whole, and for one in which [`restart`](ConnectionTimeout::restart) is called
/// whenever something happens; a limit for a single call is the socket's own `set_read_timeout`.
///
/// Its cleanup disarms it: after that nothing is cut. Dropped without a guard it is disarmed too. It has a descriptor of
/// its own for the socket, and a thread, until it is cleaned or has cut. In a task of tokio's, a
/// [`TokioTimer::once`](crate::adapters::TokioTimer::once) that cancels the conversation needs no thread.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::ConnectionTimeout;
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let _silent = listener.accept()?;
///
/// let limit = ConnectionTimeout::after(Duration::from_millis(1), &client)?;
/// let limit = ResourceManager::new("client").adopt(limit);
/// assert_eq!(client.read(&mut [0])?, 0); // without it for ever
/// assert!(limit.has_cut());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a timeout that is dropped cuts nothing"]
pub struct ConnectionTimeout {
    label: Label,
    limit: Duration,
    watch: Arc<Watch>,
    /// Until a cleanup joins it.
    thread: Held<JoinHandle<()>>,
}

/// What it shares with its thread.
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` for a limit beyond what a clock can tell.
    due: Option<Instant>,
    /// Nothing will be cut any more.
    over: bool,
    cut: bool,
}

impl ConnectionTimeout {
    /// Cuts this connection after so long: a TCP or a Unix stream, of the standard library, of tokio or of who else has a
    /// descriptor for it.
    ///
    /// # Errors
    /// When the system has no descriptor or no thread for it.
    pub fn after(limit: Duration, connection: &impl AsFd) -> io::Result<ConnectionTimeout> {
        let own = connection.as_fd().try_clone_to_owned()?;
        let state = State { due: Instant::now().checked_add(limit), over: false, cut: false };
        let watch = Arc::new(Watch { state: Mutex::new(state), changed: Condvar::new() });
        let there = Arc::clone(&watch);
        let thread = Builder::new().name("timeout".to_owned()).spawn(move || there.run(own))?;
        let label = Label::from(format!("timeout of {limit:?}"));
        Ok(ConnectionTimeout { label, limit, watch, thread: Held::new(thread) })
    }

    /// Begins the whole time anew: something has happened. Whether the connection has not been cut, nor the timeout
    /// cleaned, before.
    pub fn restart(&self) -> bool {
        let mut state = self.watch.state();
        // Later only: the thread finds that out when it wakes, and need not be woken.
        state.due = Instant::now().checked_add(self.limit);
        !state.over
    }

    /// Whether it has cut the connection.
    pub fn has_cut(&self) -> bool {
        self.watch.state().cut
    }

    /// Under this label instead of its limit.
    pub fn labelled(mut self, label: impl Into<Label>) -> ConnectionTimeout {
        self.label = label.into();
        self
    }
}

impl Watch {
    fn run(&self, connection: OwnedFd) {
        let mut state = self.state();
        while !state.over {
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => {
                    (state.over, state.cut) = (true, true);
                    // Under the lock, which who disarms it needs: a shutdown never waits. What fails is gone.
                    shut_down(connection).ok();
                    return;
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn stop(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resource for ConnectionTimeout {
    const CATEGORY: Category = Category::Network;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (watch, thread) = (Arc::clone(&self.watch), self.thread.clone());
        Cleanup::sync(move || {
            watch.stop();
            thread.take().map_or(Ok(()), |thread| join("timeout", thread))
        })
    }
}

impl Drop for ConnectionTimeout {
    fn drop(&mut self) {
        self.watch.stop();
    }
}

impl fmt::Debug for ConnectionTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionTimeout")
            .field("label", &self.label)
            .field("limit", &self.limit)
            .field("has_cut", &self.has_cut())
            .finish_non_exhaustive()
    }
}
