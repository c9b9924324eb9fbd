//! A process for each test, and things to hold.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{Footprint, FootprintDelta};

const LIMIT: Duration = Duration::from_secs(300);
const CASE: &str = "CASTOFF_FOOTPRINT_CASE";

/// Runs the body of the calling test in a process that runs nothing else.
pub(crate) fn alone(body: impl FnOnce()) {
    alone_under(&[], body);
}

/// The same, with this command before it: `["valgrind", "--tool=none"]`.
pub(crate) fn alone_under(before: &[&str], body: impl FnOnce()) {
    let name = thread::current().name().expect("the harness names a test's thread").to_owned();
    if std::env::var(CASE).is_ok_and(|case| case == name) {
        return body();
    }
    let said = File::from(memfd("said"));
    let program = std::env::current_exe().expect("this test's own program");
    let program = program.to_str().expect("a path of UTF-8");
    let command = [before, &[program]].concat();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .args([&*name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, &name)
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a descriptor"))
        .stderr(said.try_clone().expect("a descriptor"))
        .spawn()
        .expect("a process for the test");
    let start = Instant::now();
    let status = until(|| child.try_wait().expect("it is ours to wait for"), LIMIT);
    if status.is_none() {
        child.kill().expect("it has not been waited for");
        child.wait().expect("it was killed");
    }
    let said = all_of(said);
    print!("{said}");
    // Past the harness, which shows nothing of a test that passes.
    for skipped in said.lines().filter(|line| line.contains("SKIPPED")) {
        writeln!(io::stderr(), "{name}: {skipped}").expect("stderr is open");
    }
    let ended = status.unwrap_or_else(|| panic!("{name} had not ended after {:?}:\n{said}", start.elapsed()));
    assert!(ended.success() && said.contains("1 passed"), "{name}: {ended}\n{said}");
}

fn all_of(mut file: File) -> String {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).expect("a memfd can be rewound");
    file.read_to_string(&mut text).expect("tests say text");
    text
}

/// Polls until there is an answer. `None` if there is none in time.
pub(crate) fn until<R>(mut ask: impl FnMut() -> Option<R>, limit: Duration) -> Option<R> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > limit {
            return answer;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
pub(crate) fn capture() -> Footprint {
    Footprint::capture().expect("/proc can be read")
}

#[track_caller]
pub(crate) fn since(before: &Footprint) -> FootprintDelta {
    capture().since(before)
}

/// Asks again until a delta is as wanted: for what the kernel or another thread does in its own time.
#[track_caller]
pub(crate) fn settled(before: &Footprint, wanted: impl Fn(&FootprintDelta) -> bool) -> FootprintDelta {
    let mut last = None;
    let found = until(
        || {
            let delta = since(before);
            let right = wanted(&delta);
            last = Some(delta.clone());
            right.then_some(delta)
        },
        Duration::from_secs(20),
    );
    found.unwrap_or_else(|| panic!("never as wanted: {last:?}"))
}

#[track_caller]
pub(crate) fn assert_empty(delta: &FootprintDelta) {
    assert!(delta.is_empty(), "{delta}");
}

/// Keeps both cores busy while it lives.
pub(crate) struct Load {
    stop: &'static AtomicBool,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    pub(crate) fn new() -> Load {
        let stop: &'static AtomicBool = Box::leak(Box::default());
        let spin = move || {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        Load { stop, threads: (0..2).map(|_| thread::spawn(spin)).collect() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("it spins only"));
    }
}

fn owned(fd: libc::c_int) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the call that returned it has just opened it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(crate) fn memfd(name: &str) -> OwnedFd {
    let name = std::ffi::CString::new(name).expect("a name");
    // SAFETY: the name lives as long as the call.
    owned(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })
}

pub(crate) fn eventfd() -> OwnedFd {
    // SAFETY: takes two numbers.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })
}

