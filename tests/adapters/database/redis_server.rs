//! A Redis server that all tests of this program share: started by the first that needs it, on a socket in a directory of
//! its own, and ended by castoff's global manager with the program.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};
use tempfile::TempDir;

use crate::alone::{alone, is_alone, until};

/// Runs a test alone, with the server, which belongs to the process that runs all of them.
pub(super) fn served(body: impl FnOnce()) {
    if is_alone() || is_there() {
        alone(body);
    }
}

/// How to connect to the server, from a process that runs one test.
pub(super) fn client() -> redis::Client {
    at(&socket(parent_id()))
}

/// How many connections of this name the server has.
pub(super) fn connections(name: &str) -> usize {
    let mut asking = client().get_connection().expect("the server answers");
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut asking).expect("it lists its clients");
    list.lines().filter(|line| line.contains(&format!(" name={name} "))).count()
}

/// Has the server end the connections of this name.
pub(super) fn end_connections(name: &str) {
    let mut asking = client().get_connection().expect("the server answers");
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut asking).expect("it lists its clients");
    for line in list.lines().filter(|line| line.contains(&format!(" name={name} "))) {
        let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).expect("every client has one");
        redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).exec(&mut asking).expect("it is killed");
    }
}

/// A way to the server that nobody finds any more when this is dropped.
pub(super) struct Way(TempDir);

impl Way {
    pub(super) fn new() -> Way {
        let way = tempfile::tempdir().expect("a directory");
        symlink(socket(parent_id()), way.path().join("redis.sock"))
            .expect("a link in a directory of our own");
        Way(way)
    }

    pub(super) fn client(&self) -> redis::Client {
        at(&self.0.path().join("redis.sock"))
    }
}

fn at(socket: &Path) -> redis::Client {
    redis::Client::open(format!("redis+unix://{}", socket.display())).expect("a path of our own")
}

fn socket(process: u32) -> PathBuf {
    directory(process).join("redis.sock")
}

/// By the process that runs the tests: those that run one know it as their parent.
fn directory(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("castoff-redis-{process}"))
}

fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            let missing = "there is no Redis: apt-get install redis-server";
            assert!(std::env::var_os("CASTOFF_REQUIRE_SERVICES").is_none(), "{missing}");
            // Past the harness, which shows nothing of a test that passes.
            writeln!(io::stderr(), "SKIPPED all tests of Redis: {missing}").expect("stderr is open");
            return false;
        }
        start();
        true
    })
}

fn start() {
    let directory = directory(std::process::id());
    fs::create_dir(&directory).expect("a new directory");
    let log = directory.join("log");
    let said = File::create(&log).expect("a log");
    let mut server = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"])
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a descriptor"))
        .stderr(said)
        .spawn()
        .expect("it can be started");
    let place = directory.clone();
    let ending = Cleanup::sync(move || {
        server.kill()?;
        server.wait()?;
        fs::remove_dir_all(place)
    });
    let guard = ResourceManager::global()
        .resource("redis server")
        .category(Category::Database)
        .timeout(Duration::from_secs(30))
        .long_lived()
        .with_cleanup(ending);
    ResourceGuard::leak(guard.expect("nothing is wrong with it"));

    let client = at(&socket(std::process::id()));
    until("Redis to be ready", || client.get_connection().is_ok());
}
