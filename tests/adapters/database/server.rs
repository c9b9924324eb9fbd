//! A PostgreSQL server that all tests of this program share: started by the first that needs it, on a directory of its
//! own, and ended by castoff's global manager with the program. It is this crate's own recipe for a shared server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};
use sqlx::postgres::PgConnectOptions;

use crate::alone::{alone, is_alone, until};

/// Runs a test alone, with the server, which belongs to the process that runs all of them.
pub(super) fn served(body: impl FnOnce()) {
    if is_alone() || is_there() {
        alone(body);
    }
}

/// How to connect to the server, from a process that runs one test.
pub(super) fn options() -> PgConnectOptions {
    PgConnectOptions::new()
        .host(&directory(parent_id()).to_string_lossy())
        .username("tester")
        .password("secret")
        .database("postgres")
}

/// Where it listens.
pub(super) fn socket() -> PathBuf {
    directory(parent_id()).join(".s.PGSQL.5432")
}

/// By the process that runs the tests: those that run one know it as their parent.
fn directory(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("castoff-postgres-{process}"))
}

fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let Some(programs) = programs() else {
            let missing = "there is no PostgreSQL: apt-get install postgresql";
            assert!(std::env::var_os("CASTOFF_REQUIRE_SERVICES").is_none(), "{missing}");
            // Past the harness, which shows nothing of a test that passes.
            writeln!(io::stderr(), "SKIPPED all tests of PostgreSQL: {missing}").expect("stderr is open");
            return false;
        };
        start(programs);
        true
    })
}

/// The newest of Debian's versions, which are beside each other, or whatever there is.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let complete = |place: &PathBuf| {
        ["initdb", "pg_ctl", "pg_isready", "postgres"].iter().all(|name| place.join(name).exists())
    };
    let newest = versions.map(|version| version.path().join("bin")).filter(complete).max();
    newest.or_else(|| std::env::split_paths(&path).find(complete))
}

fn start(programs: PathBuf) {
    let directory = directory(std::process::id());
    fs::create_dir(&directory).expect("nobody else has this process's number");
    // It does not run as root.
    let user = fs::metadata(&directory).is_ok_and(|it| it.is_owned_by_root()).then(|| user("postgres"));
    if let Some((user, group)) = user {
        chown(&directory, Some(user), Some(group)).expect("root may");
    }
    let log = directory.join("log");
    let said = File::create(&log).expect("a log");
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        if let Some((user, group)) = user {
            command.uid(user).gid(group);
        }
        command.current_dir(&directory).stdin(Stdio::null());
        command
            .stdout(said.try_clone().expect("a descriptor"))
            .stderr(said.try_clone().expect("a descriptor"));
        command
    };
    let data = directory.join("data");
    let mut initdb = program("initdb");
    initdb.arg("-D").arg(&data).args(["-U", "tester", "--auth=trust", "--no-sync", "--locale=C"]);
    let made = initdb.status().expect("it can be started");
    assert!(made.success(), "{made}: {}", fs::read_to_string(&log).unwrap_or_default());

    let mut postgres = program("postgres");
    postgres.arg("-D").arg(&data).arg("-k").arg(&directory);
    postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"]);
    let mut server = postgres.spawn().expect("it can be started");
    let mut stop = program("pg_ctl");
    stop.arg("-D").arg(&data).args(["stop", "--mode=fast", "--wait", "--timeout=20"]);
    let place = directory.clone();
    let ending = Cleanup::sync(move || {
        let stopped = stop.status();
        if !stopped.is_ok_and(|status| status.success()) {
            server.kill()?;
        }
        server.wait()?;
        fs::remove_dir_all(place)
    });
    let guard = ResourceManager::global()
        .resource("postgresql server")
        .category(Category::Database)
        .timeout(Duration::from_secs(30))
        .long_lived()
        .with_cleanup(ending);
    ResourceGuard::leak(guard.expect("nothing is wrong with it"));

    let ready =
        || program("pg_isready").arg("-h").arg(&directory).status().is_ok_and(|status| status.success());
    let _told = ToldInPanic(&log);
    until("PostgreSQL to be ready", ready);
}

/// What the server said, to who wonders why it did not start.
struct ToldInPanic<'l>(&'l Path);

impl Drop for ToldInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.0).unwrap_or_default());
        }
    }
}

trait Owned {
    fn is_owned_by_root(&self) -> bool;
}

impl Owned for fs::Metadata {
    fn is_owned_by_root(&self) -> bool {
        std::os::unix::fs::MetadataExt::uid(self) == 0
    }
}

/// The numbers of a user and its group.
fn user(name: &str) -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).expect("it is there on every Unix");
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let found =
        users.lines().map(fields).find(|fields| fields[0] == name).expect("Debian's package makes it");
    (found[2].parse().expect("a number"), found[3].parse().expect("a number"))
}
