//! One look at this process: what is asked of `/proc`, and in which order.
//!
//! `/proc/thread-self` rather than `/proc/self` where it matters: the latter is the first thread's, and is empty once
//! that one has ended.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io;
use std::thread;
use std::time::Duration;

use crate::clock::{since_boot, ticks_per_second};
use crate::fork::LockOfEach;
use crate::leak::footprint::descriptor::{Descriptor, Kind, Temporary, watched};
use crate::leak::footprint::proc::{Directory, line, protocol, read};
use crate::leak::footprint::registered::Registered;
use crate::leak::footprint::socket::{self, Socket};
use crate::leak::footprint::task::{Child, Stat, Thread};
use crate::leak::footprint::{Footprint, memory, text};

/// How often, and how far apart, castoff's runtime is looked at that is not at rest.
const LOOKS: u32 = 100;
/// How often, if it waits in another call: for a lock, or because its epoll is none of those that were listed.
const ELSEWHERE: u32 = 3;
const PAUSE: Duration = Duration::from_millis(1);

/// # Errors
/// When `/proc` can't be read.
pub(super) fn look() -> io::Result<Footprint> {
    let temporary = Temporary::new(std::env::temp_dir());
    let mut registered = Registered::default();
    // Before and after: what is registered while this looks has to count, and what is cleaned as well.
    registered.gather();
    let held = TURNS.lock();
    let begun = ticks();
    let threads = threads()?;
    let children = children(begun)?;
    let mut descriptors = descriptors(&temporary)?;
    mark_own(&mut descriptors, &threads);
    let status = read("/proc/thread-self/status")?;
    let maps = read("/proc/thread-self/maps")?;
    drop(held);
    registered.gather();
    let status = String::from_utf8_lossy(&status);
    Ok(Footprint {
        descriptors,
        threads,
        children,
        mappings: memory::shared(&maps, &temporary),
        resident_bytes: memory::resident(&status, "VmRSS:"),
        peak_resident_bytes: memory::resident(&status, "VmHWM:"),
        begun,
        registered,
    })
}

/// One look at a time. A child that was forked in the middle of one has a turn of its own.
static TURNS: LockOfEach = LockOfEach::new();

/// Since the system started: what start times are told in.
fn ticks() -> u64 {
    let (now, rate) = (since_boot(), ticks_per_second());
    now.as_secs() * rate + u64::from(now.subsec_nanos()) * rate / 1_000_000_000
}

fn stat(path: &str) -> Option<Stat> {
    line(path).and_then(|line| Stat::parse(&line))
}

fn threads() -> io::Result<Vec<Thread>> {
    let listed = Directory::open("/proc/self/task")?.numbers()?;
    let stats = listed.into_iter().filter_map(|tid| stat(&format!("/proc/self/task/{tid}/stat")));
    let alive = stats.filter(|stat| !stat.is_ending());
    Ok(alive.map(|stat| Thread { tid: stat.id, name: stat.name, started: stat.started }).collect())
}

/// Every process of the machine is asked whose child it is. `/proc/self/task/*/children` would be quicker, but not
/// every kernel has it, and it leaves out living ones while others end.
fn children(now: u64) -> io::Result<Vec<Child>> {
    let unknown = || io::Error::other("/proc/self/stat is not as Linux writes it");
    let myself = Stat::parse(&read("/proc/self/stat")?).ok_or_else(unknown)?;
    let listed = Directory::open("/proc")?.numbers()?;
    let stats = listed.into_iter().filter_map(|pid| stat(&format!("/proc/{pid}/stat")));
    Ok(stats.filter(|stat| stat.parent == myself.id).map(|stat| child(stat, now)).collect())
}

fn child(stat: Stat, now: u64) -> Child {
    let command = read(&format!("/proc/{}/cmdline", stat.id)).unwrap_or_default();
    let age = now.saturating_sub(stat.started) as f64 / ticks_per_second() as f64;
    Child {
        pid: stat.id,
        command: text::command(&command),
        zombie: stat.is_zombie(),
        name: stat.name,
        age: Duration::from_secs_f64(age),
        started: stat.started,
    }
}

fn descriptors(temporary: &Temporary) -> io::Result<Vec<Descriptor>> {
    let mut found = listed(temporary)?;
    for descriptor in &mut found {
        if matches!(descriptor.kind, Kind::Event | Kind::Epoll | Kind::Inotify | Kind::Timer) {
            descriptor.learn(&info(descriptor.fd));
        }
    }
    match_sockets(&mut found);
    Ok(found)
}

