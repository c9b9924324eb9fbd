//! Unix sockets, whose names are removed only while they are theirs.

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use castoff::ResourceGuard;
use tempfile::TempDir;

use crate::alone::alone;
use crate::contract::{Case, manager};

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

mod listener {
    use super::*;

    struct Listening;

    impl Case for Listening {
        type Adopted = UnixListener;
        type Witness = (TempDir, PathBuf);

        fn make() -> (UnixListener, (TempDir, PathBuf)) {
            let (directory, path) = place();
            (UnixListener::bind(&path).unwrap(), (directory, path))
        }

        fn is_over((_, path): &(TempDir, PathBuf)) -> bool {
            !path.exists()
                && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
        }

        fn end_first(_: &mut UnixListener, (_, path): &(TempDir, PathBuf)) {
            fs::remove_file(path).unwrap();
        }
    }

    contract!(Listening, never hangs);

    #[test]
    fn who_waits_in_accept_is_woken() {
        alone(|| {
            let (manager, (listener, _place)) = (manager(), Listening::make());
            let guard = manager.adopt(listener);
            let waiting = guard.try_clone().unwrap();
            let accepting = thread::spawn(move || waiting.accept().map(drop));
            assert!(manager.cleanup().is_success());
            accepting.join().unwrap().unwrap_err();
        });
    }

    #[test]
    fn a_socket_that_got_the_name_since_keeps_it() {
        alone(|| {
            let (listener, (_directory, path)) = Listening::make();
            let guard = manager().adopt(listener);
            fs::remove_file(&path).unwrap();
            let next = UnixListener::bind(&path).unwrap();
            ResourceGuard::close(guard).unwrap();
            UnixStream::connect(&path).unwrap();
            next.accept().unwrap();
        });
    }

    #[test]
    fn a_file_that_got_the_name_since_stays() {
        alone(|| {
            let (listener, (_directory, path)) = Listening::make();
            let guard = manager().adopt(listener);
            fs::remove_file(&path).unwrap();
            fs::write(&path, "precious").unwrap();
            ResourceGuard::close(guard).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        });
    }

    #[test]
    fn a_socket_that_was_moved_keeps_its_new_name() {
        alone(|| {
            let (listener, (directory, path)) = Listening::make();
            let guard = manager().adopt(listener);
            let moved = directory.path().join("moved");
            fs::rename(&path, &moved).unwrap();
            ResourceGuard::close(guard).unwrap();
            assert!(is_socket(&moved));
        });
    }

    #[test]
    fn a_name_that_cannot_be_removed_is_a_failure_and_the_socket_is_shut() {
        alone(|| {
            let (listener, (directory, path)) = Listening::make();
            let guard = manager().adopt(listener);
            // Not by permissions: root has them all. A directory that is no more a directory does it for everyone.
            let moved = directory.path().with_extension("moved");
            fs::rename(directory.path(), &moved).unwrap();
            fs::write(directory.path(), "in the way").unwrap();
            let error = ResourceGuard::close(guard).unwrap_err();
            assert!(error.to_string().contains("Not a directory"), "{error}");
            let error = UnixStream::connect(moved.join("socket")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            fs::remove_file(directory.path()).unwrap();
            fs::rename(moved, directory.path()).unwrap();
            drop(path);
        });
    }

    #[test]
    fn without_a_name_it_is_only_shut() {
        alone(|| {
            let address = SocketAddr::from_abstract_name(format!("castoff-{}", std::process::id())).unwrap();
            let guard = manager().adopt(UnixListener::bind_addr(&address).unwrap());
            ResourceGuard::close(guard).unwrap();
            assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
    }
}

mod stream {
    use std::io::Read;
    use std::net::Shutdown;

    use super::*;

    struct Streaming;

    impl Case for Streaming {
        type Adopted = UnixStream;
        type Witness = UnixStream;

        fn make() -> (UnixStream, UnixStream) {
            let (stream, peer) = UnixStream::pair().unwrap();
            peer.set_nonblocking(true).unwrap();
            (stream, peer)
        }

        fn is_over(mut peer: &UnixStream) -> bool {
            matches!(peer.read(&mut [0]), Ok(0))
        }

        fn end_first(stream: &mut UnixStream, _: &UnixStream) {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }

    contract!(Streaming, never hangs);
}

mod datagrams {
    use super::*;

    struct Receiving;

    impl Case for Receiving {
        type Adopted = UnixDatagram;
        type Witness = (TempDir, PathBuf);

        fn make() -> (UnixDatagram, (TempDir, PathBuf)) {
            let (directory, path) = place();
            (UnixDatagram::bind(&path).unwrap(), (directory, path))
        }

        fn is_over((_, path): &(TempDir, PathBuf)) -> bool {
            !path.exists()
        }

        fn end_first(_: &mut UnixDatagram, (_, path): &(TempDir, PathBuf)) {
            fs::remove_file(path).unwrap();
        }
    }

    contract!(Receiving, never hangs);
}
