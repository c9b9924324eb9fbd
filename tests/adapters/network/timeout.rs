//! Limits of connections: cut when the time is over, and not once they are cleaned.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use castoff::ResourceGuard;
use castoff::adapters::ConnectionTimeout;

use crate::alone::{alone, until};
use crate::contract::{Case, manager, printed};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (stream, listener.accept().unwrap().0)
}

/// How many descriptors this process has for the same socket.
#[cfg(target_os = "linux")]
fn descriptors(of: &impl AsFd) -> usize {
    let inode = rustix::fs::fstat(of).unwrap().st_ino;
    let name = format!("socket:[{inode}]");
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy() == name)).count()
}

fn is_open(mut peer: &TcpStream) -> bool {
    peer.set_nonblocking(true).unwrap();
    peer.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[cfg(target_os = "linux")]
mod contract {
    use super::*;

    struct Limited;

    impl Case for Limited {
        type Adopted = ConnectionTimeout;
        type Witness = (TcpStream, TcpStream);

        fn make() -> (ConnectionTimeout, Self::Witness) {
            let both = pair();
            (ConnectionTimeout::after(LONG, &both.0).unwrap(), both)
        }

        /// Its own descriptor is gone, and who could have used it.
        fn is_over((stream, _): &Self::Witness) -> bool {
            descriptors(stream) == 1
        }

        fn end_first(timeout: &mut ConnectionTimeout, (stream, peer): &Self::Witness) {
            assert!(is_open(peer));
            *timeout = ConnectionTimeout::after(SHORT, stream).unwrap();
            until("it to cut", || timeout.has_cut());
        }
    }

    contract!(Limited, never hangs);

    #[test]
    fn cleaned_it_leaves_the_connection_open() {
        alone(|| {
            let (timeout, (mut stream, peer)) = Limited::make();
            let guard = manager().adopt(timeout);
            ResourceGuard::close(guard).unwrap();
            assert!(is_open(&peer));
            stream.write_all(b"more").unwrap();
        });
    }

    #[test]
    fn once_it_has_cut_its_descriptor_and_thread_are_gone() {
        alone(|| {
            let (stream, _peer) = pair();
            let guard = manager().adopt(ConnectionTimeout::after(SHORT, &stream).unwrap());
            until("it to cut", || guard.has_cut());
            until("the descriptor to be gone", || descriptors(&stream) == 1);
            assert!(!guard.restart());
        });
    }
}

#[test]
fn who_waits_in_read_and_the_peer_get_the_end_not_before_the_time() {
    alone(|| {
        let (mut stream, mut peer) = pair();
        let start = Instant::now();
        let guard = manager().adopt(ConnectionTimeout::after(SHORT, &stream).unwrap());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(guard.has_cut());
    });
}

#[test]
fn a_unix_stream_is_cut_too() {
    alone(|| {
        let (mut stream, _peer) = UnixStream::pair().unwrap();
        let _guard = manager().adopt(ConnectionTimeout::after(SHORT, &stream).unwrap());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn whoever_restarts_it_is_not_cut() {
    alone(|| {
        let (stream, mut peer) = pair();
        // Looked at before each restart, so that its time can't be over any sooner than by this.
        let start = Instant::now();
        let guard = manager().adopt(ConnectionTimeout::after(10 * SHORT, &stream).unwrap());
        let mut last = start;
        // Idle for too long at no time, but several times too long altogether.
        while start.elapsed() < 25 * SHORT {
            std::thread::sleep(SHORT / 4);
            let now = Instant::now();
            if !guard.restart() {
                // On a machine that stood still meanwhile it is right to cut.
                assert!(last.elapsed() >= 10 * SHORT, "cut after {:?}", last.elapsed());
                return;
            }
            last = now;
        }
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(last.elapsed() >= 10 * SHORT && guard.has_cut());
    });
}

#[test]
fn none_cuts_after_its_cleanup_however_close_its_time() {
    alone(|| {
        for round in 0..200 {
            let (stream, peer) = pair();
            let limit = Duration::from_micros(10 * round);
            let manager = manager();
            let guard = manager.adopt(ConnectionTimeout::after(limit, &stream).unwrap());
            std::thread::sleep(Duration::from_millis(1));
            assert!(manager.cleanup().is_success());
            let cut = guard.has_cut();
            if cut {
                // The news may take a moment, on loopback too.
                until("the peer to see it", || !is_open(&peer));
            } else {
                assert!(is_open(&peer), "it has cut, and does not say so");
            }
            std::thread::yield_now();
            assert_eq!(guard.has_cut(), cut, "it cut after its cleanup");
        }
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_its_limit_and_whether_it_has_cut() {
    alone(|| {
        let (mut stream, _peer) = pair();
        let limit = ConnectionTimeout::after(LONG, &stream).unwrap();
        let told =
            "ConnectionTimeout { label: Label(\"timeout of 3600s\"), limit: 3600s, has_cut: false, .. }";
        assert_eq!(printed(limit), [told; 2]);
        let limit = ConnectionTimeout::after(SHORT, &stream).unwrap().labelled("patience");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let told = "ConnectionTimeout { label: Label(\"patience\"), limit: 20ms, has_cut: true, .. }";
        assert_eq!(printed(limit), [told; 2]);
    });
}

#[test]
fn one_beyond_the_end_of_time_never_cuts() {
    alone(|| {
        let (stream, peer) = pair();
        let guard = manager().adopt(ConnectionTimeout::after(Duration::MAX, &stream).unwrap());
        #[cfg(target_os = "linux")]
        crate::support::until_it_sleeps("timeout");
        assert!(guard.restart() && is_open(&peer));
        ResourceGuard::close(guard).unwrap();
    });
}
