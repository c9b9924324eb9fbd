//! An open descriptor: what its link in `/proc/self/fd` says, and what the kernel tells besides.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::leak::footprint::socket::Socket;
use crate::leak::footprint::text::printable;

/// What the kernel appends to the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// One open descriptor.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Descriptor {
    pub(super) fd: i32,
    pub(super) kind: Kind,
    /// What it stands for, in words: a path, which the kernel marks `(deleted)` where the file has no name any more, or
    /// what kind of object.
    pub(super) target: String,
    /// What the socket tables tell of a socket.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(super) socket: Option<Socket>,
    /// castoff's runtime waits by it.
    pub(super) own: bool,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) identity: Identity,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub(super) enum Kind {
    File,
    /// Under the temporary directory.
    TemporaryFile,
    /// A memfd, or under `/dev/shm`.
    SharedMemory,
    Pipe,
    Socket,
    Event,
    Epoll,
    Inotify,
    Timer,
    Other,
}

/// What makes a descriptor the same one later, beside its number.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Identity {
    /// The link's text, without the mark of a deleted file: files are deleted while they are open. Of sockets and
    /// pipes it has a number in it that is theirs alone.
    pub(super) link: String,
    /// Device and inode of a file.
    pub(super) inode: Option<(u32, u32, u64)>,
    /// When a file was made, where its file system tells: an inode's number is used again.
    pub(super) born: Option<(i64, u32)>,
    /// The kernel's number of an eventfd.
    pub(super) event: Option<u64>,
}

impl Identity {
    /// An open file that is renamed stays what it is; where nothing tells when it was made, a path that changed is
    /// taken for another file with a used inode.
    pub(super) fn is(&self, other: &Identity) -> bool {
        let born_alike = match (self.born, other.born) {
            (Some(one), Some(other)) => one == other,
            _ => self.link == other.link,
        };
        self.inode == other.inode && self.event == other.event && born_alike
    }
}

/// The directories that temporary files are in.
pub(super) struct Temporary(Vec<PathBuf>);

impl Temporary {
    /// As the environment names it, and as the kernel does.
    pub(super) fn new(directory: PathBuf) -> Temporary {
        let real = directory.canonicalize().ok();
        Temporary(std::iter::once(directory).chain(real).collect())
    }

    pub(super) fn holds(&self, path: &str) -> bool {
        self.0.iter().any(|directory| Path::new(path).starts_with(directory))
    }
}

impl Descriptor {
    /// From the link's text alone.
    pub(super) fn new(fd: i32, link: &[u8], temporary: &Temporary) -> Descriptor {
        let link = printable(link);
        let (kind, target) = understand(&link, temporary);
        let bare = link.strip_suffix(DELETED).unwrap_or(&link).to_owned();
        let identity = Identity { link: bare, ..Identity::default() };
        Descriptor { fd, kind, target, socket: None, own: false, identity }
    }

    /// A path that somebody may have registered.
    pub(super) fn path(&self) -> Option<&str> {
        let of_socket = || self.socket.as_ref().and_then(Socket::path);
        Some(&*self.identity.link).filter(|link| link.starts_with('/')).or_else(of_socket)
    }

    /// Of a socket, a number that the socket tables know.
    pub(super) fn socket_inode(&self) -> Option<u64> {
        self.identity.link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Adds what `/proc/self/fdinfo` says of it.
    pub(super) fn learn(&mut self, info: &str) {
        match self.kind {
            Kind::Event => self.identity.event = field(info, "eventfd-id:").and_then(|id| id.parse().ok()),
            Kind::Inotify => {
                let watches = info.lines().filter(|line| line.starts_with("inotify ")).count();
                self.target = format!("inotify, watches: {watches}");
            }
            Kind::Epoll => self.target = format!("epoll, watches: {}", watched(info).len()),
            Kind::Timer => self.target = timer(info),
            _ => {}
        }
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "{socket} (fd {})", self.fd),
            None if self.kind == Kind::Socket => write!(f, "{} (fd {})", self.target, self.fd),
            None => write!(f, "fd {}: {}", self.fd, self.target),
        }
    }
}

fn understand(link: &str, temporary: &Temporary) -> (Kind, String) {
    let path = link.strip_suffix(DELETED).unwrap_or(link);
    if let Some(name) = path.strip_prefix("/memfd:") {
        return (Kind::SharedMemory, format!("memfd:{name}"));
    }
    let kind = match link {
        _ if is_shared_memory(link) => Kind::SharedMemory,
        _ if temporary.holds(link) => Kind::TemporaryFile,
        _ if link.starts_with('/') => Kind::File,
        _ if link.starts_with("pipe:") => Kind::Pipe,
        _ if link.starts_with("socket:") => {
            return (Kind::Socket, format!("socket {}", &link["socket:".len()..]));
        }
        "anon_inode:[eventfd]" => return (Kind::Event, "eventfd".into()),
        "anon_inode:[eventpoll]" => return (Kind::Epoll, "epoll".into()),
        "anon_inode:[timerfd]" => return (Kind::Timer, "timer".into()),
        "anon_inode:inotify" => return (Kind::Inotify, "inotify".into()),
        _ => Kind::Other,
    };
    (kind, link.to_owned())
}

pub(super) fn is_shared_memory(path: &str) -> bool {
    ["/memfd:", "/dev/shm/", "/SYSV"].iter().any(|start| path.starts_with(start))
}

/// What follows a key at the beginning of a line.
pub(super) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// What an epoll watches: descriptors, each with the number it is told by.
pub(super) fn watched(info: &str) -> Vec<(i32, u64)> {
    let one = |line: &str| {
        let mut words = line.strip_prefix("tfd:")?.split_whitespace();
        let fd = words.next()?.parse().ok()?;
        let data = words.skip_while(|word| *word != "data:").nth(1)?;
        Some((fd, u64::from_str_radix(data, 16).ok()?))
    };
    info.lines().filter_map(one).collect()
}

