//! Connections of redis.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio_util::sync::CancellationToken;

use crate::adapters::held::{Held, closed};
use crate::adapters::pause::Pause;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

const GRACE: Duration = Duration::from_secs(5);

/// A connection to Redis that many tasks use at a time: a `MultiplexedConnection`, or a `ConnectionManager`, which connects
/// again. A clone is the same connection.
///
/// It is used as what it holds: by `redis::cmd` and pipelines, and by the methods of `AsyncCommands`. Its cleanup refuses
/// what is asked from then on, by whichever clone; waits for the answers to what was asked before (5 s, or
/// [`grace`](RedisConnection::grace)); and drops the connection, which ends the task that drives it and closes its
/// socket. In the last resort who still waits for an answer gets an error at once: whether Redis has done what it was
/// asked is not known then.
///
/// redis has no way to close a connection that others hold, too: it lives as long as any clone of what was handed over.
/// [`connect`](RedisConnection::connect) leaves no other. A `ConnectionManager` that connects again at that moment first
/// comes to the end of its attempts; if its runtime ends before, redis never frees it. The task ends on the runtime that made it, which must not be blocked for the socket
/// to close; if it has ended the socket is closed already.
///
/// # Examples
/// ```no_run
/// # async fn example() -> redis::RedisResult<()> {
/// use castoff::ResourceManager;
/// use castoff::adapters::RedisConnection;
/// use redis::AsyncCommands;
///
/// let client = redis::Client::open("redis://localhost")?; // not run: it needs a server
/// let redis = ResourceManager::current().adopt(RedisConnection::connect(&client).await?);
/// let mut orders = (*redis).clone();
/// let _: i64 = orders.incr("orders", 1).await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisConnection<C = MultiplexedConnection> {
    label: Label,
    /// Who waits for an answer has one more.
    connection: Held<Arc<C>>,
    cut: CancellationToken,
    grace: Duration,
}

impl RedisConnection {
    /// Connects, on the runtime at hand.
    ///
    /// # Errors
    /// Those of the server, and of the way to it.
    pub async fn connect(client: &Client) -> RedisResult<RedisConnection> {
        let connection = client.get_multiplexed_async_connection().await?;
        Ok(RedisConnection::new(format!("redis {}", client.get_connection_info().addr()), connection))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisConnection<C> {
    /// Takes a connection, of which nobody keeps a clone.
    pub fn new(label: impl Into<Label>, connection: C) -> RedisConnection<C> {
        let (connection, cut) = (Held::new(Arc::new(connection)), CancellationToken::new());
        RedisConnection { label: label.into(), connection, cut, grace: GRACE }
    }

    /// How long the cleanup waits for answers: 5 s unless set.
    pub fn grace(self, grace: Duration) -> RedisConnection<C> {
        RedisConnection { grace, ..self }
    }

    /// The connection itself, for this and all clones. `None` after its cleanup.
    pub fn into_inner(self) -> Option<C> {
        self.connection.take().map(Arc::unwrap_or_clone)
    }

    fn used(&self) -> RedisResult<Used<C>> {
        let counted =
            self.connection.with(|connection| Arc::clone(connection)).ok_or_else(|| self.closed())?;
        Ok(Used { connection: C::clone(&counted), _counted: counted })
    }

    async fn until_cut<R>(&self, request: impl Future<Output = RedisResult<R>>) -> RedisResult<R> {
        self.cut.run_until_cancelled(request).await.unwrap_or_else(|| Err(self.closed()))
    }

    fn closed(&self) -> RedisError {
        closed(&self.label).into()
    }
}

/// A connection in use, counted as long as it is.
struct Used<C> {
    // The first to be dropped: what is counted no more is gone.
    connection: C,
    _counted: Arc<C>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> ConnectionLike for RedisConnection<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut used = self.used()?;
            self.until_cut(used.connection.req_packed_command(cmd)).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut used = self.used()?;
            self.until_cut(used.connection.req_packed_commands(pipeline, offset, count)).await
        })
    }

    /// Which database it uses. Zero after the cleanup.
    fn get_db(&self) -> i64 {
        self.used().map_or(0, |used| used.connection.get_db())
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Resource for RedisConnection<C> {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (label, connection, grace) = (self.label.clone(), self.connection.clone(), self.grace);
        let (last, cut) = (self.connection.clone(), self.cut.clone());
        let answered = Cleanup::future(move || async move {
            let Some(connection) = connection.take() else { return Ok(()) };
            answered(&connection, grace).await.map_err(|left| {
                format!("`{label}` was closed {grace:.1?} ago, and {left} of its commands had no answer yet")
            })
        });
        answered.last_resort(move || {
            // Where it could not even begin.
            drop(last.take());
            cut.cancel();
        })
    }
}

/// Waits until nobody else uses it, for so long; or how many still do.
async fn answered<C>(connection: &Arc<C>, grace: Duration) -> Result<(), usize> {
    let (start, mut pause) = (Instant::now(), Pause::default());
    loop {
        let users = Arc::strong_count(connection) - 1;
        let left = grace.saturating_sub(start.elapsed());
        match users {
            0 => return Ok(()),
            _ if left.is_zero() => return Err(users),
            _ => tokio::time::sleep(pause.next().min(left)).await,
        }
    }
}

impl<C> Clone for RedisConnection<C> {
    fn clone(&self) -> RedisConnection<C> {
        let (label, connection) = (self.label.clone(), self.connection.clone());
        RedisConnection { label, connection, cut: self.cut.clone(), grace: self.grace }
    }
}

impl<C> fmt::Debug for RedisConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RedisConnection");
        out.field("label", &self.label).field("connection", &self.connection).finish_non_exhaustive()
    }
}
