//! TCP and UDP on loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use castoff::ResourceGuard;

use crate::alone::alone;
use crate::contract::{Case, manager};

const LOCAL: &str = "127.0.0.1:0";

mod listener {
    use super::*;

    struct Listening;

    impl Case for Listening {
        type Adopted = TcpListener;
        type Witness = SocketAddr;

        fn make() -> (TcpListener, SocketAddr) {
            let listener = TcpListener::bind(LOCAL).unwrap();
            let address = listener.local_addr().unwrap();
            (listener, address)
        }

        fn is_over(address: &SocketAddr) -> bool {
            TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        }

        fn end_first(listener: &mut TcpListener, _: &SocketAddr) {
            let own = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
            TcpStream::from(own).shutdown(Shutdown::Both).unwrap();
        }
    }

    contract!(Listening, never hangs);

    #[test]
    fn who_waits_in_accept_is_woken() {
        alone(|| {
            let (manager, (listener, _)) = (manager(), Listening::make());
            let guard = manager.adopt(listener);
            let waiting = guard.try_clone().unwrap();
            let accepting = thread::spawn(move || waiting.accept().map(drop));
            assert!(manager.cleanup().is_success());
            accepting.join().unwrap().unwrap_err();
        });
    }

    #[test]
    fn another_may_have_the_port_while_the_guard_is_held() {
        alone(|| {
            let (manager, (listener, address)) = (manager(), Listening::make());
            let guard = manager.adopt(listener);
            assert!(manager.cleanup().is_success());
            let next = TcpListener::bind(address).unwrap();
            // By handle: the old guard's end is not the new listener's.
            drop(guard);
            TcpStream::connect(address).unwrap();
            next.accept().unwrap();
        });
    }

    #[test]
    fn its_label_is_its_address() {
        alone(|| {
            let (listener, address) = Listening::make();
            let guard = manager().adopt(listener);
            let label = ResourceGuard::info(&guard).unwrap().label;
            assert_eq!(label, format!("tcp listener {address}").as_str());
        });
    }
}

mod stream {
    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(LOCAL).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    struct Streaming;

    impl Case for Streaming {
        type Adopted = TcpStream;
        type Witness = TcpStream;

        fn make() -> (TcpStream, TcpStream) {
            let (stream, peer) = pair();
            peer.set_nonblocking(true).unwrap();
            (stream, peer)
        }

        fn is_over(mut peer: &TcpStream) -> bool {
            matches!(peer.read(&mut [0]), Ok(0))
        }

        fn end_first(stream: &mut TcpStream, _: &TcpStream) {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }

    contract!(Streaming, never hangs);

    #[test]
    fn who_waits_in_read_gets_the_end_and_the_peer_what_was_written() {
        alone(|| {
            let (manager, (stream, mut peer)) = (manager(), pair());
            let mut guard = manager.adopt(stream);
            let mut waiting = guard.try_clone().unwrap();
            let reading = thread::spawn(move || waiting.read(&mut [0]));
            guard.write_all(b"the last words").unwrap();
            assert!(manager.cleanup().is_success());
            assert_eq!(reading.join().unwrap().unwrap(), 0);
            let mut text = String::new();
            peer.read_to_string(&mut text).unwrap();
            assert_eq!(text, "the last words");
            assert_eq!(guard.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
    }

    #[test]
    fn a_peer_that_never_answers_holds_nothing_up() {
        alone(|| {
            let (manager, (stream, _silent)) = (manager(), pair());
            let mut guard = manager.adopt(stream);
            guard.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
            // More than the two buffers hold, and nobody reads.
            while guard.write(&[0; 65536]).is_ok() {}
            ResourceGuard::close(guard).unwrap();
        });
    }

    #[test]
    fn a_peer_that_reset_the_connection_has_ended_it() {
        alone(|| {
            let (stream, peer) = pair();
            let mut guard = manager().adopt(stream);
            guard.write_all(b"unread").unwrap();
            peer.peek(&mut [0]).unwrap();
            drop(peer); // with something unread: a reset
            assert_eq!(guard.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            ResourceGuard::close(guard).unwrap();
        });
    }
}

mod datagrams {
    use super::*;

    struct Receiving;

    impl Case for Receiving {
        type Adopted = UdpSocket;
        type Witness = UdpSocket;

        fn make() -> (UdpSocket, UdpSocket) {
            let socket = UdpSocket::bind(LOCAL).unwrap();
            let twin = socket.try_clone().unwrap();
            (socket, twin)
        }

        fn is_over(twin: &UdpSocket) -> bool {
            let sent = twin.send_to(b"x", twin.local_addr().unwrap());
            sent.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        }

        fn end_first(socket: &mut UdpSocket, _: &UdpSocket) {
            let own = std::os::fd::OwnedFd::from(socket.try_clone().unwrap());
            TcpStream::from(own).shutdown(Shutdown::Both).unwrap_err();
        }
    }

    contract!(Receiving, never hangs);

    #[test]
    fn who_waits_for_a_datagram_is_woken_and_nothing_is_sent() {
        alone(|| {
            let manager = manager();
            let guard = manager.adopt(UdpSocket::bind(LOCAL).unwrap());
            let waiting = guard.try_clone().unwrap();
            let receiving = thread::spawn(move || waiting.recv(&mut [0]));
            assert!(manager.cleanup().is_success());
            assert_eq!(receiving.join().unwrap().unwrap(), 0);
            let error = guard.send_to(b"x", guard.local_addr().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    }
}
