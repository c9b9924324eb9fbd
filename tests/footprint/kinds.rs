//! Each kind of thing is found with what tells it from others, and is gone when it is closed.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use castoff::Footprint;

use crate::support::{
    Mapped, alone, assert_empty, capture, epoll, eventfd, inotify, memfd, settled, since, timer,
};

/// Holds `thing`: one line of `fds` must say so, and nothing else; then it must be gone.
#[track_caller]
fn one_descriptor(make: impl FnOnce() -> OwnedFd, wanted: impl FnOnce(i32) -> String) {
    let before = capture();
    let thing = make();
    let delta = since(&before);
    assert_eq!(delta.fds, [wanted(thing.as_raw_fd())], "{delta}");
    assert!(delta.sockets.is_empty() && delta.threads.is_empty() && delta.children.is_empty(), "{delta}");
    drop(thing);
    assert_empty(&since(&before));
}

#[test]
fn open_files_are_found_by_their_paths() {
    alone(|| {
        let program = std::env::current_exe().expect("a path");
        let open = || File::open(&program).expect("a file").into();
        one_descriptor(open, |fd| format!("fd {fd}: {}", program.display()));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("or\nders.db");
        let shown = path.display().to_string().replace('\n', "\\n");
        one_descriptor(|| File::create(&path).expect("a file").into(), |fd| format!("fd {fd}: {shown}"));
        let deleted = || {
            let file = File::create(&path).expect("a file");
            std::fs::remove_file(&path).expect("it is there");
            file.into()
        };
        one_descriptor(deleted, |fd| format!("fd {fd}: {shown} (deleted)"));
    });
}

#[test]
fn files_under_the_temporary_directory_and_shared_memory_are_told_apart() {
    alone(|| {
        let before = capture();
        let temporary = tempfile::tempfile().expect("a file");
        let ring = memfd("ring");
        let name = format!("/dev/shm/castoff-footprint-{}", std::process::id());
        let shm = File::create(&name).expect("/dev/shm is writable");
        std::fs::remove_file(&name).expect("it is there");
        let delta = since(&before);
        assert_eq!((delta.fds.len(), delta.temp_files.len()), (3, 1), "{delta}");
        assert!(delta.temp_files[0].starts_with(&format!("fd {}: ", temporary.as_raw_fd())), "{delta}");
        let shared = [
            format!("fd {}: memfd:ring", ring.as_raw_fd()),
            format!("fd {}: {name} (deleted)", shm.as_raw_fd()),
        ];
        assert_eq!(delta.shared_memory, shared);
        drop((temporary, ring, shm));
        assert_empty(&since(&before));
    });
}

#[test]
fn shared_memory_is_found_that_no_descriptor_holds() {
    alone(|| {
        let before = capture();
        let mapped = Mapped::new(memfd("ring"), 65_536);
        let delta = since(&before);
        assert_eq!(delta.shared_memory, ["mapped: /memfd:ring (deleted) (64.0 KiB)"], "{delta}");
        assert!(delta.fds.is_empty() && !delta.is_empty(), "{delta}");
        assert!(delta.to_string().contains("\n  mapped: /memfd:ring"), "{delta}");
        drop(mapped);
        assert_empty(&since(&before));
    });
}

#[test]
fn events_timers_watchers_and_epolls_are_found() {
    alone(|| {
        one_descriptor(eventfd, |fd| format!("fd {fd}: eventfd"));
        one_descriptor(|| inotify("/"), |fd| format!("fd {fd}: inotify, watches: 1"));
        let watched = eventfd();
        one_descriptor(|| epoll(&watched), |fd| format!("fd {fd}: epoll, watches: 1"));
        one_descriptor(|| timer(Duration::ZERO), |fd| format!("fd {fd}: timer, not set"));
        let before = capture();
        let timer = timer(Duration::from_secs(1000));
        let shown = since(&before).fds.concat();
        let left = shown.strip_prefix(&format!("fd {}: timer, in ", timer.as_raw_fd())).expect("a timer");
        let left: f64 = left.strip_suffix(" s").and_then(|left| left.parse().ok()).expect("seconds");
        assert!((800.0..=1000.0).contains(&left), "{shown}");
    });
}

