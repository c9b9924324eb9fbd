//! A monitor whose thread gets a signal, which has its wait in the system end.
#![allow(unsafe_code)] // A signal to one thread: what the handler does, and the way there, are the caller's.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::gettid;

use super::monitor::{Monitoring, terminate};
use crate::alone::{alone, until};
use crate::contract::Case;
use crate::support::until_it_sleeps;

#[test]
fn a_signal_that_interrupts_it_ends_nothing() {
    alone(|| {
        let (heard, counted) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicUsize>::default());
        let (sets, adds) = (Arc::clone(&heard), Arc::clone(&counted));
        // SAFETY: an atomic and nothing else is touched in the handler.
        let action = unsafe {
            signal_hook::low_level::register(signal_hook::consts::SIGUSR2, move || {
                sets.store(gettid().as_raw_nonzero().get() as usize, Ordering::SeqCst);
                adds.fetch_add(1, Ordering::SeqCst);
            })
        };
        let (monitor, witness) = Monitoring::make();
        until_it_sleeps("process monitor");
        let watching = thread_called("process monitor");
        // SAFETY: a signal that this process has a handler for, to a thread of its own.
        let sent =
            unsafe { libc::syscall(libc::SYS_tgkill, std::process::id() as i32, watching, libc::SIGUSR2) };
        assert_eq!(sent, 0);
        until("the signal to be heard", || counted.load(Ordering::SeqCst) == 1);
        assert_eq!(heard.load(Ordering::SeqCst), watching as usize, "another thread has heard it");
        until_it_sleeps("process monitor");
        assert!(!monitor.is_over() && witness.told().is_empty());
        terminate(&witness.child);
        until("the end to be told", || monitor.is_over());
        assert_eq!(witness.told(), [Some(ExitStatus::from_raw(15))]);
        signal_hook::low_level::unregister(action.unwrap());
    });
}

/// The number of the one thread of this name.
fn thread_called(name: &str) -> i32 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_it = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let all: Vec<i32> =
        threads.filter(is_it).map(|thread| thread.file_name().to_str().unwrap().parse().unwrap()).collect();
    assert_eq!(all.len(), 1, "threads called {name}");
    all[0]
}
