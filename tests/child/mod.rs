//! For tests that need a process of their own: a test runs itself again as a child process, by its name, and looks at
//! how that ended. A child that hangs is killed when its time is over.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const VARIABLE: &str = "CASTOFF_CHILD";

/// How a child ended, and what it wrote on stderr.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    pub(crate) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Code(i32),
    /// It panicked: libtest's own code for that.
    Panicked,
    Aborted,
    /// It had not ended within the limit.
    Hung,
}

/// In the child: runs `body`, and leaves. In the parent: starts the child, which gets to this same line, and hands
/// out how it ended.
pub(crate) fn in_a_child(test: &str, limit: Duration, body: impl FnOnce()) -> Ended {
    if std::env::var(VARIABLE).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let itself = std::env::current_exe().expect("the path of this test");
    let child = Command::new(itself)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, test)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    watch(child.expect("a child process"), limit)
}

fn watch(mut child: Child, limit: Duration) -> Ended {
    let mut pipe = child.stderr.take().expect("it was asked for");
    let reading: JoinHandle<String> = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("the child's stderr");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child's status") {
            break Some(status);
        }
        if start.elapsed() >= limit {
            child.kill().expect("an end to the child");
            child.wait().expect("the end of the child");
            break None;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = reading.join().expect("the child's stderr");
    let how = match status {
        None => How::Hung,
        Some(status) => match status.code() {
            Some(101) => How::Panicked,
            Some(code) => How::Code(code),
            None => How::Aborted,
        },
    };
    Ended { how, text }
}

impl Ended {
    /// Fails unless the child came to its end by itself.
    #[track_caller]
    pub(crate) fn assert_fine(&self) {
        assert_eq!(self.how, How::Code(0), "the child wrote: {}", self.text);
    }
}