#[test]
fn both_ends_of_a_pipe_are_found() {
    alone(|| {
        let before = capture();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let delta = since(&before);
        let ends = [reader.as_raw_fd(), writer.as_raw_fd()].map(|fd| format!("fd {fd}: pipe:["));
        assert!(delta.fds.len() == 2 && ends.iter().all(|end| delta.to_string().contains(end)), "{delta}");
        drop(reader);
        assert_eq!(since(&before).fds.len(), 1);
        drop(writer);
        assert_empty(&since(&before));
    });
}

fn connection(at: &str) {
    let Ok(listener) = TcpListener::bind(at) else {
        return eprintln!("SKIPPED: no socket can be bound to {at} here");
    };
    let before = capture();
    let there = listener.local_addr().expect("an address");
    let client = TcpStream::connect(there).expect("a connection");
    let (served, here) = listener.accept().expect("a connection");
    let delta = since(&before);
    let line = |from, to, fd| format!("socket {from} -> {to} ESTABLISHED (fd {fd})");
    let mut wanted = [line(here, there, client.as_raw_fd()), line(there, here, served.as_raw_fd())];
    let mut sockets = delta.sockets.clone();
    wanted.sort();
    sockets.sort();
    assert_eq!(sockets, wanted, "{delta}");
    assert!(delta.fds.is_empty(), "{delta}");
    drop(client);
    let close_wait = |line: &String| line.contains(" CLOSE_WAIT ");
    assert!(settled(&before, |delta| delta.sockets.iter().any(close_wait)).sockets.len() == 1);
    drop(served);
    assert_empty(&since(&before));
}

#[test]
fn connections_are_found_with_both_addresses_and_their_state() {
    alone(|| {
        connection("127.0.0.1:0");
        connection("[::1]:0");
    });
}

#[test]
fn sockets_of_other_kinds_are_found() {
    alone(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let before = capture();
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let path = directory.path().join("orders and more.sock");
        let unix = UnixListener::bind(&path).expect("a socket");
        let (one, other) = UnixStream::pair().expect("a pair");
        let wanted = [
            format!("socket {} LISTEN (fd {})", tcp.local_addr().expect("bound"), tcp.as_raw_fd()),
            format!("socket udp {} (fd {})", udp.local_addr().expect("bound"), udp.as_raw_fd()),
            format!("socket unix {} LISTEN (fd {})", path.display(), unix.as_raw_fd()),
            format!("socket unix without an address CONNECTED (fd {})", one.as_raw_fd()),
            format!("socket unix without an address CONNECTED (fd {})", other.as_raw_fd()),
        ];
        let delta = since(&before);
        assert_eq!(delta.sockets, wanted, "{delta}");
        udp.connect(udp.local_addr().expect("bound")).expect("connected to itself");
        let address = udp.local_addr().expect("bound");
        let connected = format!("socket udp {address} -> {address} ");
        assert!(since(&before).sockets.iter().any(|line| line.starts_with(&connected)), "{}", since(&before));
        drop((tcp, udp, unix, one, other));
        assert_empty(&since(&before));
    });
}

#[test]
fn a_socket_that_is_in_no_table_yet_is_found() {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _entered = runtime.enter();
        let before = capture();
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        assert_eq!(
            since(&before).sockets,
            [format!("socket tcp without an address (fd {})", socket.as_raw_fd())]
        );
        drop(socket);
        assert_empty(&since(&before));
    });
}

#[test]
fn a_thread_is_found_by_its_name_and_gone_when_it_is_joined() {
    alone(|| {
        let before = capture();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let body = move || stopped.recv().unwrap_or(());
        let worker = thread::Builder::new().name("worker-3".into()).spawn(body).expect("a thread");
        let delta = settled(&before, |delta| delta.to_string().contains("worker-3"));
        let [line] = &*delta.threads else { panic!("one thread, not {delta}") };
        let tid = line.strip_prefix("thread ").and_then(|line| line.strip_suffix(" `worker-3`"));
        let tid: u32 = tid.and_then(|tid| tid.parse().ok()).expect("a number");
        assert!(tid > std::process::id(), "{line}");
        drop(stop);
        worker.join().expect("it waits only");
        // At once: no grace for the kernel to clear up in.
        assert_empty(&since(&before));
    });
}

