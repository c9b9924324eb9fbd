//! A server of axum's routes, its clients plain sockets.

use std::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use castoff::ResourceGuard;
use castoff::adapters::HttpServer;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, TIMEOUT, manager, printed};
#[cfg(all(target_os = "linux", feature = "process"))]
use crate::support::Descriptors;
use crate::support::runtime;

/// What handlers do: begin, and answer when they may.
#[derive(Default)]
struct Desk {
    begun: AtomicUsize,
    answers: Option<Semaphore>,
}

impl Desk {
    async fn slow(&self) -> &'static str {
        self.begun.fetch_add(1, Ordering::SeqCst);
        match &self.answers {
            Some(answers) => answers.acquire().await.unwrap().forget(),
            None => pending().await,
        }
        "tea"
    }
}

/// A connection that stays open between requests, and what it is connected to.
pub(super) struct Witness {
    pub(super) client: TcpStream,
    address: SocketAddr,
    desk: Arc<Desk>,
    pub(super) runtime: Option<Runtime>,
}

impl Witness {
    fn new(desk: Desk) -> (HttpServer, Witness) {
        let (runtime, desk) = (runtime(), Arc::new(desk));
        let server = runtime.block_on(serve(Arc::clone(&desk)));
        let address = server.address();
        let client = TcpStream::connect(address).unwrap();
        let mut witness = Witness { client, address, desk, runtime: Some(runtime) };
        witness.ask("/");
        assert_eq!(witness.answer(), "tea");
        assert_eq!(server.connections(), 1);
        (server, witness)
    }

    fn ask(&mut self, path: &str) {
        write!(self.client, "GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
    }

    /// Asks for what takes its time, and waits until it is under way: before, a server that ends may close the
    /// connection without having seen the request.
    fn ask_slowly(&mut self) {
        self.ask("/slow");
        until("the request to be under way", || self.desk.begun.load(Ordering::SeqCst) == 1);
    }

    /// The body of a short answer: all of them are three bytes.
    fn answer(&mut self) -> String {
        let mut text = Vec::new();
        while !text.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0];
            self.client.read_exact(&mut byte).expect("an answer");
            text.push(byte[0]);
        }
        let mut body = [0; 3];
        self.client.read_exact(&mut body).expect("a body");
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Whether the server has closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.client.set_nonblocking(true).unwrap();
        let read = (&self.client).read(&mut [0; 64]);
        self.client.set_nonblocking(false).unwrap();
        match read {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

async fn serve(desk: Arc<Desk>) -> HttpServer {
    let slow = move || async move { desk.slow().await };
    let routes = Router::new()
        .route("/", get(|| async { "tea" }))
        .route("/slow", get(slow))
        .route("/live", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(talk) }))
        .route("/deaf", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(hold) }));
    HttpServer::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), routes).unwrap()
}

async fn talk(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        socket.send(message).await.ok();
    }
}

/// Neither reads nor writes nor lets go.
async fn hold(_socket: WebSocket) {
    pending().await
}

pub(super) struct Serving;

impl Case for Serving {
    type Adopted = HttpServer;
    type Witness = Witness;

    fn make() -> (HttpServer, Witness) {
        Witness::new(Desk::default())
    }

    fn is_over(witness: &Witness) -> bool {
        TcpStream::connect(witness.address).is_err() && witness.is_closed()
    }

    fn end_first(server: &mut HttpServer, witness: &Witness) {
        *server = witness.runtime.as_ref().unwrap().block_on(serve(Arc::default()));
        until("the first server to end", || Serving::is_over(witness));
    }
}

impl Hangs for Serving {
    fn make_hanging() -> (HttpServer, Witness) {
        let (server, mut witness) = Serving::make();
        witness.ask_slowly();
        (server, witness)
    }

    fn after(witness: Witness) {
        until("the connection to be cut", || Serving::is_over(&witness));
    }
}

contract!(Serving);

