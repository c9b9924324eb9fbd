//! A peer that never reads: who waits for it to take more is woken by the cleanup, which itself waits for nobody.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use castoff::Resource;

use crate::alone::{alone, until};
use crate::contract::{TIMEOUT, manager};

/// Has a thread write until nothing goes any more, and a teardown meet it.
fn is_woken<S: Resource + Sync>(socket: S, write: impl Fn(&S) -> io::Result<usize> + Send + Sync) {
    let manager = manager();
    let guard = manager.resource("peer").timeout(TIMEOUT).adopt(socket).unwrap();
    let written = AtomicUsize::new(0);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            loop {
                match write(&guard) {
                    Ok(count) => written.fetch_add(count, Ordering::SeqCst),
                    Err(error) => break error,
                };
            }
        });
        until("the peer to be full", || stands_still(&written));
        assert!(!writing.is_finished());
        let report = manager.cleanup();
        assert!(report.is_success(), "{report}");
        let error = writing.join().unwrap();
        assert!(
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{error}"
        );
    });
}

/// Whether nothing comes within a while. One that is only slow is woken just the same.
fn stands_still(written: &AtomicUsize) -> bool {
    let before = written.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(20));
    before > 0 && before == written.load(Ordering::SeqCst)
}

const MUCH: &[u8] = &[0; 65536];

#[test]
fn a_tcp_stream() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _silent = listener.accept().unwrap();
        is_woken(stream, |mut stream| stream.write(MUCH));
    });
}

#[test]
fn a_unix_stream() {
    alone(|| {
        let (stream, _silent) = UnixStream::pair().unwrap();
        is_woken(stream, |mut stream| stream.write(MUCH));
    });
}

#[test]
fn a_unix_datagram_socket() {
    alone(|| {
        let (socket, _silent) = UnixDatagram::pair().unwrap();
        is_woken(socket, |socket| socket.send(&MUCH[..100]));
    });
}

#[cfg(feature = "tokio-net")]
#[test]
fn a_tcp_stream_of_tokios() {
    alone(|| {
        let runtime = crate::support::runtime();
        let (stream, _silent) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (stream, listener.accept().await.unwrap())
        });
        is_woken(stream, |stream| {
            runtime.block_on(async {
                stream.writable().await?;
                match stream.try_write(MUCH) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                    result => result,
                }
            })
        });
    });
}
