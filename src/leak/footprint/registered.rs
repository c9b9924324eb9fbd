//! What the registry answers for: live resources that say in their metadata what they hold of the system.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path;

use crate::leak::footprint::descriptor::Descriptor;
use crate::leak::footprint::memory::Mapping;
use crate::leak::footprint::socket::Socket;
use crate::leak::footprint::task::{Child, NAME_LENGTH, Thread};
use crate::registry::registry;
use crate::resource::MetadataValue;

/// Everything that is claimed, by the metadata's key.
#[derive(Clone, Default, Debug)]
pub(super) struct Registered {
    fds: HashSet<i32>,
    pids: HashSet<u32>,
    tids: HashSet<u32>,
    threads: HashSet<String>,
    paths: HashSet<String>,
    addrs: HashSet<String>,
}

impl Registered {
    /// Adds what is live now, with any manager of this process.
    pub(super) fn gather(&mut self) {
        let mut claims = Vec::new();
        // Under a lock: copied there, understood here.
        registry().each_metadata(|metadata| {
            let known = |key: &str| matches!(key, "fd" | "pid" | "tid" | "thread" | "path" | "addr");
            let found = metadata.iter().filter(|(key, _)| known(key));
            claims.extend(found.map(|(key, value)| (key.to_owned(), value.clone())));
        });
        claims.into_iter().for_each(|(key, value)| self.claim(&key, &value));
    }

    fn claim(&mut self, key: &str, value: &MetadataValue) {
        let text = value.to_string();
        match key {
            "fd" => self.fds.extend(text.parse::<i32>()),
            "pid" => self.pids.extend(text.parse::<u32>()),
            "tid" => self.tids.extend(text.parse::<u32>()),
            "thread" => self.threads.extend([as_kept(&text)]),
            "path" => {
                let absolute = path::absolute(&text).map(|path| path.to_string_lossy().into_owned());
                self.paths.extend(absolute);
                self.paths.insert(text);
            }
            "addr" => self.addrs.extend([canonical(text)]),
            _ => {}
        }
    }

    /// A descriptor, by number, path, or a socket's address. `listens` knows the addresses that are listened on.
    pub(super) fn has_descriptor(&self, descriptor: &Descriptor, listens: impl Fn(&str) -> bool) -> bool {
        self.fds.contains(&descriptor.fd)
            || descriptor.path().is_some_and(|path| self.paths.contains(path))
            || descriptor.socket.as_ref().is_some_and(|socket| self.has_socket(socket, listens))
    }

    /// By the peer's address, or by its own: but what a server has accepted shares that with the server's own socket,
    /// and who registers the one does not answer for the other.
    fn has_socket(&self, socket: &Socket, listens: impl Fn(&str) -> bool) -> bool {
        let claimed = |address: &Option<String>| address.as_ref().is_some_and(|it| self.addrs.contains(it));
        let accepted = || socket.remote.is_some() && socket.local.as_deref().is_some_and(listens);
        claimed(&socket.remote) || claimed(&socket.local) && !accepted()
    }

    pub(super) fn has_thread(&self, thread: &Thread) -> bool {
        self.tids.contains(&thread.tid) || self.threads.contains(&thread.name)
    }

    pub(super) fn has_child(&self, child: &Child) -> bool {
        self.pids.contains(&child.pid)
    }

    pub(super) fn has_mapping(&self, mapping: &Mapping) -> bool {
        self.paths.contains(mapping.path.trim_end_matches(" (deleted)"))
    }
}

