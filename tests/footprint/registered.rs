//! What somebody answers for is not told; what castoff holds itself is not told either.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use castoff::{ManagerConfig, MetadataValue, ResourceGuard, ResourceManager};

use crate::support::{alone, assert_empty, capture, eventfd, settled, since};

fn claim(key: &'static str, value: impl Into<MetadataValue>) -> ResourceGuard<()> {
    let manager = ResourceManager::new("claims");
    manager.resource("a claim").metadata(key, value).guard(|| ()).expect("a guard")
}

#[test]
fn a_registered_descriptor_is_not_told_while_its_guard_lives() {
    alone(|| {
        let before = capture();
        let event = eventfd();
        let guard = claim("fd", event.as_raw_fd());
        assert_empty(&since(&before));
        let other = claim("fd", event.as_raw_fd() + 1);
        drop(guard);
        assert_eq!(since(&before).fds, [format!("fd {}: eventfd", event.as_raw_fd())]);
        drop(other);
    });
}

#[test]
fn it_counts_what_was_registered_when_the_footprint_was_captured() {
    alone(|| {
        let before = capture();
        let event = eventfd();
        let guard = claim("fd", event.as_raw_fd());
        let registered = capture();
        drop(guard);
        let forgotten = capture();
        assert_empty(&registered.since(&before));
        assert_eq!(forgotten.since(&before).fds.len(), 1);
    });
}

#[test]
fn what_a_teardown_has_cleaned_is_answered_for_no_more() {
    alone(|| {
        let before = capture();
        let event = eventfd();
        let manager = ResourceManager::new("wrong cleanup");
        let metadata = manager.resource("event").metadata("fd", event.as_raw_fd());
        let guard = metadata.guard(|| ()).expect("a guard");
        assert!(manager.cleanup().is_success());
        // The guard is still there, and the cleanup has closed nothing.
        assert_eq!(since(&before).fds, [format!("fd {}: eventfd", event.as_raw_fd())]);
        drop(guard);
    });
}

#[test]
fn isolated_managers_answer_too_and_those_of_a_parent_process_do_not() {
    alone(|| {
        let before = capture();
        let event = eventfd();
        let isolated = ResourceManager::isolated("own", ManagerConfig::default());
        let guard =
            isolated.resource("event").metadata("fd", event.as_raw_fd()).guard(|| ()).expect("a guard");
        assert_empty(&since(&before));
        let ended = crate::support::in_a_fork(|| since(&before).fds.len() == 1);
        assert!(ended.success(), "{ended}");
        drop(guard);
    });
}

#[test]
fn a_registered_path_thread_and_child_are_not_told() {
    alone(|| {
        let before = capture();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = claim("path", file.path().display().to_string());
        assert_empty(&since(&before));
        drop(path);
        assert_eq!(since(&before).temp_files.len(), 1);
        drop(file);

        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let named = thread::Builder::new().name("orders-consumer-12".into());
        let worker = named.spawn(move || stopped.recv().unwrap_or(())).expect("a thread");
        settled(&before, |delta| delta.to_string().contains("orders-consumer"));
        let name = claim("thread", "orders-consumer-12");
        assert_empty(&since(&before));
        drop(name);
        assert_eq!(since(&before).threads.len(), 1);
        drop(stop);
        worker.join().expect("it waits only");

        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = claim("pid", child.id());
        assert_empty(&since(&before));
        drop(pid);
        assert_eq!(since(&before).children.len(), 1);
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert_empty(&since(&before));
    });
}

#[test]
fn a_servers_address_answers_for_the_server_and_not_for_what_it_accepted() {
    alone(|| {
        let before = capture();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let there = listener.local_addr().expect("bound");
        let _server = claim("addr", there.to_string());
        assert_empty(&since(&before));
        let client = TcpStream::connect(there).expect("a connection");
        let (served, here) = listener.accept().expect("a connection");
        // The client's end names the address as its peer; the accepted end is nobody's.
        let wanted = format!("socket {there} -> {here} ESTABLISHED (fd {})", served.as_raw_fd());
        assert_eq!(since(&before).sockets, [wanted]);
        let _connection = claim("addr", here.to_string());
        assert_empty(&since(&before));
        drop(client);
    });
}

#[test]
fn castoffs_helper_threads_are_not_told() {
    alone(|| {
        let before = capture();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let manager = ResourceManager::isolated("slow", ManagerConfig::default());
        let guard = manager
            .resource("slow")
            .timeout(Duration::from_millis(20))
            .guard(move || stopped.recv().unwrap_or(()))
            .expect("a guard");
        drop(guard);
        let shown = capture().to_string();
        assert!(shown.contains("`castoff-cleanup`, castoff's own"), "{shown}");
        assert_empty(&since(&before));
        drop(stop);
    });
}

#[cfg(feature = "tokio")]
#[test]
fn what_castoffs_runtime_waits_by_is_not_told_and_another_runtimes_is() {
    // With its signals tokio watches for them too, and keeps a pair of sockets for the whole process from then on.
    let watches = if cfg!(feature = "tokio-process") { 2 } else { 1 };
    alone(|| {
        drop(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
        let before = capture();
        let manager = ResourceManager::isolated("slow", ManagerConfig::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (started, has_started) = std::sync::mpsc::channel();
        let guard = manager.guard_async("slow", move || async move {
            started.send(()).expect("the test waits");
            drop(stopped.await);
        });
        let closing =
            thread::Builder::new().name("closing".into()).spawn(move || drop(guard)).expect("a thread");
        has_started.recv_timeout(Duration::from_secs(20)).expect("the cleanup starts");
        let delta = settled(&before, |delta| delta.to_string().contains("`closing`"));
        assert_eq!((delta.fds.len(), delta.sockets.len(), delta.threads.len()), (0, 0, 1), "{delta}");
        let own = format!("epoll, watches: {watches}, castoff's own");
        assert!(capture().to_string().contains(&own), "{}", capture());

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let delta = since(&before);
        // Its epoll, a second descriptor of that, and the event that wakes it.
        assert_eq!(delta.fds.len(), 3, "{delta}");
        drop(runtime);
        stop.send(()).expect("the cleanup waits");
        closing.join().expect("it drops only");
        assert_empty(&since(&before));
    });
}

#[test]
fn who_answers_for_a_server_on_every_address_does_not_answer_for_what_it_accepted() {
    alone(|| {
        for (bound, called) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
            let Ok(server) = TcpListener::bind(bound) else { continue };
            let port = server.local_addr().expect("it is bound").port();
            let before = capture();
            // By the address that it is called at.
            let guard = claim("addr", format!("{called}:{port}"));
            let client = TcpStream::connect((called.trim_matches(['[', ']']), port)).expect("it listens");
            let (accepted, _) = server.accept().expect("a connection");
            let delta = since(&before);
            let (begin, fd) = (format!("{called}:{port} -> "), format!("(fd {})", accepted.as_raw_fd()));
            let told = |it: &String| it.contains(&begin) && it.ends_with(&fd);
            assert!(delta.sockets.len() == 1 && delta.sockets.iter().all(told), "{called}: {delta}");
            drop((client, guard));
        }
    });
}

#[test]
fn an_address_that_is_no_numbers_is_answered_for_as_it_is_written() {
    alone(|| {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        let before = capture();
        let name = format!("castoff-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let _server = UnixListener::bind_addr(&address).expect("nobody has it");
        assert_eq!(since(&before).sockets.len(), 1);
        let _guard = claim("addr", format!("@{name}"));
        assert_empty(&since(&before));
    });
}
