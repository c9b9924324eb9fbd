//! What several of these tests need.

#[cfg(feature = "tokio")]
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Waits until the one thread of this name sleeps: where it has nothing to do but to wait, it does so then.
#[cfg(target_os = "linux")]
pub(crate) fn until_it_sleeps(name: &str) {
    use std::fs;

    crate::alone::until("the thread to sleep", || {
        let threads = fs::read_dir("/proc/self/task").expect("every process has threads").flatten();
        // proc(5): number (name) state ...
        let mut all = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        all.any(|stat| stat.contains(&format!("({name}) S ")))
    });
}

/// All descriptors that this process may have, but for so many. They are given back when this is dropped.
#[cfg(all(target_os = "linux", feature = "process"))]
pub(crate) struct Descriptors {
    _taken: Vec<std::fs::File>,
}

#[cfg(all(target_os = "linux", feature = "process"))]
impl Descriptors {
    /// In a process that has nobody else who wants one meanwhile.
    pub(crate) fn all_but(left: usize) -> Descriptors {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let few = Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, few).expect("less than before is never refused");
        let taken = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok());
        let mut taken: Vec<_> = taken.collect();
        taken.truncate(taken.len() - left);
        Descriptors { _taken: taken }
    }
}
