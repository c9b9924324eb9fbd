//! The probe: asks the tracking server every few milliseconds whether it is well, over a client with a pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use castoff::adapters::{HttpClient, TokioTimer};
use castoff::{ResourceGuard, ResourceManager};
use reqwest::Client;

use crate::Result;
use crate::tracking::server::Server;

const INTERVAL: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) well: AtomicU64,
    pub(crate) not: AtomicU64,
}

pub(crate) struct Probe {
    pub(crate) answers: Arc<Answers>,
    _client: ResourceGuard<HttpClient>,
    _timer: ResourceGuard<TokioTimer>,
}

pub(crate) fn start(manager: &ResourceManager, server: &Server) -> Result<Probe> {
    let client = HttpClient::build(Client::builder().no_proxy())?;
    let asking = client.client()?;
    let client = manager.resource("client of the probe").depends_on(&server.guard).adopt(client)?;
    let answers = Arc::new(Answers::default());
    let (noted, url) = (Arc::clone(&answers), format!("http://{}/health", server.address()));
    // The closure has a clone of the client, and goes with the timer, which depends on the client.
    let timer = TokioTimer::every(INTERVAL, move |_| {
        let (asked, noted) = (asking.get(&url).send(), Arc::clone(&noted));
        async move {
            let well = asked.await.and_then(reqwest::Response::error_for_status).is_ok();
            let count = if well { &noted.well } else { &noted.not };
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let timer = manager
        .resource("health probe")
        .description(format!("every {INTERVAL:?}"))
        .depends_on(&client)
        .adopt(timer)?;
    Ok(Probe { answers, _client: client, _timer: timer })
}
