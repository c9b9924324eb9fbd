//! Looks while others come and go: no error, no panic, nothing told that was not held, nothing missed that was.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use castoff::Footprint;

use crate::support::{Load, alone, assert_empty, capture, eventfd, in_a_fork, settled, since};

#[test]
fn a_clean_pair_is_empty_a_thousand_times() {
    alone(|| {
        for _ in 0..1000 {
            let before = capture();
            assert_empty(&since(&before));
        }
    });
}

#[test]
fn a_clean_program_shows_nothing_a_thousand_times_under_load() {
    alone(|| {
        let _load = Load::new();
        settled(&capture(), |delta| delta.is_empty());
        for _ in 0..1000 {
            let before = capture();
            let file = tempfile::tempfile().expect("a file");
            thread::spawn(move || drop(file)).join().expect("it drops only");
            assert_empty(&since(&before));
        }
    });
}

/// Runs `churn` on so many threads until `body` is done.
fn meanwhile(threads: usize, churn: impl Fn() + Sync, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    churn();
                }
            });
        }
        let _stop = scopeguard(&stop);
        body();
    });
}

/// Also when the body panics, or the others would go on for ever.
fn scopeguard(stop: &AtomicBool) -> impl Drop + '_ {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    Stop(stop)
}

#[test]
fn threads_that_come_and_go_are_no_errors_and_what_stays_is_never_missed() {
    alone(|| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let steady = thread::Builder::new().name("steady".into());
        let steady = steady.spawn(move || stopped.recv().unwrap_or(())).expect("a thread");
        settled(&capture(), |delta| delta.is_empty());
        let old = capture();
        let event = eventfd();
        let churn = || {
            let some: Vec<_> = (0..8).map(|_| thread::spawn(|| drop(File::open("/dev/null")))).collect();
            some.into_iter().for_each(|thread| thread.join().expect("it opens only"));
        };
        let line = format!("fd {}: eventfd", event.as_raw_fd());
        let mut before = capture();
        meanwhile(2, churn, || {
            for _ in 0..1000 {
                let after = capture();
                assert!(after.to_string().contains("`steady`"), "{after}");
                assert!(after.since(&old).fds.contains(&line));
                let delta = after.since(&before);
                assert!(!delta.to_string().contains("steady"), "{delta}");
                assert!(!delta.fds.contains(&line), "{delta}");
                before = after;
            }
        });
        drop(stop);
        steady.join().expect("it waits only");
    });
}

#[test]
fn children_that_come_and_go_are_no_errors_and_what_stays_is_never_told_as_new() {
    alone(|| {
        let start = capture();
        let mut steady = Command::new("sleep").arg("600").spawn().expect("sleep");
        settled(&start, |delta| delta.to_string().contains("`sleep 600`"));
        let churn = || {
            let child = Command::new("true").stdin(Stdio::null()).spawn();
            child.expect("a child").wait().expect("it is ours");
        };
        let name = format!("child {} ", steady.id());
        let mut before = capture();
        meanwhile(2, churn, || {
            for _ in 0..1000 {
                let after = capture();
                assert!(after.since(&start).to_string().contains(&name), "{after}");
                let delta = after.since(&before);
                assert!(!delta.to_string().contains(&name), "{delta}");
                before = after;
            }
        });
        steady.kill().expect("it is ours");
        steady.wait().expect("it is ours");
        assert_empty(&settled(&start, |delta| delta.children.is_empty()));
    });
}

#[test]
fn looks_at_the_same_time_do_not_see_each_other() {
    alone(|| {
        let one = || {
            let shown = capture().to_string();
            assert!(!shown.contains("/proc/"), "{shown}");
        };
        meanwhile(3, one, || (0..300).for_each(|_| one()));
    });
}

#[test]
fn a_forked_child_can_look_also_when_it_was_forked_in_the_middle_of_a_look() {
    alone(|| {
        let look = || drop(capture());
        meanwhile(2, look, || {
            for _ in 0..100 {
                let ended = in_a_fork(|| {
                    let Ok(before) = Footprint::capture() else { return false };
                    let event = eventfd();
                    let held = Footprint::capture().map(|after| after.since(&before));
                    held.is_ok_and(|held| held.fds == [format!("fd {}: eventfd", event.as_raw_fd())])
                });
                assert!(ended.success(), "{ended}");
            }
        });
    });
}
