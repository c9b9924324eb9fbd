//! The tracking server: HTTP and WebSocket by axum. Its end is in two steps: first its connections are drained,
//! and if that takes too long they are cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};
use sqlx::SqlitePool;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Sender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Result;
use crate::tracking::Update;
use crate::tracking::lines::Lines;
use crate::tracking::routes::{Answered, Desk, routes};
use crate::tracking::tally::Tally;

/// How long its connections may take to drain.
const DRAIN: Duration = Duration::from_secs(2);
/// How long they may live on once they have been cut.
const CUT: Duration = Duration::from_secs(1);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) answered: Arc<Answered>,
}

pub(crate) async fn start(
    manager: &ResourceManager,
    pool: &ResourceGuard<Arc<SqlitePool>>,
    tally: &ResourceGuard<Arc<Tally>>,
    updates: Sender<Update>,
) -> Result<ResourceGuard<Server>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answered = Arc::new(Answered::default());
    // Every task of the server's: the one that accepts, and one for each WebSocket.
    let (closing, cut, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let desk = Desk {
        pool: Arc::clone(pool),
        updates,
        answered: Arc::clone(&answered),
        closing: closing.clone(),
        conversations: tasks.clone(),
    };
    let serve = axum::serve(Lines { listener, cut: cut.clone() }, routes(desk))
        .with_graceful_shutdown(closing.clone().cancelled_owned());
    let serving = tasks.spawn(serve.into_future());

    let guard = manager
        .resource("tracking server")
        .category(Category::Network)
        .description(format!("http://{address}, ws://{address}/live"))
        .depends_on(tally)
        .depends_on(pool)
        .timeout(DRAIN)
        .keep(Server { address, answered }, ending(serving, tasks, closing, cut))?;
    Ok(guard)
}

fn ending(
    serving: JoinHandle<io::Result<()>>,
    tasks: TaskTracker,
    closing: CancellationToken,
    cut: CancellationToken,
) -> Cleanup {
    let left = tasks.clone();
    let drain = Cleanup::future(move || async move {
        closing.cancel();
        serving.await??;
        tasks.close();
        tasks.wait().await;
        castoff::done()
    });
    drain.last_resort(move || {
        cut.cancel();
        all_ended(&left)
    })
}

/// Cut connections end by themselves, in no time. A last resort does not await, so this looks again and again.
fn all_ended(tasks: &TaskTracker) -> Result<()> {
    let limit = Instant::now() + CUT;
    while !tasks.is_empty() {
        if Instant::now() >= limit {
            return Err(format!("{} tasks live on", tasks.len()).into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
