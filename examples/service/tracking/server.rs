//! The tracking server: HTTP and WebSocket by axum. Its end is in two steps: first its connections are drained,
//! and if that takes too long they are cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use castoff::adapters::{HttpServer, LogWriter};
use castoff::{ResourceGuard, ResourceId, ResourceManager};
use sqlx::SqlitePool;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Sender;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::NonBlocking;

use crate::Result;
use crate::tracking::Update;
use crate::tracking::routes::{Answered, Desk, routes};

/// How long its connections may take to drain.
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) struct Server {
    pub(crate) answered: Arc<Answered>,
    pub(crate) guard: ResourceGuard<HttpServer>,
    pub(crate) farewell: ResourceGuard<()>,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.guard.address()
    }
}

pub(crate) async fn start(
    manager: &ResourceManager,
    pool: &ResourceGuard<SqlitePool>,
    log: (NonBlocking, &ResourceGuard<LogWriter>),
    tally: ResourceId,
    updates: Sender<Update>,
) -> Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (answered, closing) = (Arc::new(Answered::default()), CancellationToken::new());
    let desk = Desk {
        pool: SqlitePool::clone(pool),
        updates,
        log: log.0,
        answered: Arc::clone(&answered),
        closing: closing.clone(),
    };
    let server = HttpServer::serve(listener, routes(desk))?;
    let address = server.address();
    let guard = manager
        .resource("tracking server")
        .description(format!("http://{address}, ws://{address}/live"))
        .depends_on_all([tally, ResourceGuard::id(pool), ResourceGuard::id(log.1)])
        .timeout(DRAIN)
        .adopt(server)?;
    // The server waits for its WebSockets; who talks over them has to be told.
    let farewell = manager
        .resource("farewell")
        .description("tells the WebSockets to say goodbye")
        .depends_on(&guard)
        .guard(move || closing.cancel())?;
    Ok(Server { answered, guard, farewell })
}
