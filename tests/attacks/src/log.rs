//! The log: one `write` for each line, without memory of its own, so that it works when there is none.

use std::ffi::CString;
use std::io;
use std::sync::OnceLock;

/// Opened by [`open`], before anything is attacked.
static LOG: OnceLock<i32> = OnceLock::new();

const LINE: usize = 64;

pub fn open() {
    let path = std::env::var("CASTOFF_LOG").expect("CASTOFF_LOG names the log");
    let path = CString::new(path).expect("a path has no zeros");
    // SAFETY: a string that ends with a zero; it is only read.
    let log = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC) };
    assert!(log >= 0, "the log can't be opened: {}", io::Error::last_os_error());
    LOG.set(log).expect("the log is opened once");
}

/// Appends a line: this mark, and this number.
pub fn say(mark: u8, number: usize) -> io::Result<()> {
    let mut line = [mark; LINE];
    let mut at = LINE - 1;
    line[at] = b'\n';
    let mut left = number;
    loop {
        at -= 1;
        line[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    append(&line[at - 1..])
}

fn append(line: &[u8]) -> io::Result<()> {
    let log = *LOG.get().expect("the log is opened first");
    loop {
        // SAFETY: the pointer and the length are those of a slice, which `write` only reads.
        let written = unsafe { libc::write(log, line.as_ptr().cast(), line.len()) };
        if written == line.len() as isize {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