/// All that is open but the directory that is read.
fn listed(temporary: &Temporary) -> io::Result<Vec<Descriptor>> {
    let directory = Directory::open("/proc/thread-self/fd")?;
    let mut found = Vec::new();
    for number in directory.numbers()? {
        let Ok(fd) = i32::try_from(number) else { continue };
        let name = CString::new(number.to_string()).unwrap_or_default();
        let Some(link) = directory.link(&name).filter(|_| fd != directory.number()) else { continue };
        let mut descriptor = Descriptor::new(fd, &link, temporary);
        if link.starts_with(b"/") {
            directory.identify(&name, &mut descriptor.identity);
        }
        found.push(descriptor);
    }
    Ok(found)
}

fn info(fd: i32) -> String {
    let info = read(&format!("/proc/thread-self/fdinfo/{fd}")).unwrap_or_default();
    String::from_utf8_lossy(&info).into_owned()
}

/// Reads the tables until each socket is found. One that has gone meanwhile is taken off the list.
fn match_sockets(descriptors: &mut Vec<Descriptor>) {
    let mut wanted: HashSet<u64> = descriptors.iter().filter_map(Descriptor::socket_inode).collect();
    let mut known: HashMap<u64, Socket> = HashMap::new();
    for (table, family) in socket::TABLES {
        if wanted.is_empty() {
            break;
        }
        let Ok(table) = read(&format!("/proc/thread-self/net/{table}")) else { continue };
        known.extend(socket::read(family, &table, |inode| wanted.contains(&inode)));
        wanted.retain(|inode| !known.contains_key(inode));
    }
    descriptors.retain_mut(|descriptor| {
        let Some(inode) = descriptor.socket_inode() else { return true };
        descriptor.socket = known.get(&inode).cloned();
        descriptor.socket.is_some() || is_unlisted_socket(descriptor)
    });
}

fn is_unlisted_socket(descriptor: &mut Descriptor) -> bool {
    descriptor.socket = protocol(descriptor.fd).map(|name| Socket::unlisted(&name));
    let link = std::fs::read_link(format!("/proc/thread-self/fd/{}", descriptor.fd));
    link.is_ok_and(|link| link.as_os_str() == &*descriptor.identity.link)
}

/// Marks what castoff's runtime waits by: nobody but the kernel knows which of the process's epolls that is, and it says
/// so of a thread that waits, as the first argument of the call that it is in.
fn mark_own(descriptors: &mut [Descriptor], threads: &[Thread]) {
    if !descriptors.iter().any(|descriptor| descriptor.kind == Kind::Epoll) {
        return;
    }
    for runtime in threads.iter().filter(|thread| thread.name == "castoff-runtime") {
        let Some(epoll) = epoll_of(runtime.tid, descriptors) else { continue };
        let waits_by = watched(&info(epoll));
        // tokio's own have the numbers 0 (its waker) and 1 (signals); those of a cleanup's sockets are addresses.
        let inner: HashSet<i32> = waits_by.iter().filter(|(_, data)| *data <= 1).map(|(fd, _)| *fd).collect();
        for descriptor in descriptors.iter_mut() {
            // It has a second descriptor of the same epoll.
            let twin = || !waits_by.is_empty() && watched(&info(descriptor.fd)) == waits_by;
            descriptor.own |= match descriptor.kind {
                Kind::Epoll => descriptor.fd == epoll || twin(),
                _ => inner.contains(&descriptor.fd),
            };
        }
    }
}

/// The epoll that a thread waits in. One that is at work is given a moment to come back to it.
fn epoll_of(tid: u32, descriptors: &[Descriptor]) -> Option<i32> {
    let epolls: HashSet<i32> =
        descriptors.iter().filter(|it| it.kind == Kind::Epoll).map(|descriptor| descriptor.fd).collect();
    let mut elsewhere = 0;
    for _ in 0..LOOKS {
        let call = line(&format!("/proc/self/task/{tid}/syscall"))?;
        let call = std::str::from_utf8(&call).ok()?;
        let first = call.split_whitespace().nth(1).and_then(|word| word.strip_prefix("0x"));
        let fd = first.and_then(|word| i32::from_str_radix(word, 16).ok());
        if let Some(epoll) = fd.filter(|fd| epolls.contains(fd)) {
            return Some(epoll);
        }
        elsewhere += u32::from(first.is_some());
        if elsewhere == ELSEWHERE {
            break;
        }
        thread::sleep(PAUSE);
    }
    None
}
