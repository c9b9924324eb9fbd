//! Asks `/proc`. Whatever is opened here is closed before the next is, so that one free descriptor is enough.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat, statx};

use crate::leak::footprint::descriptor::Identity;

/// Enough for most of the files: of a longer one there is more than one read.
const CHUNK: usize = 16 * 1024;
/// More than the longest `stat` and `syscall` have: some 50 numbers.
const SHORT: usize = 2048;

/// A directory of `/proc`. It is held open, and its number is known.
pub(super) struct Directory {
    path: &'static str,
    handle: OwnedFd,
}

impl Directory {
    /// # Errors
    /// The system's, with the path.
    pub(super) fn open(path: &'static str) -> io::Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, path, flags, Mode::empty());
        let handle = opened.map_err(|refused| at(path, refused.into()))?;
        Ok(Directory { path, handle })
    }

    pub(super) fn number(&self) -> i32 {
        self.handle.as_raw_fd()
    }

    /// The names in it that are numbers.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut buffer = [MaybeUninit::uninit(); CHUNK];
        let mut entries = RawDir::new(&self.handle, &mut buffer);
        let mut numbers = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|refused| at(self.path, refused.into()))?;
            let name = std::str::from_utf8(entry.file_name().to_bytes());
            numbers.extend(name.ok().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(numbers)
    }

    /// Where a link of it points to. `None` if it has gone.
    pub(super) fn link(&self, name: &CStr) -> Option<Vec<u8>> {
        readlinkat(&self.handle, name, Vec::new()).ok().map(|target| target.into_bytes())
    }

    /// Adds what the file behind a link is. It is not asked for: what the system knows has to do, as the file may be on
    /// a server that does not answer.
    pub(super) fn identify(&self, name: &CStr, identity: &mut Identity) {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let Ok(told) = statx(&self.handle, name, AtFlags::STATX_DONT_SYNC, wanted) else { return };
        identity.inode = Some((told.stx_dev_major, told.stx_dev_minor, told.stx_ino));
        let born = (told.stx_btime.tv_sec, told.stx_btime.tv_nsec);
        // Some file systems say that they tell, and tell nothing.
        let told = told.stx_mask & StatxFlags::BTIME.bits() != 0 && born != (0, 0);
        identity.born = told.then_some(born);
    }
}

/// The whole of a file.
///
/// # Errors
/// The system's, with the path.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path).map_err(|refused| at(path, refused))?;
    let (mut found, mut length) = (vec![0; CHUNK], 0);
    loop {
        match file.read(&mut found[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(interrupted) if interrupted.kind() == ErrorKind::Interrupted => {}
            Err(refused) => return Err(at(path, refused)),
        }
        if length == found.len() {
            found.resize(length * 2, 0);
        }
    }
    found.truncate(length);
    Ok(found)
}

/// A file of one short line, which the kernel gives at once. `None` if it has gone.
pub(super) fn line(path: &str) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut buffer = [0; SHORT];
    loop {
        match file.read(&mut buffer) {
            Ok(length) => return Some(buffer[..length].to_vec()),
            Err(interrupted) if interrupted.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// The protocol of a socket that is in no table.
pub(super) fn protocol(fd: i32) -> Option<Vec<u8>> {
    let mut name = [0; 32];
    let path = format!("/proc/thread-self/fd/{fd}");
    let length = rustix::fs::getxattr(path, c"system.sockprotoname", &mut name).ok()?;
    Some(name[..length].to_vec())
}

fn at(path: &str, refused: io::Error) -> io::Error {
    io::Error::new(refused.kind(), format!("reading {path} failed: {refused}"))
}
