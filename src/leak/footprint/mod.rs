//! What the operating system holds for this process, and what came since an earlier look: [`Footprint`] and
//! [`FootprintDelta`].
//!
//! In comes `/proc`, read by `capture` on Linux; out goes plain data. `capture` asks and the other modules understand:
//! those are pure, and know the kernel's texts of descriptors, sockets, tasks and memory. `registered` is what the
//! registry answers for.
//!
//! Invariants:
//! 1. What vanishes while it is looked at is no error: it is not there.
//! 2. What a look itself opens is in no footprint. One look at a time: two would see each other's descriptors.
//! 3. Things are compared by what they are, not by their number.

// The texts are understood everywhere and come on Linux only.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

#[cfg(target_os = "linux")]
mod capture;
mod delta;
mod descriptor;
mod memory;
#[cfg(target_os = "linux")]
mod proc;
mod registered;
mod socket;
mod task;
#[cfg(test)]
mod tests;
pub(super) mod text;

use std::fmt;

pub use self::delta::FootprintDelta;
use self::descriptor::{Descriptor, Kind};
use self::memory::Mapping;
use self::registered::Registered;
use self::task::{Child, Thread};
use self::text::Bytes;
use crate::error::FootprintError;

/// What the operating system holds for this process: open descriptors with what they stand for, sockets with both
/// addresses and their state, threads, child processes, mapped shared memory, and how much memory is resident.
///
/// [`capture`](Self::capture) one before and one after, and ask the later one what came [`since`](Self::since): what
/// nobody closed, joined or waited for, whether it was ever registered or not. `Display` lists all of it;
/// with feature `serde` it can be serialised.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")] {
/// use castoff::Footprint;
/// use std::net::TcpListener;
///
/// let before = Footprint::capture()?;
/// let forgotten = TcpListener::bind("127.0.0.1:0")?;
/// let held = Footprint::capture()?.since(&before);
/// assert_eq!(held.sockets.len(), 1);
/// assert!(held.sockets[0].starts_with(&format!("socket {} LISTEN (fd ", forgotten.local_addr()?)));
///
/// drop(forgotten);
/// assert!(Footprint::capture()?.since(&before).is_empty());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Footprint {
    descriptors: Vec<Descriptor>,
    threads: Vec<Thread>,
    children: Vec<Child>,
    mappings: Vec<Mapping>,
    resident_bytes: u64,
    peak_resident_bytes: u64,
    /// When it was begun, in ticks since the system started.
    #[cfg_attr(feature = "serde", serde(skip))]
    begun: u64,
    #[cfg_attr(feature = "serde", serde(skip))]
    registered: Registered,
}

impl Footprint {
    /// Looks at this process. Linux only.
    ///
    /// Other threads go on meanwhile: a footprint is true of each thing at the moment it was looked at, not of all at
    /// one moment. What ends while it is looked at is left out, and so is what this call opens itself: one descriptor
    /// at a time. Two calls take turns.
    ///
    /// It takes two system calls for an open file, one for a socket or a pipe, three for a thread or for a process of
    /// the *machine* (whose child is it?), and reads the socket tables of the network namespace if the process has a
    /// socket. `docs/footprint.md` in the repository has figures. It is for the ends of tests, for checks by hand and
    /// once in a while, not for a loop.
    ///
    /// # Errors
    /// [`Unsupported`](FootprintError::Unsupported) where there is no Linux;
    /// [`Io`](FootprintError::Io) with the path where `/proc` can't be read, or no descriptor is free to read it by.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// let footprint = castoff::Footprint::capture()?;
    /// assert!(footprint.to_string().contains("thread"));
    /// assert!(footprint.peak_resident_bytes() >= footprint.resident_bytes());
    /// # }
    /// # Ok::<(), castoff::FootprintError>(())
    /// ```
    pub fn capture() -> Result<Footprint, FootprintError> {
        #[cfg(target_os = "linux")]
        return Ok(capture::look()?);
        #[cfg(not(target_os = "linux"))]
        return Err(FootprintError::Unsupported);
    }

    /// What came after `before` was captured, and was still there when this one was; less what is registered.
    ///
    /// Things are compared by what they are. A descriptor is the same if its number, what it stands for and, of a
    /// file, the inode are; a number that was closed and opened again for something else is new. Threads and children
    /// are known by their ids and start times.
    ///
    /// A live resource of any manager answers for what its metadata name: `fd`, `pid`, `tid` (numbers), `thread` (a
    /// name), `path` (of a file, a socket or shared memory) and `addr` (a socket's peer, or its own address). It is
    /// asked when a footprint is captured. castoff's own threads, and the descriptors that its runtime waits by, are
    /// left out too.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use castoff::{Footprint, ResourceManager};
    /// use std::os::fd::AsRawFd;
    ///
    /// let before = Footprint::capture()?;
    /// let file = tempfile::tempfile()?;
    /// let guard = ResourceManager::new("uploads").resource("spool").metadata("fd", file.as_raw_fd()).guard(|| ())?;
    /// assert!(Footprint::capture()?.since(&before).is_empty()); // somebody answers for it
    ///
    /// drop(guard);
    /// let held = Footprint::capture()?.since(&before);
    /// assert!(held.fds[0].ends_with(" (deleted)"));
    /// # drop(file);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn since(&self, before: &Footprint) -> FootprintDelta {
        delta::between(before, self)
    }

    /// How many bytes of its memory are in RAM, shared pages included.
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// The most that [`resident_bytes`](Self::resident_bytes) ever was in this process, as the kernel keeps it: to within
    /// some hundred KiB.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.peak_resident_bytes
    }

    fn count(&self, kind: Kind) -> usize {
        self.descriptors.iter().filter(|descriptor| descriptor.kind == kind).count()
    }
}

impl Footprint {
    /// All of it on one line.
    pub(crate) fn summary(&self) -> String {
        let (descriptors, sockets) = (self.descriptors.len(), self.count(Kind::Socket));
        let (threads, children) = (self.threads.len(), self.children.len());
        let resident = Bytes(self.resident_bytes);
        format!(
            "descriptors {descriptors}, of them sockets {sockets}; threads {threads}; children {children}; resident memory {resident}"
        )
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resident, peak) = (Bytes(self.resident_bytes), Bytes(self.peak_resident_bytes));
        writeln!(f, "resident memory {resident}, at its peak {peak}")?;
        let (sockets, files) = (self.count(Kind::Socket), self.count(Kind::TemporaryFile));
        let descriptors = self.descriptors.len();
        write!(f, "descriptors: {descriptors}, of them sockets: {sockets}, temporary files: {files}")?;
        for descriptor in &self.descriptors {
            write!(f, "\n  {descriptor}{}", text::own(descriptor.own))?;
        }
        write!(f, "\nthreads: {}", self.threads.len())?;
        for thread in &self.threads {
            write!(f, "\n  {thread}{}", text::own(thread.is_own()))?;
        }
        write!(f, "\nchild processes: {}", self.children.len())?;
        for child in &self.children {
            write!(f, "\n  {child}")?;
        }
        write!(f, "\nmapped shared memory: {}", self.mappings.len())?;
        self.mappings.iter().try_for_each(|mapping| write!(f, "\n  {mapping}"))
    }
}
