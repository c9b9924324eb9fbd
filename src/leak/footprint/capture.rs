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
    in_ticks(since_boot(), ticks_per_second())
}

fn in_ticks(time: Duration, rate: u64) -> u64 {
    time.as_secs() * rate + u64::from(time.subsec_nanos()) * rate / 1_000_000_000
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
    first_argument(&epolls, || line(&format!("/proc/self/task/{tid}/syscall")))
}

/// Which of these a thread is in a call with, by what the kernel says of its call whenever it is asked.
fn first_argument(epolls: &HashSet<i32>, mut call: impl FnMut() -> Option<Vec<u8>>) -> Option<i32> {
    let mut elsewhere = 0;
    for _ in 0..LOOKS {
        let call = call()?;
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_time_is_told_in_whole_ticks() {
        let time = Duration::new(12, 345_678_901);
        assert_eq!([100, 250, 1].map(|rate| in_ticks(time, rate)), [1_234, 3_086, 12]);
        assert_eq!(in_ticks(Duration::new(3, 999_999_999), 100), 399);
    }

    #[test]
    fn a_thread_has_started_between_what_was_before_it_and_what_was_after() {
        let (stop, stopped) = mpsc::channel::<()>();
        let before = ticks();
        let started = thread::spawn(move || {
            let stat = stat("/proc/thread-self/stat").expect("it is there");
            stopped.recv().unwrap_or(());
            stat
        });
        let after = || threads().expect("they can be listed").into_iter().map(|it| (it.tid, it.started));
        let listed: Vec<(u32, u64)> = after().collect();
        let now = ticks();
        drop(stop);
        let stat = started.join().expect("it reads and waits");
        assert!(before <= stat.started && stat.started <= now, "{before} {stat:?} {now}");
        assert!(listed.contains(&(stat.id, stat.started)), "{listed:?}");
    }

    #[test]
    fn a_child_is_as_old_as_the_ticks_since_it_started() {
        let rate = ticks_per_second();
        let rest = "77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 4 0 1000 9 10";
        // A number that no process has.
        let stat = || Stat::parse(format!("4194305 (sleep) S 77 {rest}").as_bytes()).expect("a line");
        let found = child(stat(), 1_000 + 3 * rate + rate / 2);
        assert_eq!((found.age, found.started), (Duration::from_millis(3_500), 1_000));
        assert_eq!((&*found.name, &*found.command, found.zombie), ("sleep", "", false));
        assert_eq!(child(stat(), 900).age, Duration::ZERO);
    }

    /// What is found where the kernel says this, one after the other and the last for ever, and how often it was asked.
    fn found(said: &[&str]) -> (Option<i32>, usize) {
        let mut asked = 0;
        let found = first_argument(&HashSet::from([5, 17]), || {
            asked += 1;
            let said = said.get(asked - 1).or(said.last()).filter(|said| !said.is_empty());
            said.map(|said| said.as_bytes().to_vec())
        });
        (found, asked)
    }

    #[test]
    fn a_runtime_that_is_at_work_is_looked_at_until_it_waits_and_one_that_waits_elsewhere_is_left() {
        let (waits, elsewhere) = ("232 0x11 0x7f00 0x400 0xffffffff 0x0 0x0", "202 0x7f0012345678 0x80 0x0");
        assert_eq!(found(&[waits]), (Some(17), 1));
        assert_eq!(found(&["running", "running", elsewhere, "running", elsewhere, waits]), (Some(17), 6));
        assert_eq!(found(&["0 0x9 0x7f00 0x1"]), (None, ELSEWHERE as usize));
        assert_eq!(found(&[elsewhere, "running", elsewhere, elsewhere, waits]), (None, 4));
        assert_eq!(found(&["running"]), (None, LOOKS as usize));
        // It has ended.
        assert_eq!(found(&["running", ""]), (None, 2));
    }
}
