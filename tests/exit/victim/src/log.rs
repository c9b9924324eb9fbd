//! The log: lines that are there when the next thing happens, however the process ends.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::LazyLock;

static LOG: LazyLock<File> = LazyLock::new(|| {
    let path = std::env::var_os("CASTOFF_LOG").expect("CASTOFF_LOG names the log");
    OpenOptions::new().append(true).create(true).open(path).expect("the log can be opened")
});

/// Appends a line. A `File` has no buffer: this is one `write`.
pub fn say(line: impl AsRef<str>) {
    let line = format!("{}\n", line.as_ref());
    let wrote = (&*LOG).write(line.as_bytes()).expect("the log takes what is said");
    assert_eq!(wrote, line.len());
}