#[test]
fn requests_under_way_are_answered_before_the_end() {
    alone(|| {
        let answers = Some(Semaphore::new(0));
        let (server, mut witness) = Witness::new(Desk { answers, ..Desk::default() });
        let guard = manager().adopt(server);
        witness.ask_slowly();
        let closing = thread::spawn(move || ResourceGuard::close(guard));
        until("it to listen no more", || TcpStream::connect(witness.address).is_err());
        assert!(!closing.is_finished(), "it does not drain");
        witness.desk.answers.as_ref().unwrap().add_permits(1);
        assert_eq!(witness.answer(), "tea");
        closing.join().unwrap().unwrap();
        until("the end to arrive", || witness.is_closed());
    });
}

#[test]
fn a_client_that_resets_its_connection_has_ended_it() {
    alone(|| {
        let (server, mut witness) = Serving::make();
        let guard = manager().adopt(server);
        witness.ask("/");
        witness.client.peek(&mut [0]).unwrap();
        drop(witness.client); // with an answer unread: a reset
        until("the server to see it", || guard.connections() == 0);
        ResourceGuard::close(guard).unwrap();
    });
}

#[cfg(all(target_os = "linux", feature = "process"))]
#[test]
fn a_server_without_descriptors_serves_again_when_there_are_some() {
    alone(|| {
        let (server, witness) = Serving::make();
        let guard = manager().adopt(server);
        // One for the client. The system connects it all the same, and the server can't take it.
        let all = Descriptors::all_but(1);
        let mut client = TcpStream::connect(witness.address).unwrap();
        write!(client, "GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        let error = client.read(&mut [0]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        assert_eq!(guard.connections(), 1, "the one from before");
        drop(all);
        client.set_read_timeout(None).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("tea"), "{text}");
        ResourceGuard::close(guard).unwrap();
    });
}

#[test]
fn what_is_printed_of_it_is_where_it_listens_and_how_many_are_connected() {
    alone(|| {
        let (server, witness) = Serving::make();
        let address = witness.address;
        assert_eq!(
            printed(server),
            [1, 0].map(|count| format!("HttpServer {{ address: {address}, connections: {count}, .. }}"))
        );
    });
}

#[test]
fn connections_are_cut_even_while_the_runtime_is_blocked() {
    alone(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let manager = manager();
            let guard =
                manager.resource("blocked").timeout(TIMEOUT).adopt(serve(Arc::default()).await).unwrap();
            let client = TcpStream::connect(guard.address()).unwrap();
            while guard.connections() == 0 {
                tokio::task::yield_now().await;
            }
            // It blocks the only thread of the runtime that serves.
            let report = manager.cleanup();
            assert_eq!(report.timed_out(), 1, "{report}");
            assert_eq!((&client).read(&mut [0]).unwrap(), 0);
        });
    });
}

#[test]
fn a_runtime_that_has_ended_has_ended_its_servers() {
    alone(|| {
        let (server, mut witness) = Serving::make();
        let guard = manager().adopt(server);
        drop(witness.runtime.take());
        assert_eq!(guard.connections(), 0);
        until("the end to arrive", || Serving::is_over(&witness));
        ResourceGuard::close(guard).unwrap();
    });
}

#[test]
fn the_port_is_free_while_the_guard_is_held() {
    alone(|| {
        let (manager, (server, witness)) = (manager(), Serving::make());
        let guard = manager.adopt(server);
        assert!(manager.cleanup().is_success());
        let next = std::net::TcpListener::bind(witness.address).unwrap();
        drop(guard);
        TcpStream::connect(witness.address).unwrap();
        next.accept().unwrap();
    });
}

#[test]
fn connections_that_have_ended_are_not_kept() {
    alone(|| {
        let (server, witness) = Serving::make();
        let guard = manager().adopt(server);
        for _ in 0..20 {
            let mut client = TcpStream::connect(witness.address).unwrap();
            write!(client, "GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert!(text.ends_with("tea"), "{text}");
        }
        until("one to be left", || guard.connections() == 1);
    });
}
