//! HTTP servers: drained, then cut.
//!
//! Invariants:
//! 1. What is open is counted until its socket is dropped, by whomever: an upgraded connection, a WebSocket say, has left
//!    its server and is counted still.
//! 2. A cut goes by the socket itself, which is there as long as it is looked at, and needs no runtime.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::connection::Connection;
use super::socket::shut;
use crate::adapters::running::Running;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long to wait when the system has no descriptor, or no memory, for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long connections may live on once they have been cut.
const CUT: Duration = Duration::from_secs(1);

/// An HTTP server on the tokio runtime at hand, for an axum router or any service of tower. HTTP/1; HTTP/2 too, where
/// `hyper-util` has it turned on.
///
/// Its cleanup stops listening, which frees the port, and drains: idle connections are closed, requests under way are
/// answered, and upgraded connections (WebSockets) waited for. In the last resort what is still open is cut, by its
/// socket, whether or not the runtime has time for it. With its runtime gone it is gone, too.
///
/// A handler must not wait for its own server's end: that waits for the handler.
///
/// Dropped without a guard the server drains by itself.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, routing::get};
/// use castoff::ResourceManager;
/// use castoff::adapters::HttpServer;
/// use tokio::net::{TcpListener, TcpStream};
///
/// let manager = ResourceManager::new("shop");
/// let routes = Router::new().route("/", get(|| async { "tea" }));
/// let server = manager.adopt(HttpServer::serve(TcpListener::bind("127.0.0.1:0").await?, routes)?);
/// TcpStream::connect(server.address()).await?;
///
/// assert!(manager.teardown().run_async().await.is_success());
/// assert!(TcpStream::connect(server.address()).await.is_err());
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a server that is dropped ends"]
pub struct HttpServer {
    address: SocketAddr,
    open: Arc<Open>,
    running: Running,
}

impl HttpServer {
    /// Serves from now on.
    ///
    /// # Errors
    /// When the listener can't tell its address.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve<S, B>(listener: TcpListener, service: S) -> io::Result<HttpServer>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let address = listener.local_addr()?;
        let open = Arc::new(Open::default());
        let there = Arc::clone(&open);
        let running = Running::spawn(|ending| async move {
            while let Some(stream) = next(&listener, &ending).await {
                let connection = TokioIo::new(Connection::new(there.admit(stream)));
                let service = TowerToHyperService::new(service.clone());
                let server = Builder::new(TokioExecutor::new());
                let serving = server.serve_connection_with_upgrades(connection, service).into_owned();
                let ending = ending.clone();
                tokio::spawn(async move {
                    let mut serving = pin!(serving);
                    // It fails when its peer misbehaves, which is nothing to the others.
                    if ending.run_until_cancelled(serving.as_mut()).await.is_none() {
                        serving.as_mut().graceful_shutdown();
                        serving.await.ok();
                    }
                });
            }
            drop(listener);
            there.wait_until_empty().await;
        });
        Ok(HttpServer { address, open, running })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open.count()
    }
}

/// The next connection. `None` when the server ends.
async fn next(listener: &TcpListener, ending: &CancellationToken) -> Option<TcpStream> {
    loop {
        match ending.run_until_cancelled(listener.accept()).await? {
            Ok((stream, _)) => return Some(stream),
            // The peer has gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => (),
            Err(_) => ending.run_until_cancelled(tokio::time::sleep(PAUSE)).await?,
        }
    }
}

impl Resource for HttpServer {
    const CATEGORY: Category = Category::Network;

    fn label(&self) -> Label {
        Label::from(format!("http server {}", self.address))
    }

    fn cleanup(&mut self) -> Cleanup {
        let (open, running) = (Arc::clone(&self.open), self.running.ending());
        self.running.cleanup().last_resort(move || {
            // The task goes on: it frees the port, and waits for what is cut here.
            running.cancel();
            open.cut()
        })
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("address", &self.address)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    sockets: Mutex<Sockets>,
    empty: Notify,
}

#[derive(Default)]
struct Sockets {
    all: HashMap<u64, Weak<TcpStream>>,
    next: u64,
    /// What comes now is cut at once.
    cut: bool,
}

impl Open {
    fn admit(self: &Arc<Self>, stream: TcpStream) -> Counted {
        let socket = Arc::new(stream);
        let mut sockets = self.sockets();
        if sockets.cut {
            shut(&*socket).ok();
        }
        let number = sockets.next;
        sockets.next += 1;
        sockets.all.insert(number, Arc::downgrade(&socket));
        Counted { socket, number, open: Arc::clone(self) }
    }

    fn count(&self) -> usize {
        self.sockets().all.len()
    }

    async fn wait_until_empty(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Shuts all sockets down, and waits a little until whoever has them has seen that.
    fn cut(&self) -> Result<(), String> {
        let sockets: Vec<_> = {
            let mut sockets = self.sockets();
            sockets.cut = true;
            sockets.all.values().filter_map(Weak::upgrade).collect()
        };
        for socket in &sockets {
            // What fails is gone.
            shut(&**socket).ok();
        }
        drop(sockets);
        let limit = Instant::now() + CUT;
        while self.count() > 0 {
            if Instant::now() >= limit {
                return Err(format!("{} connections are cut, but still held", self.count()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that is counted while it is held.
pub(super) struct Counted {
    pub(super) socket: Arc<TcpStream>,
    number: u64,
    open: Arc<Open>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut sockets = self.open.sockets();
        sockets.all.remove(&self.number);
        let last = sockets.all.is_empty();
        drop(sockets);
        if last {
            self.open.empty.notify_waiters();
        }
    }
}
