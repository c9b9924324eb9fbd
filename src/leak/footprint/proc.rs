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
        identity.born = born(told.stx_mask, (told.stx_btime.tv_sec, told.stx_btime.tv_nsec));
    }
}

/// When a file was made, from which of its figures are said to be told, and the one that is then.
fn born(told: u32, time: (i64, u32)) -> Option<(i64, u32)> {
    // Some file systems say that they tell, and tell nothing.
    (told & StatxFlags::BTIME.bits() != 0 && time != (0, 0)).then_some(time)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_of_any_length_is_read_to_its_end() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            file.write_all(&bytes).expect("it can be written");
            let path = file.path().to_str().expect("a path of UTF-8");
            assert!(read(path).is_ok_and(|found| found == bytes), "{length}");
            assert_eq!(line(path), Some(bytes[..length.min(SHORT)].to_vec()), "{length}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_it_or_no_line() {
        // One is not there, and the other has a name and no content.
        for (path, kind) in [("/proc/none", ErrorKind::NotFound), ("/proc", ErrorKind::IsADirectory)] {
            let refused = read(path).expect_err("it has no content");
            assert_eq!((refused.kind(), line(path)), (kind, None));
            assert!(refused.to_string().starts_with(&format!("reading {path} failed: ")), "{refused}");
        }
        let refused = Directory::open("/proc/none").err().expect("there is none");
        assert!(refused.to_string().starts_with("reading /proc/none failed: "), "{refused}");
        let refused = Directory::open("/proc/self/stat").err().expect("it is a file");
        assert_eq!(refused.kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn when_a_file_was_made_is_known_where_its_file_system_says_so_and_tells() {
        let (all, btime) = (StatxFlags::all().bits(), StatxFlags::BTIME.bits());
        assert_eq!([all, btime].map(|told| born(told, (9, 5))), [Some((9, 5)); 2]);
        assert_eq!(born(all, (9, 0)), Some((9, 0)));
        assert_eq!((born(all & !btime, (9, 5)), born(0, (9, 5)), born(all, (0, 0))), (None, None, None));
    }

    #[test]
    fn a_directory_has_its_numbers_alone_and_links_that_are_there() {
        let me = std::process::id();
        let processes = Directory::open("/proc").and_then(|all| all.numbers()).expect("it can be listed");
        assert!(processes.contains(&me) && !processes.contains(&0), "{processes:?}");
        let descriptors = Directory::open("/proc/self/fd").expect("it can be opened");
        assert!(descriptors.numbers().is_ok_and(|all| all.contains(&(descriptors.number() as u32))));
        let name = std::ffi::CString::new(descriptors.number().to_string()).expect("a number");
        assert_eq!(descriptors.link(&name), Some(format!("/proc/{me}/fd").into_bytes()));
        assert_eq!(descriptors.link(c"none"), None);
    }

    #[test]
    fn a_file_is_identified_by_its_inode_and_one_that_is_not_there_not_at_all() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let descriptors = Directory::open("/proc/self/fd").expect("it can be opened");
        let name = |number: i32| std::ffi::CString::new(number.to_string()).expect("a number");
        let mut identity = Identity::default();
        descriptors.identify(&name(file.as_raw_fd()), &mut identity);
        let there = file.as_file().metadata().expect("it is there");
        assert_eq!(identity.inode.map(|(_, _, inode)| inode), Some(there.ino()));
        let mut none = Identity::default();
        descriptors.identify(c"none", &mut none);
        assert_eq!(none, Identity::default());
    }
}