fn timer(info: &str) -> String {
    match (seconds(info, "it_value:"), seconds(info, "it_interval:")) {
        (Some(0.0), _) => "timer, not set".into(),
        (Some(left), Some(every)) if every > 0.0 => format!("timer, in {left:.1} s and every {every:.1} s"),
        (Some(left), _) => format!("timer, in {left:.1} s"),
        (None, _) => "timer".into(),
    }
}

/// From `(seconds, nanoseconds)`.
fn seconds(info: &str, key: &str) -> Option<f64> {
    let pair = field(info, key)?.strip_prefix('(')?.strip_suffix(')')?;
    let (seconds, nanoseconds) = pair.split_once(", ")?;
    Some(seconds.parse::<f64>().ok()? + nanoseconds.parse::<f64>().ok()? / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(link: &str) -> Descriptor {
        Descriptor::new(7, link.as_bytes(), &Temporary(vec![PathBuf::from("/tmp")]))
    }

    #[test]
    fn each_kind_is_told_by_its_link() {
        let said = [
            ("/srv/orders.db", Kind::File, "fd 7: /srv/orders.db"),
            ("/tmp/x/orders.db (deleted)", Kind::TemporaryFile, "fd 7: /tmp/x/orders.db (deleted)"),
            ("/tmpfiles/x", Kind::File, "fd 7: /tmpfiles/x"),
            ("/memfd:ring (deleted)", Kind::SharedMemory, "fd 7: memfd:ring"),
            ("/dev/shm/ring", Kind::SharedMemory, "fd 7: /dev/shm/ring"),
            ("pipe:[11]", Kind::Pipe, "fd 7: pipe:[11]"),
            ("socket:[12]", Kind::Socket, "socket [12] (fd 7)"),
            ("anon_inode:[eventfd]", Kind::Event, "fd 7: eventfd"),
            ("anon_inode:[eventpoll]", Kind::Epoll, "fd 7: epoll"),
            ("anon_inode:[timerfd]", Kind::Timer, "fd 7: timer"),
            ("anon_inode:inotify", Kind::Inotify, "fd 7: inotify"),
            ("anon_inode:[signalfd]", Kind::Other, "fd 7: anon_inode:[signalfd]"),
            ("mnt:[4026531841]", Kind::Other, "fd 7: mnt:[4026531841]"),
            ("", Kind::Other, "fd 7: "),
        ];
        for (link, kind, shown) in said {
            let descriptor = of(link);
            assert_eq!((descriptor.kind, descriptor.to_string()), (kind, shown.to_owned()), "{link}");
        }
        assert_eq!(of("socket:[12]").socket_inode(), Some(12));
        assert_eq!(of("/srv/socket:[12]").socket_inode(), None);
    }

    #[test]
    fn what_the_kernel_adds_is_understood() {
        let learnt = |link: &str, info: &str| {
            let mut descriptor = of(link);
            descriptor.learn(info);
            descriptor
        };
        let event =
            learnt("anon_inode:[eventfd]", "pos:\t0\neventfd-count:                0\neventfd-id: 17\n");
        assert_eq!(event.identity.event, Some(17));
        let watch = "inotify wd:1 ino:3c4a7 sdev:fe00000 mask:100 ignored_mask:0 fhandle-bytes:8\n";
        let inotify = learnt("anon_inode:inotify", &format!("pos:\t0\n{watch}{watch}"));
        assert_eq!(inotify.to_string(), "fd 7: inotify, watches: 2");
        let timers = [
            ("(3, 200000000)\nit_interval: (0, 0)", "timer, in 3.2 s"),
            ("(3, 200000000)\nit_interval: (1, 0)", "timer, in 3.2 s and every 1.0 s"),
            ("(0, 0)\nit_interval: (0, 0)", "timer, not set"),
        ];
        for (info, shown) in timers {
            let timer = learnt("anon_inode:[timerfd]", &format!("clockid: 1\nticks: 0\nit_value: {info}\n"));
            assert_eq!(timer.target, shown);
        }
        let epoll = "tfd:        3 events: 80000019 data:                1  pos:0 ino:40e sdev:10\n\
                     tfd:       11 events:       1f data:     7f0c14000d80  pos:0 ino:40e sdev:10\n";
        assert_eq!(watched(epoll), [(3, 1), (11, 0x7f0c_1400_0d80)]);
        assert_eq!(watched("tfd: x\ntfd: 3\n"), []);
    }

    #[test]
    fn a_number_that_stands_for_something_else_is_another_descriptor() {
        let identity = |link: &str, inode, born| {
            let inode = Some((8, 1, inode));
            Identity { inode, born, ..of(link).identity }
        };
        let file = identity("/tmp/a", 5, Some((9, 0)));
        assert!(file.is(&identity("/tmp/a (deleted)", 5, Some((9, 0)))), "deleted while it was open");
        assert!(file.is(&identity("/tmp/b", 5, Some((9, 0)))), "renamed while it was open");
        assert!(!file.is(&identity("/tmp/a", 6, Some((9, 0)))), "replaced");
        assert!(!file.is(&identity("/tmp/a", 5, Some((10, 0)))), "replaced, and the inode used again");
        let untold = identity("/tmp/a", 5, None);
        assert!(untold.is(&identity("/tmp/a (deleted)", 5, None)));
        assert!(!untold.is(&identity("/tmp/b", 5, None)));
        assert!(!of("pipe:[1]").identity.is(&of("pipe:[2]").identity));
    }
}
