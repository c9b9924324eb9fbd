//! The sockets of tokio: ended like those of the standard library, whatever their runtime does.

use std::net::SocketAddr;

use castoff::{Resource, ResourceGuard};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Runtime;

use crate::alone::{alone, until};
use crate::contract::{Case, manager};
use crate::support::runtime;

mod listener {
    use super::*;

    struct Listening;

    impl Case for Listening {
        type Adopted = TcpListener;
        type Witness = (SocketAddr, Runtime);

        fn make() -> (TcpListener, (SocketAddr, Runtime)) {
            let runtime = runtime();
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            (listener, (address, runtime))
        }

        fn is_over((address, _): &(SocketAddr, Runtime)) -> bool {
            std::net::TcpStream::connect(address).is_err()
        }

        fn end_first(listener: &mut TcpListener, (_, runtime): &(SocketAddr, Runtime)) {
            let other = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            *listener = other;
            // What was adopted is shut by the cleanup, through a descriptor of its own: nobody has it any more.
        }
    }

    contract!(Listening, never hangs);

    #[test]
    fn who_awaits_a_connection_is_woken() {
        alone(|| {
            let (manager, (listener, (_, runtime))) = (manager(), Listening::make());
            let guard = manager.adopt(listener);
            runtime.block_on(async {
                let cleaning = tokio::task::spawn_blocking(move || manager.cleanup());
                guard.accept().await.unwrap_err();
                assert!(cleaning.await.unwrap().is_success());
            });
        });
    }

    #[test]
    fn it_is_shut_after_the_end_of_its_runtime() {
        alone(|| {
            let (listener, (address, runtime)) = Listening::make();
            let guard = manager().adopt(listener);
            drop(runtime);
            ResourceGuard::close(guard).unwrap();
            std::net::TcpStream::connect(address).unwrap_err();
        });
    }
}

#[test]
fn who_awaits_data_gets_the_end_of_the_stream() {
    alone(|| {
        let (manager, runtime) = (manager(), runtime());
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut guard = manager.adopt(stream);
            let cleaning = tokio::task::spawn_blocking(move || manager.cleanup());
            assert_eq!(guard.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
            assert!(cleaning.await.unwrap().is_success());
        });
    });
}

#[test]
fn the_two_ends_of_a_unix_stream_are_called_after_the_name_that_they_met_at() {
    alone(|| {
        let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
        let path = directory.path().join("socket");
        let (stream, mut peer, listener) = runtime.block_on(async {
            let listener = UnixListener::bind(&path).unwrap();
            let stream = UnixStream::connect(&path).await.unwrap();
            (stream, listener.accept().await.unwrap().0, listener)
        });
        let named = format!("unix stream {}", path.display());
        assert_eq!((&*stream.label(), &*peer.label()), (&*named, &*named));
        // The name is the listener's, and stays.
        ResourceGuard::close(manager().adopt(stream)).unwrap();
        assert_eq!(runtime.block_on(peer.read(&mut [0])).unwrap(), 0);
        assert!(path.exists());
        drop((listener, peer));
    });
}

#[test]
fn the_name_of_a_unix_listener_is_removed() {
    alone(|| {
        let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
        let path = directory.path().join("socket");
        let guard = runtime.block_on(async { manager().adopt(UnixListener::bind(&path).unwrap()) });
        let label = ResourceGuard::info(&guard).unwrap().label;
        assert_eq!(label, format!("unix listener {}", path.display()).as_str());
        drop(guard);
        until("the name to be gone", || !path.exists());
    });
}
