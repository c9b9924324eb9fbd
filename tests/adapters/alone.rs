//! A process for each test, which has to leave as little behind as it found.

use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CASE: &str = "CASTOFF_ADAPTERS_CASE";

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long one wait inside a test may take: shorter, so that the wait is named before the test is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a process looks for what its test left behind, ten milliseconds apart.
const LOOKS: usize = 1000;

/// Runs the body of the calling test in a process that runs nothing else, and fails if descriptors, threads or children
/// stay.
pub(crate) fn alone(body: impl FnOnce()) {
    let name = thread::current().name().expect("the harness names a test's thread").to_owned();
    if is_alone() {
        return without_a_trace_for(body, LOOKS);
    }
    let mut said = tempfile::tempfile().expect("a file for what it says");
    let mut child = Command::new(std::env::current_exe().expect("this test's own program"))
        .args([&*name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, &name)
        // With symbols a backtrace takes seconds where others are at work, and for some tests that is too long.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a descriptor"))
        .stderr(said.try_clone().expect("a descriptor"))
        .spawn()
        .expect("a process for the test");
    let start = Instant::now();
    let status = within(LIMIT, || child.try_wait().expect("it is ours to wait for"));
    if status.is_none() {
        child.kill().expect("it has not been waited for");
        child.wait().expect("it was killed");
    }
    let mut text = String::new();
    said.seek(SeekFrom::Start(0)).expect("a file can be rewound");
    said.read_to_string(&mut text).expect("tests say text");
    let ended = status.unwrap_or_else(|| panic!("{name} had not ended after {:?}:\n{text}", start.elapsed()));
    assert!(ended.success() && text.contains("1 passed"), "{name}: {ended}\n{text}");
}

/// Whether this is a process for one test.
pub(crate) fn is_alone() -> bool {
    let name = thread::current().name().map(str::to_owned);
    std::env::var(CASE).ok().is_some_and(|case| Some(case) == name)
}

/// What ends in its own time may take it: a thread that was not joined, the socket of a runtime.
#[cfg(target_os = "linux")]
fn without_a_trace_for(body: impl FnOnce(), looks: usize) {
    use castoff::Footprint;
    let look = || Footprint::capture().expect("/proc can be read");
    // With its signals tokio keeps a pair of sockets for the whole process from its first runtime on.
    #[cfg(feature = "tokio")]
    drop(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
    let before = look();
    body();
    for further in (0..looks).rev() {
        let left = look().since(&before);
        if left.is_empty() {
            return;
        }
        assert!(further > 0, "something stays behind: {left}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(not(target_os = "linux"))]
fn without_a_trace_for(body: impl FnOnce(), _: usize) {
    body();
}

/// Polls until there is an answer. `None` if there is none in time.
fn within<R>(limit: Duration, mut ask: impl FnMut() -> Option<R>) -> Option<R> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > limit {
            return answer;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until it holds, and fails with `what` if it never does.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let held = within(PATIENCE, || holds().then_some(()));
    assert!(held.is_some(), "{PATIENCE:?} went by without: {what}");
}

#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_stays_is_a_failure() {
        alone(|| {
            let mut kept = None;
            let open = || kept = Some(std::fs::File::open("/proc/self/status").expect("it is there"));
            let told =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| without_a_trace_for(open, 3)));
            let told = *told.expect_err("it stays").downcast::<String>().expect("a text");
            assert!(told.contains("something stays behind") && told.contains("/status"), "{told}");
        });
    }
}