/// A thread's name as the kernel keeps it.
fn as_kept(name: &str) -> String {
    let mut end = name.len().min(NAME_LENGTH);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// An address as the socket tables are read; what is none (an abstract Unix name) stays what it is.
fn canonical(text: String) -> String {
    match text.parse::<SocketAddr>() {
        Ok(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).to_string(),
        Err(_) => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::leak::footprint::descriptor::Temporary;

    pub(in crate::leak::footprint) fn claimed(key: &str, value: impl Into<MetadataValue>) -> Registered {
        let mut registered = Registered::default();
        registered.claim(key, &value.into());
        registered
    }

    fn socket(local: &str, remote: Option<&str>) -> Socket {
        let (local, remote) = (Some(local.to_owned()), remote.map(str::to_owned));
        Socket { protocol: "tcp".into(), local, remote, state: None }
    }

    #[test]
    fn an_address_answers_for_one_end_and_a_server_not_for_what_it_accepted() {
        let server = claimed("addr", "127.0.0.1:80");
        let listens = |address: &str| address == "127.0.0.1:80";
        assert!(server.has_socket(&socket("127.0.0.1:80", None), listens));
        assert!(server.has_socket(&socket("127.0.0.1:5555", Some("127.0.0.1:80")), listens));
        assert!(!server.has_socket(&socket("127.0.0.1:80", Some("127.0.0.1:5555")), listens));
        assert!(
            claimed("addr", "127.0.0.1:5555")
                .has_socket(&socket("127.0.0.1:80", Some("127.0.0.1:5555")), listens)
        );
        assert!(
            claimed("addr", "127.0.0.1:7").has_socket(&socket("127.0.0.1:7", Some("127.0.0.1:80")), listens)
        );
        assert!(claimed("addr", "[::ffff:127.0.0.1]:80").has_socket(&socket("127.0.0.1:80", None), listens));
    }

    #[test]
    fn a_thread_is_known_by_as_much_of_its_name_as_the_kernel_keeps() {
        let thread = |name: &str| Thread { tid: 7, name: name.into(), started: 0 };
        assert!(claimed("thread", "orders-consumer-1").has_thread(&thread("orders-consumer")));
        assert!(claimed("thread", "ééééééééé").has_thread(&thread("ééééééé")));
        assert!(claimed("tid", 7).has_thread(&thread("x")));
        assert!(claimed("tid", "7").has_thread(&thread("x")));
        assert!(!claimed("tid", -1).has_thread(&thread("x")));
    }

    #[test]
    fn a_descriptor_is_known_by_its_number_its_path_or_its_sockets_address() {
        let descriptor = |link: &str| Descriptor::new(7, link.as_bytes(), &Temporary::new("/tmp".into()));
        let has = |registered: &Registered, descriptor: &Descriptor| {
            registered.has_descriptor(descriptor, |_| false)
        };
        let file = descriptor("/srv/orders.db (deleted)");
        let bound = Descriptor { socket: Some(socket("127.0.0.1:80", None)), ..descriptor("socket:[12]") };
        let unix = Descriptor { socket: Some(socket("/run/o.sock", None)), ..descriptor("socket:[13]") };
        for any in [&file, &bound, &unix] {
            assert!(has(&claimed("fd", 7), any) && !has(&claimed("fd", 8), any));
            assert!(!has(&claimed("pid", 7), any) && !has(&claimed("tid", 7), any));
        }
        let right = [(&file, "path", "/srv/orders.db"), (&unix, "path", "/run/o.sock")];
        for (descriptor, key, value) in [right[0], right[1], (&bound, "addr", "127.0.0.1:80")] {
            assert!(has(&claimed(key, value), descriptor), "{key} {value}");
            let others =
                [&file, &bound, &unix].into_iter().filter(|other| other.identity != descriptor.identity);
            others.for_each(|other| assert!(!has(&claimed(key, value), other), "{key} {value}"));
        }
    }

    #[test]
    fn a_mapping_is_known_by_its_path_though_its_file_is_deleted_and_a_child_by_its_number() {
        let mapping = |path: &str| Mapping { path: path.into(), bytes: 1, inode: ("00:01".into(), 2) };
        let ring = claimed("path", "/dev/shm/ring");
        assert!(ring.has_mapping(&mapping("/dev/shm/ring")));
        assert!(ring.has_mapping(&mapping("/dev/shm/ring (deleted)")));
        assert!(!ring.has_mapping(&mapping("/dev/shm/rings")));
        let child = |pid| Child {
            pid,
            name: "sleep".into(),
            command: String::new(),
            zombie: false,
            age: Duration::ZERO,
            started: 0,
        };
        assert!(claimed("pid", 7).has_child(&child(7)) && !claimed("pid", 7).has_child(&child(8)));
        assert!(!claimed("tid", 7).has_child(&child(7)));
    }
}
