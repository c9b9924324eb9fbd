//! A client of reqwest, and its pool of connections.
//!
//! reqwest has no `close`: a pool goes with the last client that shares it. So something is put around the client's
//! connector, which lives as long as its pool, tells of its drop, and connects no more once the cleanup has begun.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower_layer::Layer;
use tower_service::Service;

use crate::adapters::held::Held;
use crate::adapters::slot::Gone;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// How long clones and requests are waited for, unless they are told otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// A client of reqwest with its pool of connections.
///
/// Its cleanup gives the client to nobody any more, opens no new connection, and waits for 5 s until all clones have gone,
/// and with each request under way one has: then the pool goes, and its idle connections are closed. If they have not gone
/// by then, it is an error; they may still use the connections that they have, and the last of them closes the pool. There
/// is no last resort: reqwest lets nobody cut a connection.
///
/// An answer whose body is still being read has a connection, and no client: it is not waited for, and closes the
/// connection at its end. Connections are closed by the runtime that made them, so it has to go on for that.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::adapters::HttpClient;
/// use castoff::{ResourceGuard, ResourceManager};
///
/// let client = HttpClient::build(reqwest::Client::builder().user_agent("shop"))?;
/// let client = ResourceManager::new("shop").adopt(client.labelled("payment client"));
/// let request = client.client()?.get("http://127.0.0.1:9/pay").build()?;
/// assert!(client.client()?.execute(request).await.is_err(), "nobody listens there");
/// ResourceGuard::close_async(client).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HttpClient {
    label: Label,
    grace: Duration,
    /// Until a cleanup lets it go.
    client: Held<Client>,
    pool: Pool,
}

impl HttpClient {
    /// Builds the client. One that is built already can't be taken: it has no place left for what tells of its end.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::build`].
    pub fn build(builder: ClientBuilder) -> reqwest::Result<HttpClient> {
        let pool = Pool::default();
        let client = builder.connector_layer(pool.watch()).build()?;
        Ok(HttpClient { label: Label::from("http client"), grace: GRACE, client: Held::new(client), pool })
    }

    /// The client, to send a request with. Whoever keeps it holds the cleanup back.
    ///
    /// # Errors
    /// When it has been cleaned.
    pub fn client(&self) -> Result<Client, Gone> {
        self.client.with(|client| client.clone()).ok_or(Gone)
    }

    /// How long clones and requests are waited for: 5 s unless said otherwise.
    pub fn grace(self, grace: Duration) -> HttpClient {
        HttpClient { grace, ..self }
    }

    /// Under this label instead of `http client`.
    pub fn labelled(self, label: impl Into<Label>) -> HttpClient {
        HttpClient { label: label.into(), ..self }
    }
}

impl Resource for HttpClient {
    const CATEGORY: Category = Category::Network;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (client, pool, grace) = (self.client.clone(), self.pool.clone(), self.grace);
        Cleanup::future(move || async move {
            pool.closing.cancel();
            drop(client.take());
            let gone = tokio::time::timeout(grace, pool.gone.cancelled()).await;
            gone.map_err(|_| {
                format!("its pool is still used after {grace:.1?}: by a clone of the client, or a request under way")
            })
        })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("label", &self.label)
            .field("grace", &self.grace)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// What is known of a pool.
#[derive(Clone, Default)]
struct Pool {
    /// No more connections.
    closing: CancellationToken,
    /// Nobody has it any more.
    gone: CancellationToken,
}

impl Pool {
    fn watch(&self) -> Watch {
        Watch { closing: self.closing.clone(), _pool: Arc::new(self.gone.clone().drop_guard()) }
    }
}

/// Goes with the pool.
#[derive(Clone)]
struct Watch {
    closing: CancellationToken,
    _pool: Arc<DropGuard>,
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched { connector, watch: self.clone() }
    }
}

#[derive(Clone)]
struct Watched<S> {
    connector: S,
    watch: Watch,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S, T> Service<T> for Watched<S>
where
    S: Service<T, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        if self.watch.closing.is_cancelled() {
            return Box::pin(async { Err(BoxError::from(Gone)) });
        }
        Box::pin(self.connector.call(target))
    }
}