pub(crate) fn epoll(watched: &OwnedFd) -> OwnedFd {
    // SAFETY: takes a number.
    let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
    let (by, what) = (epoll.as_raw_fd(), watched.as_raw_fd());
    // SAFETY: both are open, and the event lives as long as the call.
    let added = unsafe { libc::epoll_ctl(by, libc::EPOLL_CTL_ADD, what, &raw mut event) };
    assert_eq!(added, 0);
    epoll
}

/// A timer that fires after so long.
pub(crate) fn timer(after: Duration) -> OwnedFd {
    // SAFETY: takes two numbers.
    let timer = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) });
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let first = libc::timespec { tv_sec: after.as_secs().try_into().expect("not that long"), tv_nsec: 0 };
    let when = libc::itimerspec { it_interval: never, it_value: first };
    // SAFETY: the timer is open, and the specification lives as long as the call; a null says that the old is not wanted.
    let set = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const when, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    timer
}

pub(crate) fn inotify(path: &str) -> OwnedFd {
    // SAFETY: takes a number.
    let inotify = owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) });
    let path = std::ffi::CString::new(path).expect("a path");
    // SAFETY: the path lives as long as the call.
    let watch = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), libc::IN_CREATE) };
    assert!(watch >= 0);
    inotify
}

/// Puts what `from` stands for under the number that `number` has.
pub(crate) fn replace(number: &OwnedFd, from: &OwnedFd) {
    // SAFETY: both are open. `number` goes on owning its number, which stands for something else now.
    let given = unsafe { libc::dup3(from.as_raw_fd(), number.as_raw_fd(), libc::O_CLOEXEC) };
    assert_eq!(given, number.as_raw_fd());
}

/// Shared memory that is mapped, with no descriptor left.
pub(crate) struct Mapped(*mut libc::c_void, usize);

impl Mapped {
    pub(crate) fn new(memory: OwnedFd, length: usize) -> Mapped {
        File::from(memory.try_clone().expect("a descriptor")).set_len(length as u64).expect("memory");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = memory.as_raw_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Mapped(at, length)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`, and nobody has a reference into it.
        assert_eq!(unsafe { libc::munmap(self.0, self.1) }, 0);
    }
}

/// Runs `body` in a forked child, and says how that ended. `true` is a good end.
pub(crate) fn in_a_fork(body: impl FnOnce() -> bool) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    // SAFETY: the child goes on with this thread alone: it runs `body` and ends in `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    if pid == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends the child, and runs nothing else of it.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    let ended = until(
        || {
            // SAFETY: `status` is a place to write to, and nobody else waits for this child.
            let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
            assert!(waited >= 0, "{}", io::Error::last_os_error());
            (waited == pid).then_some(())
        },
        Duration::from_secs(30),
    );
    if ended.is_none() {
        // SAFETY: it has not been waited for, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        panic!("the forked child did not end");
    }
    ExitStatus::from_raw(status)
}

/// Puts an empty file system over `/proc`, for this process alone. `false` where that is not permitted.
pub(crate) fn hide_proc() -> bool {
    // SAFETY: takes a number, and changes what this process alone sees.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let none = std::ptr::null();
    // SAFETY: the texts are literals; nulls are allowed where nothing is mounted.
    let own = unsafe { libc::mount(none, c"/".as_ptr(), none, private, none.cast()) };
    let (kind, proc) = (c"tmpfs".as_ptr(), c"/proc".as_ptr());
    // SAFETY: the texts are literals.
    own == 0 && unsafe { libc::mount(kind, proc, kind, 0, none.cast()) } == 0
}

/// From now on so many descriptors may be open, and no more.
pub(crate) fn limit_descriptors(most: usize) {
    let most = most as libc::rlim_t;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit lives as long as the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// As many descriptors as may be.
pub(crate) fn allow_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a place to write to.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limit lives as long as the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    limit.rlim_cur.try_into().expect("a number")
}
