//! What a footprint shows, and what came between two that were made up.

use std::time::Duration;

use super::delta::between;
use super::descriptor::Temporary;
use super::registered::tests::claimed;
use super::socket::Socket;
use super::*;

pub(super) fn footprint(begun: u64, threads: &[(u32, u64)], children: &[(u32, u64)]) -> Footprint {
    let thread = |&(tid, started): &(u32, u64)| Thread { tid, name: "worker".into(), started };
    let child = |&(pid, started): &(u32, u64)| Child {
        pid,
        name: "sleep".into(),
        command: "sleep 60".into(),
        zombie: false,
        age: Duration::ZERO,
        started,
    };
    Footprint {
        descriptors: Vec::new(),
        threads: threads.iter().map(thread).collect(),
        children: children.iter().map(child).collect(),
        mappings: Vec::new(),
        resident_bytes: 0,
        peak_resident_bytes: 0,
        begun,
        registered: Default::default(),
    }
}

fn open(fd: i32, link: &str) -> Descriptor {
    Descriptor::new(fd, link.as_bytes(), &Temporary::new("/tmp".into()))
}

fn socket(fd: i32, local: &str, remote: Option<&str>, state: &'static str) -> Descriptor {
    let (local, remote) = (Some(local.to_owned()), remote.map(str::to_owned));
    let socket = Socket { protocol: "tcp".into(), local, remote, state: Some(state) };
    Descriptor { socket: Some(socket), ..open(fd, &format!("socket:[{fd}]")) }
}

fn mapping(path: &str, inode: u64) -> Mapping {
    Mapping { path: path.into(), bytes: 4_096, inode: ("00:01".into(), inode) }
}

fn holding(descriptors: impl Into<Vec<Descriptor>>) -> Footprint {
    Footprint { descriptors: descriptors.into(), ..footprint(10, &[], &[]) }
}

#[test]
fn what_is_held_is_counted_and_listed_by_kind() {
    let own = Descriptor { own: true, ..open(9, "anon_inode:[eventpoll]") };
    let peer = Some("127.0.0.1:5555");
    let sockets = [3, 4, 5].map(|fd| socket(fd, "127.0.0.1:80", peer, "CLOSE"));
    let mut held = holding([&sockets[..], &[open(6, "/tmp/a"), open(7, "/tmp/b"), own]].concat());
    let thread = |tid, name: &str| Thread { tid, name: name.into(), started: 0 };
    held.threads = vec![thread(1, "main"), thread(2, "castoff-runtime")];
    held.mappings = vec![mapping("/memfd:ring", 1)];
    (held.resident_bytes, held.peak_resident_bytes) = (2_048, 4_096);
    assert_eq!((held.resident_bytes(), held.peak_resident_bytes()), (2_048, 4_096));
    assert_eq!(
        held.summary(),
        "descriptors 6, of them sockets 3; threads 2; children 0; resident memory 2.0 KiB"
    );
    let shown = held.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "resident memory 2.0 KiB, at its peak 4.0 KiB");
    assert_eq!(lines[1], "descriptors: 6, of them sockets: 3, temporary files: 2");
    assert_eq!(lines[5..8], ["  fd 6: /tmp/a", "  fd 7: /tmp/b", "  fd 9: epoll, castoff's own"]);
    let rest = ["threads: 2", "  thread 1 `main`", "  thread 2 `castoff-runtime`, castoff's own"];
    assert_eq!(lines[8..11], rest);
    let rest = ["child processes: 0", "mapped shared memory: 1", "  mapped: /memfd:ring (4.0 KiB)"];
    assert_eq!(lines[11..], rest);
    assert_eq!(held.since(&holding([])).sockets.len(), 3);
}

#[test]
fn what_came_is_told_as_what_it_is_and_what_was_there_or_is_castoffs_own_is_not() {
    let known = open(3, "/srv/known");
    let before = Footprint {
        mappings: vec![mapping("/memfd:old", 1)],
        resident_bytes: 5_000,
        ..holding([known.clone()])
    };
    let own = Descriptor { own: true, ..open(9, "anon_inode:[eventpoll]") };
    let peer = Some("127.0.0.1:5555");
    let came = [
        open(4, "/tmp/x"),
        open(5, "/dev/shm/ring"),
        open(6, "pipe:[1]"),
        socket(7, "127.0.0.1:80", peer, "CLOSE"),
    ];
    let mut after = holding([&[known, own], &came[..]].concat());
    after.mappings = vec![mapping("/memfd:old", 1), mapping("/memfd:new", 2)];
    after.resident_bytes = 3_000;
    let delta = between(&before, &after);
    assert_eq!(delta.fds, ["fd 4: /tmp/x", "fd 5: /dev/shm/ring", "fd 6: pipe:[1]"]);
    assert_eq!(delta.temp_files, ["fd 4: /tmp/x"]);
    assert_eq!(delta.shared_memory, ["fd 5: /dev/shm/ring", "mapped: /memfd:new (4.0 KiB)"]);
    assert_eq!(delta.sockets, ["socket 127.0.0.1:80 -> 127.0.0.1:5555 CLOSE (fd 7)"]);
    assert_eq!((delta.rss_growth, between(&after, &before).rss_growth), (-2_000, 2_000));
    assert!(!delta.is_empty() && between(&after, &after).is_empty());
    let lines = "5 things came and are still held, and nobody has registered them:\n  fd 4: /tmp/x\n  fd 5: ";
    assert!(delta.to_string().starts_with(lines), "{delta}");
    assert!(
        delta.to_string().ends_with("\n  mapped: /memfd:new (4.0 KiB)\nresident memory -2.0 KiB"),
        "{delta}"
    );
}

