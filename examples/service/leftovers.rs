//! The proof at the end: the operating system is asked whether anything of the service is still there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use castoff::ResourceManager;

use crate::checklist::{Checklist, Finding};
use crate::checksums::ChecksumProcess;
use crate::stack::Stack;
use crate::{gate, threads};

/// tiny_http closes its port from a thread that nobody can join, so the port is free a moment after the
/// server went.
const PORT_LIMIT: Duration = Duration::from_secs(5);
/// It also keeps idle threads for five seconds; ours are joined, and gone before the teardown returns.
const THREAD_LIMIT: Duration = Duration::from_secs(20);

/// What to look for; noted while the stack is still up.
pub(crate) struct Leftovers {
    directory: PathBuf,
    child: Arc<ChecksumProcess>,
    address: SocketAddr,
    before: Before,
}

/// What there was before the service was started.
pub(crate) struct Before {
    threads: BTreeMap<String, String>,
    descriptors: BTreeMap<String, PathBuf>,
    current: Option<PathBuf>,
}

impl Before {
    pub(crate) fn look() -> Before {
        // For its signals tokio keeps a pair of sockets from the first runtime of a process on.
        #[cfg(feature = "full")]
        drop(crate::tracking::runtime());
        Before { threads: threads::alive(), descriptors: descriptors(), current: env::current_dir().ok() }
    }

    fn is_current_again(&self) -> Finding {
        match env::current_dir() {
            Ok(now) if Some(&now) == self.current.as_ref() => Ok(now.display().to_string()),
            other => Err(format!("{other:?}, not {:?}", self.current)),
        }
    }

    fn no_new_descriptors(&self) -> Finding {
        eventually(PORT_LIMIT, || {
            let mut open = descriptors();
            open.retain(|number, target| self.descriptors.get(number) != Some(target));
            match open.is_empty() {
                true => Ok(String::new()),
                false => Err(format!("still there: {:?}", open.values())),
            }
        })
    }
}

impl Leftovers {
    pub(crate) fn to_look_for(stack: &Stack, before: Before) -> Leftovers {
        Leftovers {
            directory: stack.directory.path().to_owned(),
            child: Arc::clone(&stack.checksums),
            address: *stack.server,
            before,
        }
    }

    pub(crate) fn check(self, manager: &ResourceManager, checklist: &mut Checklist) {
        checklist.check("nothing left: resources", no_resources(manager));
        checklist.check("nothing left: changed state", gate::is_put_back());
        checklist.check("nothing left: current directory", self.before.is_current_again());
        checklist.check("nothing left: directory", self.no_directory());
        checklist.check("nothing left: child process", self.no_child());
        checklist.check("nothing left: port", self.no_port());
        println!("(tiny_http keeps its idle threads for 5 s: waiting)");
        checklist.check("nothing left: threads", self.no_threads());
        // After the threads: one of tiny_http's may have a connection. And without the child's pipe, which is kept here.
        let Leftovers { before, child, .. } = self;
        drop(child);
        checklist.check("nothing left: descriptors", before.no_new_descriptors());
    }

    fn no_directory(&self) -> Finding {
        let directory = self.directory.display();
        if self.directory.exists() { Err(format!("{directory} exists")) } else { Ok(format!("{directory}")) }
    }

    /// A child that has ended but was never waited for is a zombie, and still has its place in `/proc`.
    fn no_child(&self) -> Finding {
        let pid = self.child.pid();
        let status = self.child.exit_status().ok_or_else(|| format!("process {pid} was not waited for"))?;
        if Path::new(&format!("/proc/{pid}")).exists() {
            return Err(format!("process {pid} is still there"));
        }
        Ok(format!("process {pid} ended with {status}"))
    }

    fn no_port(&self) -> Finding {
        eventually(PORT_LIMIT, || match TcpListener::bind(self.address) {
            Ok(_) => Ok(format!("{} can be bound", self.address)),
            Err(error) => Err(format!("{}: {error}", self.address)),
        })
    }

    fn no_threads(&self) -> Finding {
        eventually(THREAD_LIMIT, || {
            let mut alive = threads::alive();
            alive.retain(|number, _| !self.before.threads.contains_key(number));
            match alive.is_empty() {
                true => Ok(String::new()),
                false => Err(format!("still there: {:?}", alive.values())),
            }
        })
    }
}

/// The open descriptors of this process by number, each with what it leads to. Linux alone tells.
fn descriptors() -> BTreeMap<String, PathBuf> {
    let all = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    // The one that this directory is read by has gone when it is asked for.
    all.filter_map(|fd| Some((fd.file_name().into_string().ok()?, fs::read_link(fd.path()).ok()?)))
        .filter(|(_, target)| !target.ends_with("fd"))
        .collect()
}

fn no_resources(manager: &ResourceManager) -> Finding {
    match manager.resource_count() {
        0 => Ok(String::new()),
        count => Err(format!("{count} are registered")),
    }
}

/// Looks until all is well, or until the limit: then what was wrong last is wrong.
pub(crate) fn eventually(limit: Duration, look: impl Fn() -> Finding) -> Finding {
    let deadline = Instant::now() + limit;
    loop {
        let finding = look();
        if finding.is_ok() || Instant::now() >= deadline {
            return finding;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
