//! Connections of a server of axum's that have become WebSockets: talked over, waited for, and cut.

use std::io::{Read, Write};
use std::time::Duration;

use castoff::{CleanupErrorKind, ResourceGuard};

use super::http::{Serving, Witness};
use crate::alone::{alone, until};
use crate::contract::{Case, TIMEOUT, manager};

/// Has the connection become a WebSocket.
fn upgrade(witness: &mut Witness, path: &str) {
    write!(
        witness.client,
        "GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        witness.client.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
}

#[test]
fn an_upgraded_connection_is_talked_over_both_ways() {
    alone(|| {
        let (server, mut witness) = Serving::make();
        let guard = manager().adopt(server);
        upgrade(&mut witness, "/live");
        // RFC 6455, 5.2: the end of a text of three bytes; from a client with a mask, which is zero here.
        witness.client.write_all(b"\x81\x83\0\0\0\0tea").unwrap();
        let mut echo = [0; 5];
        witness.client.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"\x81\x03tea");
        // And the goodbye, which the server answers and then waits for nobody.
        witness.client.write_all(b"\x88\x80\0\0\0\0").unwrap();
        ResourceGuard::close(guard).unwrap();
        let mut goodbye = Vec::new();
        witness.client.read_to_end(&mut goodbye).unwrap();
        assert_eq!(goodbye, b"\x88\0");
    });
}

#[test]
fn one_that_is_held_after_it_was_cut_is_counted_until_it_is_let_go() {
    alone(|| {
        let (manager, (server, mut witness)) = (manager(), Serving::make());
        upgrade(&mut witness, "/deaf");
        // The last resort has this long, too, and waits a second for those whom it has cut.
        let guard = manager.resource("deaf").timeout(Duration::from_secs(2)).adopt(server).unwrap();
        let report = manager.cleanup();
        assert_eq!(report.timed_out(), 1, "{report}");
        until("it to be cut", || witness.is_closed());
        assert_eq!(guard.connections(), 1, "whoever has it has not seen that");
        drop(witness.runtime.take());
        assert_eq!(guard.connections(), 0);
    });
}

#[test]
fn an_upgraded_connection_is_waited_for_and_cut() {
    alone(|| {
        let (server, mut witness) = Serving::make();
        upgrade(&mut witness, "/live");
        let guard = manager().resource("live").timeout(TIMEOUT).adopt(server).unwrap();
        // A peer that never says goodbye.
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)), "{error}");
        until("it to be cut", || witness.is_closed());
    });
}
