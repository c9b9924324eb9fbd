//! Sockets of the standard library and of tokio: shut down, whoever still holds them.
//!
//! The cleanup has a descriptor of its own for the same socket, so it never meets a number that somebody else has got
//! since. A shutdown reaches every descriptor of a socket and never blocks.
//!
//! Invariant: the name of a Unix socket is removed only while a descriptor for that socket is held. As long as there is
//! one the kernel keeps the file's inode, so the same device and inode at that name mean the same socket.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{self, Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf, absolute};

use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// Each of these: the type, how it is labelled, and the name it may have in the file system.
macro_rules! sockets {
    ($($(#[$doc:meta])* $socket:ty: $label:expr, $name:expr;)*) => {$(
        $(#[$doc])*
        impl Resource for $socket {
            const CATEGORY: Category = Category::Network;

            fn label(&self) -> Label {
                Label::from($label(self))
            }

            fn cleanup(&mut self) -> Cleanup {
                shutting(self, $name(self))
            }
        }
    )*};
}

sockets! {
    /// Cleaned, it listens no more: who waits in `accept` gets an error, and who connects is refused.
    net::TcpListener: |it: &Self| listener(it.local_addr()), nameless;
    /// Cleaned, it is shut down both ways: who waits in `read` gets the end of the stream, and so does the peer, after
    /// what was written before.
    net::TcpStream: |it: &Self| stream(it.local_addr(), it.peer_addr()), nameless;
    /// Cleaned, it is shut down: who waits in `recv` gets an empty datagram, and `send` fails. Only for a socket that
    /// blocks: Linux goes on to call another ready, and to refuse what it is then asked for.
    net::UdpSocket: |it: &Self| format!("udp socket {}", shown(it.local_addr())), nameless;
    /// As a TCP listener. Its name is removed, if it still is this socket's.
    unix::UnixListener: |it: &Self| named("unix listener", path_of(it.local_addr())),
        |it: &Self| path_of(it.local_addr());
    /// As a TCP stream. Its name is removed, if it has one that still is this socket's.
    unix::UnixStream: |it: &Self| named("unix stream", path_of(it.peer_addr()).or(path_of(it.local_addr()))),
        |it: &Self| path_of(it.local_addr());
    /// As a UDP socket. Its name is removed, if it has one that still is this socket's.
    unix::UnixDatagram: |it: &Self| named("unix datagram socket", path_of(it.local_addr())),
        |it: &Self| path_of(it.local_addr());
}

// Not datagrams: after a shutdown they are ready for ever and yield nothing, so that who awaits one would spin.
#[cfg(feature = "tokio-net")]
sockets! {
    /// As one of the standard library.
    tokio::net::TcpListener: |it: &Self| listener(it.local_addr()), nameless;
    /// As one of the standard library.
    tokio::net::TcpStream: |it: &Self| stream(it.local_addr(), it.peer_addr()), nameless;
    /// As one of the standard library.
    tokio::net::UnixListener: |it: &Self| named("unix listener", tokio_path_of(it.local_addr())),
        |it: &Self| tokio_path_of(it.local_addr());
    /// As one of the standard library.
    tokio::net::UnixStream:
        |it: &Self| named("unix stream", tokio_path_of(it.peer_addr()).or(tokio_path_of(it.local_addr()))),
        |it: &Self| tokio_path_of(it.local_addr());
}

fn shutting(socket: &impl AsFd, name: Option<PathBuf>) -> Cleanup {
    let own = socket.as_fd().try_clone_to_owned();
    let file = name.and_then(SocketFile::at);
    Cleanup::sync(move || {
        let own = own?;
        // The name first, so that nobody finds a socket that answers no more; both, even if one fails.
        let removed = file.map_or(Ok(()), |file| file.remove());
        shut_down(own).and(removed)
    })
}

/// Shuts down a socket of any kind, both ways, for all who hold it.
#[cfg(feature = "hyper")]
pub(super) fn shut(socket: &impl AsFd) -> io::Result<()> {
    shut_down(socket.as_fd().try_clone_to_owned()?)
}

pub(super) fn shut_down(socket: OwnedFd) -> io::Result<()> {
    // shutdown(2) asks for no family; this is how the standard library spells it.
    match TcpStream::from(socket).shutdown(Shutdown::Both) {
        // Also what Linux says of a UDP socket without a peer, after it has shut it down and woken who waits.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// The name of a Unix socket in the file system, and what makes it this socket's.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// `None` if there is no such file any more.
    fn at(path: PathBuf) -> Option<SocketFile> {
        // The process may have another working directory by the time of the cleanup.
        let path = absolute(path).ok()?;
        let identity = identity(&path).ok()?;
        Some(SocketFile { path, identity })
    }

    fn remove(&self) -> io::Result<()> {
        let removed = match identity(&self.path) {
            Ok(found) if found == self.identity => fs::remove_file(&self.path),
            Ok(_) => return Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn nameless<T>(_: &T) -> Option<PathBuf> {
    None
}

fn path_of(address: io::Result<unix::SocketAddr>) -> Option<PathBuf> {
    address.ok()?.as_pathname().map(Path::to_owned)
}

#[cfg(feature = "tokio-net")]
fn tokio_path_of(address: io::Result<tokio::net::unix::SocketAddr>) -> Option<PathBuf> {
    address.ok()?.as_pathname().map(Path::to_owned)
}

fn listener(address: io::Result<net::SocketAddr>) -> String {
    format!("tcp listener {}", shown(address))
}

fn stream(local: io::Result<net::SocketAddr>, peer: io::Result<net::SocketAddr>) -> String {
    format!("tcp stream {} -> {}", shown(local), shown(peer))
}

fn named(kind: &str, path: Option<PathBuf>) -> String {
    path.map_or_else(|| kind.to_owned(), |path| format!("{kind} {}", path.display()))
}

fn shown(address: io::Result<net::SocketAddr>) -> String {
    address.map_or_else(|_| "?".to_owned(), |address| address.to_string())
}
