//! A WebSocket and its goodbye.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use castoff::ResourceGuard;
use castoff::adapters::WebSocket;
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

type Socket = WebSocketStream<TcpStream>;

async fn pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stream, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (ours, theirs) = tokio::join!(
        tokio_tungstenite::client_async("ws://localhost/", stream.unwrap()),
        tokio_tungstenite::accept_async(accepted.unwrap().0)
    );
    (ours.unwrap().0, theirs.unwrap())
}

struct Witness {
    /// Whether the peer has heard the end.
    over: Arc<AtomicBool>,
    peer: tokio::task::JoinHandle<bool>,
    silent: Option<Socket>,
    runtime: Runtime,
}

struct Talking;

/// Echoes, until the end. Whether that was a goodbye.
async fn echo(mut socket: Socket, over: Over) -> bool {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Close(_) => {
                while let Some(Ok(_)) = socket.next().await {}
                return true;
            }
            other => socket.send(other).await.unwrap(),
        }
    }
    drop(over);
    false
}

struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Case for Talking {
    type Adopted = WebSocket<TcpStream>;
    type Witness = Witness;

    fn make() -> (WebSocket<TcpStream>, Witness) {
        let runtime = runtime();
        let (ours, theirs) = runtime.block_on(pair());
        let over = Arc::new(AtomicBool::new(false));
        let peer = runtime.spawn(echo(theirs, Over(Arc::clone(&over))));
        (WebSocket::new("live", ours), Witness { over, peer, silent: None, runtime })
    }

    fn is_over(witness: &Witness) -> bool {
        witness.over.load(Ordering::SeqCst)
    }

    fn end_first(_: &mut WebSocket<TcpStream>, witness: &Witness) {
        witness.peer.abort();
        until("the peer to be gone", || Talking::is_over(witness));
    }
}

impl Hangs for Talking {
    fn make_hanging() -> (WebSocket<TcpStream>, Witness) {
        let runtime = runtime();
        let (ours, theirs) = runtime.block_on(pair());
        let peer = runtime.spawn(async { false });
        (WebSocket::new("live", ours), Witness { over: Arc::default(), peer, silent: Some(theirs), runtime })
    }

    fn after(mut witness: Witness) {
        let mut peer = witness.silent.take().unwrap();
        witness.runtime.block_on(async {
            // It was told goodbye, never answered, and the connection is closed all the same.
            assert!(matches!(peer.next().await, Some(Ok(Message::Close(_)))));
            while let Some(Ok(_)) = peer.next().await {}
        });
    }
}

contract!(Talking);

#[test]
fn the_peer_is_told_goodbye() {
    alone(|| {
        let (socket, witness) = Talking::make();
        ResourceGuard::close(manager().adopt(socket)).unwrap();
        assert!(witness.runtime.block_on(witness.peer).unwrap(), "it heard no goodbye");
    });
}

#[test]
fn it_talks_through_its_guard_and_ends_for_who_waits() {
    alone(|| {
        let (manager, (socket, witness)) = (manager(), Talking::make());
        let mut guard = manager.adopt(socket);
        witness.runtime.block_on(async {
            guard.send(Message::from("tea")).await.unwrap();
            assert_eq!(guard.next().await.unwrap().unwrap(), Message::from("tea"));
            let waiting = tokio::spawn(async move {
                let heard = guard.next().await;
                (heard.is_none(), guard.send(Message::from("coffee")).await.is_err())
            });
            assert!(manager.teardown().run_async().await.is_success());
            assert_eq!(waiting.await.unwrap(), (true, true));
        });
    });
}

#[test]
fn what_the_peer_still_sends_is_dropped() {
    alone(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let (ours, mut theirs) = pair().await;
            let guard = manager().adopt(WebSocket::new("live", ours));
            for _ in 0..100 {
                theirs.send(Message::from("price")).await.unwrap();
            }
            let peer = tokio::spawn(async move { while let Some(Ok(_)) = theirs.next().await {} });
            ResourceGuard::close_async(guard).await.unwrap();
            peer.await.unwrap();
        });
    });
}

#[test]
fn a_peer_that_resets_the_connection_has_gone() {
    alone(|| {
        let (mut socket, witness) = silent();
        witness.runtime.block_on(socket.send(Message::from("unread"))).unwrap();
        let peer = witness.silent.unwrap().into_inner();
        witness.runtime.block_on(peer.readable()).unwrap();
        let guard = manager().adopt(socket);
        witness.runtime.block_on(async {
            // With something unread: a reset. Whether our own goodbye or what is read after it meets it first.
            drop(peer);
            ResourceGuard::close_async(guard).await.unwrap();
        });
    });
}

#[test]
fn a_peer_that_answers_the_goodbye_with_nonsense_is_an_error_of_the_cleanup() {
    alone(|| {
        let (socket, witness) = silent();
        let mut peer = witness.silent.unwrap().into_inner();
        witness.runtime.block_on(async {
            // RFC 6455, 5.2: nobody has said what these bits mean.
            peer.write_all(b"\xf1\0").await.unwrap();
            let error = ResourceGuard::close_async(manager().adopt(socket)).await.unwrap_err().to_string();
            assert!(error.contains("live") && error.contains("Reserved bits are non-zero"), "{error}");
        });
    });
}

/// A socket and its peer, with nobody who reads there.
fn silent() -> (WebSocket<TcpStream>, Witness) {
    Talking::make_hanging()
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_somebody_has_it() {
    alone(|| {
        let (socket, _witness) = Talking::make();
        assert_eq!(
            printed(socket),
            [
                "WebSocket { label: Label(\"live\"), slot: Slot { lent: false, closed: false, .. } }",
                "WebSocket { label: Label(\"live\"), slot: Slot { lent: false, closed: true, .. } }"
            ]
        );
    });
}

#[test]
fn one_that_said_goodbye_before_is_closed() {
    alone(|| {
        let (socket, witness) = Talking::make();
        let mut guard = manager().adopt(socket);
        witness.runtime.block_on(async {
            guard.close().await.unwrap();
            while let Some(Ok(_)) = guard.next().await {}
            ResourceGuard::close_async(guard).await.unwrap();
        });
        assert!(witness.runtime.block_on(witness.peer).unwrap());
    });
}