#[test]
fn a_joined_thread_is_never_still_there() {
    alone(|| {
        let before = capture();
        // Many at once on few cores: one that has woken who joins it often has to wait before it can leave.
        for _ in 0..200 {
            let crowd: Vec<_> = (0..40).map(|_| thread::spawn(thread::yield_now)).collect();
            crowd.into_iter().for_each(|thread| thread.join().expect("it yields only"));
            assert_empty(&since(&before));
        }
    });
}

#[test]
fn a_child_is_found_by_its_command_then_as_a_zombie_and_gone_when_waited_for() {
    alone(|| {
        let before = capture();
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep");
        let pid = child.id();
        let start = format!("child {pid} `sleep 60`, since ");
        let delta = settled(&before, |delta| delta.to_string().contains("`sleep 60`"));
        assert!(delta.children.len() == 1 && delta.children[0].starts_with(&start), "{delta}");
        let age = delta.children[0][start.len()..].strip_suffix(" s").expect("seconds");
        assert!(age.parse::<f64>().is_ok_and(|age| age < 30.0), "{delta}");
        assert!(delta.fds.is_empty() && delta.threads.is_empty(), "{delta}");

        child.kill().expect("it is ours");
        let delta = settled(&before, |delta| delta.to_string().contains("a zombie"));
        assert!(delta.children[0].starts_with(&format!("child {pid} `sleep` (a zombie: ")), "{delta}");
        child.wait().expect("it is ours");
        assert_empty(&since(&before));
    });
}

#[test]
fn resident_memory_grows_with_what_is_written_to() {
    alone(|| {
        const MUCH: usize = 64 << 20;
        let before = capture();
        let memory = std::hint::black_box(vec![1u8; MUCH]);
        let after = capture();
        let grown = after.since(&before).rss_growth;
        assert!(grown > (MUCH / 2) as i64, "{grown}");
        assert!(after.peak_resident_bytes() >= after.resident_bytes());
        drop(memory);
        let shrunk = capture();
        assert!(shrunk.since(&after).rss_growth < -((MUCH / 2) as i64));
        // The kernel keeps its peak by counters that each core brings up to date now and then.
        assert!(shrunk.peak_resident_bytes() + (4 << 20) >= after.resident_bytes());
        assert!(shrunk.since(&after).to_string().contains("resident memory -"));
    });
}

#[test]
fn a_footprint_lists_all_of_it_and_a_delta_says_when_there_is_nothing() {
    alone(|| {
        let before = capture();
        let said = since(&before).to_string();
        assert!(said.starts_with("nothing new is held; resident memory "), "{said}");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let shown = capture().to_string();
        let socket = format!("socket {} LISTEN (fd ", listener.local_addr().expect("bound"));
        for part in
            ["resident memory ", "descriptors: ", "\n  fd 0: ", &socket, "threads: ", "child processes: 0"]
        {
            assert!(shown.contains(part), "{part:?} is not in {shown}");
        }
        assert!(since(&before).to_string().starts_with("1 thing came and is still held"));
    });
}

#[test]
fn a_descriptor_to_read_by_is_all_that_is_needed_and_the_error_says_when_there_is_none() {
    alone(|| {
        let before = capture();
        crate::support::limit_descriptors(64);
        let mut held = Vec::new();
        let refused = loop {
            match File::open("/dev/null") {
                Ok(file) => held.push(file),
                Err(refused) => break refused,
            }
        };
        let error = Footprint::capture().expect_err("no descriptor is free").to_string();
        assert!(error.contains("/proc/") && error.contains(&refused.to_string()), "{error}");
        assert_ne!(refused.kind(), ErrorKind::NotFound);
        held.pop();
        assert_eq!(since(&before).fds.len(), held.len());
    });
}
