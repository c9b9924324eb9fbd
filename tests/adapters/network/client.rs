//! A client of reqwest against a server that sees its connections come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use castoff::adapters::{Gone, HttpClient, HttpServer};
use castoff::{ResourceGuard, ResourceManager};
use reqwest::{Client, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, TIMEOUT, manager, printed};
use crate::support::runtime;

const MUCH: usize = 8 << 20;

/// A server on a runtime, and a client's runtime that has nobody else's tasks.
struct Witness {
    server: Option<ResourceGuard<HttpServer>>,
    begun: Arc<AtomicBool>,
    answer: Arc<Notify>,
    clone: Option<Client>,
    runtime: Runtime,
    _serving: Runtime,
}

impl Witness {
    fn new() -> Witness {
        let (serving, begun, answer) = (runtime(), Arc::<AtomicBool>::default(), Arc::<Notify>::default());
        let server = {
            let (begun, answer) = (Arc::clone(&begun), Arc::clone(&answer));
            let slow = move || async move {
                begun.store(true, Ordering::SeqCst);
                answer.notified().await;
                "tea"
            };
            let routes = Router::new()
                .route("/", get(|| async { "tea" }))
                .route("/slow", get(slow))
                .route("/much", get(|| async { "x".repeat(MUCH) }));
            serving.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ResourceManager::new("server").adopt(HttpServer::serve(listener, routes).unwrap())
            })
        };
        Witness { server: Some(server), begun, answer, clone: None, runtime: runtime(), _serving: serving }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.as_ref().unwrap().address())
    }

    fn ask(&self, client: &Client, path: &str) -> reqwest::Result<Response> {
        self.runtime.block_on(client.get(self.url(path)).send())
    }

    /// A request that is answered when it may be.
    fn ask_slowly(&self, client: Client) -> JoinHandle<reqwest::Result<Response>> {
        let asking = self.runtime.spawn(client.get(self.url("/slow")).send());
        drop(client);
        until("the request to be under way", || self.begun.load(Ordering::SeqCst));
        asking
    }

    /// What the server has seen of it: an idle connection is one until its end is read.
    fn connections(&self) -> usize {
        self.server.as_ref().unwrap().connections()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.clone.take();
        self.answer.notify_one();
        drop(self.server.take());
    }
}

struct Asking;

impl Case for Asking {
    type Adopted = HttpClient;
    type Witness = Witness;

    /// With an idle connection: the next request would open a second one while a task still brings it back to the pool.
    fn make() -> (HttpClient, Witness) {
        let witness = Witness::new();
        let client = HttpClient::build(Client::builder().pool_idle_timeout(None)).unwrap();
        let answer = witness.ask(&client.client().unwrap(), "/").unwrap();
        assert_eq!(witness.runtime.block_on(answer.text()).unwrap(), "tea");
        let tasks = witness.runtime.metrics();
        until("the connection's own task to be the only one", || tasks.num_alive_tasks() == 1);
        assert_eq!(witness.connections(), 1);
        (client, witness)
    }

    /// The server has read the end of the connection.
    fn is_over(witness: &Witness) -> bool {
        witness.connections() == 0
    }

    /// Its connection is closed by the server. The client has no end of its own but the drop.
    fn end_first(client: &mut HttpClient, witness: &Witness) {
        let last = witness
            .runtime
            .block_on(client.client().unwrap().get(witness.url("/")).header("connection", "close").send());
        drop(last.unwrap());
        until("the server to close the connection", || Asking::is_over(witness));
    }
}

impl Hangs for Asking {
    fn make_hanging() -> (HttpClient, Witness) {
        let (client, mut witness) = Asking::make();
        witness.clone = Some(client.client().unwrap());
        (client, witness)
    }

    fn after(mut witness: Witness) {
        // A clone goes on with what it has, and gets nothing new.
        let clone = witness.clone.take().unwrap();
        assert!(witness.ask(&clone, "/").is_ok());
        assert_eq!(witness.connections(), 1);
        drop(clone);
        until("the pool to be closed", || Asking::is_over(&witness));
    }
}

contract!(Asking);

#[test]
fn a_request_under_way_is_waited_for_and_answered() {
    alone(|| {
        let (manager, (client, witness)) = (manager(), Asking::make());
        let guard = manager.adopt(client);
        let asking = witness.ask_slowly(guard.client().unwrap());
        let answer = Arc::clone(&witness.answer);
        let report = witness.runtime.block_on(async {
            let cleaning = tokio::spawn({
                let manager = manager.clone();
                async move { manager.teardown().run_async().await }
            });
            while guard.client().is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(!cleaning.is_finished());
            answer.notify_one();
            cleaning.await.unwrap()
        });
        assert!(report.is_success(), "{report}");
        let answer = witness.runtime.block_on(asking).unwrap().unwrap();
        assert!(answer.status().is_success());
        drop(answer);
        until("the connections to be closed", || Asking::is_over(&witness));
    });
}

#[test]
fn a_clone_that_stays_is_an_error_and_opens_no_connection() {
    alone(|| {
        let (client, witness) = Asking::make();
        let clone = client.client().unwrap();
        let guard = manager().adopt(client.grace(TIMEOUT));
        let busy = witness.ask_slowly(clone.clone());
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(error.contains("still used after 300.0ms: by a clone of the client"), "{error}");
        // Its one connection is busy, and it gets no other.
        let refused = witness.ask(&clone, "/").unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
        assert_eq!(witness.connections(), 1);
        witness.answer.notify_one();
        assert!(witness.runtime.block_on(busy).unwrap().is_ok());
        drop(clone);
        until("the pool to be closed", || Asking::is_over(&witness));
    });
}

#[test]
fn a_body_that_is_being_read_has_its_connection_until_it_is_read() {
    alone(|| {
        let (client, witness) = Asking::make();
        let guard = manager().adopt(client);
        let answer = witness.ask(&guard.client().unwrap(), "/much").unwrap();
        ResourceGuard::close(guard).unwrap();
        assert_eq!(witness.connections(), 1);
        assert_eq!(witness.runtime.block_on(answer.bytes()).unwrap().len(), MUCH);
        until("the connection to be closed", || Asking::is_over(&witness));
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_its_grace_and_whether_it_still_has_its_client() {
    alone(|| {
        let (client, _witness) = Asking::make();
        assert_eq!(
            printed(client.labelled("payments")),
            [
                "HttpClient { label: Label(\"payments\"), grace: 5s, client: held, .. }",
                "HttpClient { label: Label(\"payments\"), grace: 5s, client: gone, .. }"
            ]
        );
    });
}

#[test]
fn cleaned_it_says_so() {
    alone(|| {
        let (manager, (client, _witness)) = (manager(), Asking::make());
        let guard = manager.adopt(client.labelled("payments"));
        assert_eq!(ResourceGuard::info(&guard).unwrap().label, "payments");
        assert!(manager.cleanup().is_success());
        assert_eq!(guard.client().unwrap_err(), Gone);
    });
}