#[test]
fn a_growth_of_nothing_is_no_loss() {
    let of = |rss_growth| FootprintDelta { rss_growth, ..FootprintDelta::default() }.to_string();
    assert_eq!(of(0), "nothing new is held; resident memory +0 B");
    assert_eq!(of(1_024), "nothing new is held; resident memory +1.0 KiB");
    assert_eq!(of(-1), "nothing new is held; resident memory -1 B");
    let one = FootprintDelta { threads: vec!["thread 7 `x`".into()], ..FootprintDelta::default() };
    let told =
        "1 thing came and is still held, and nobody has registered it:\n  thread 7 `x`\nresident memory +0 B";
    assert_eq!(one.to_string(), told);
}

#[test]
fn whoever_registered_a_servers_address_answers_for_the_server_alone_wherever_it_listens() {
    let accepted = socket(4, "127.0.0.1:80", Some("127.0.0.1:5555"), "ESTABLISHED");
    let on_six = socket(4, "[::1]:80", Some("[::1]:5555"), "ESTABLISHED");
    // One that listens elsewhere has nothing to do with it: then the other's own address is registered.
    for (listens, accepted, registered, told) in [
        ("127.0.0.1:80", &accepted, "127.0.0.1:80", &[4][..]),
        ("0.0.0.0:80", &accepted, "127.0.0.1:80", &[3, 4]),
        ("[::]:80", &on_six, "[::1]:80", &[3, 4]),
        ("127.0.0.1:81", &accepted, "127.0.0.1:80", &[3]),
    ] {
        let server = socket(3, listens, None, "LISTEN");
        let mut after = holding([server.clone(), accepted.clone()]);
        after.registered = claimed("addr", registered);
        let all = [&server, accepted].into_iter().filter(|it| told.contains(&it.fd));
        let sockets = between(&holding([]), &after).sockets;
        assert_eq!(sockets, all.map(Descriptor::to_string).collect::<Vec<_>>(), "{listens}");
    }
    // A client that calls from there listens to nobody.
    let mut after = holding([socket(3, "127.0.0.1:80", Some("127.0.0.1:81"), "ESTABLISHED"), accepted]);
    after.registered = claimed("addr", "127.0.0.1:80");
    assert!(between(&holding([]), &after).is_empty());
}

#[test]
fn what_is_registered_by_number_or_path_is_not_told() {
    let mut after = holding([open(3, "/srv/a"), open(4, "/srv/b")]);
    after.mappings = vec![mapping("/dev/shm/ring (deleted)", 1), mapping("/dev/shm/other", 2)];
    let delta = |registered| {
        let after = Footprint { registered, ..after.clone() };
        let FootprintDelta { fds, shared_memory, .. } = between(&holding([]), &after);
        (fds, shared_memory)
    };
    let (fds, memory) = delta(claimed("fd", 3));
    assert_eq!((&fds[..], memory.len()), (&["fd 4: /srv/b".to_owned()][..], 2));
    let (fds, memory) = delta(claimed("path", "/dev/shm/ring"));
    assert_eq!((fds.len(), &memory[..]), (2, &["mapped: /dev/shm/other (4.0 KiB)".to_owned()][..]));
}

#[test]
fn an_absorbed_descriptor_takes_the_place_of_what_had_its_number_and_of_nothing_else() {
    let mut known = holding([open(3, "/srv/a"), open(5, "/srv/c")]);
    let after = [open(3, "/srv/b"), open(4, "/srv/d"), open(5, "/srv/c")];
    known.absorb(&known.clone(), &holding(after.clone()));
    assert_eq!(known.descriptors.len(), 3);
    assert!(between(&known, &holding(after)).is_empty());
    assert_eq!(between(&known, &holding([open(3, "/srv/a")])).fds, ["fd 3: /srv/a"]);
}
