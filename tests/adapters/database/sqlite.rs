//! Connections of rusqlite.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use castoff::ResourceGuard;
use castoff::adapters::{Gone, SqliteConnection};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::alone::alone;
use crate::contract::{Case, Hangs, manager, printed};

struct Connecting;

struct Witness {
    _directory: TempDir,
    file: PathBuf,
    querying: Option<JoinHandle<rusqlite::Result<i64>>>,
}

impl Case for Connecting {
    type Adopted = SqliteConnection;
    type Witness = Witness;

    fn make() -> (SqliteConnection, Witness) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("orders.db");
        let connection = Connection::open(&file).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE orders (text TEXT)").unwrap();
        (SqliteConnection::new(connection), Witness { _directory: directory, file, querying: None })
    }

    /// The last connection that is closed removes the log.
    fn is_over(witness: &Witness) -> bool {
        !witness.file.with_extension("db-wal").exists()
    }

    fn end_first(connection: &mut SqliteConnection, _: &Witness) {
        *connection = SqliteConnection::new(Connection::open_in_memory().unwrap());
    }
}

/// It ends when it is interrupted, and not before.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

impl Hangs for Connecting {
    fn make_hanging() -> (SqliteConnection, Witness) {
        let (connection, mut witness) = Connecting::make();
        // A second user of the same connection, as threads that share a guard are.
        let shared = connection.clone();
        let (begin, begun) = mpsc::channel();
        witness.querying = Some(thread::spawn(move || {
            let connection = shared.get().unwrap();
            begin.send(()).unwrap();
            connection.query_row(ENDLESS, [], |row| row.get(0))
        }));
        begun.recv().unwrap();
        (connection, witness)
    }

    fn after(mut witness: Witness) {
        let interrupted = witness.querying.take().unwrap().join().unwrap().unwrap_err();
        assert_eq!(interrupted.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
        crate::alone::until("the connection to be closed late", || Connecting::is_over(&witness));
    }
}

contract!(Connecting);

#[test]
fn an_open_transaction_is_rolled_back() {
    alone(|| {
        let (connection, witness) = Connecting::make();
        let guard = manager().adopt(connection);
        let begin = "BEGIN; INSERT INTO orders VALUES ('tea')";
        guard.get().unwrap().execute_batch(begin).unwrap();
        ResourceGuard::close(guard).unwrap();
        let after = Connection::open(&witness.file).unwrap();
        let count: i64 = after.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0);
    });
}

#[test]
fn who_asks_for_it_after_the_cleanup_is_told() {
    alone(|| {
        let (manager, (connection, _witness)) = (manager(), Connecting::make());
        let guard = manager.adopt(connection);
        assert!(manager.cleanup().is_success());
        assert_eq!(guard.get().map(drop), Err(Gone));
    });
}

#[test]
fn a_cleanup_waits_for_who_has_it_in_hand() {
    alone(|| {
        let (manager, (connection, witness)) = (manager(), Connecting::make());
        let (shared, guard) = (connection.clone(), manager.adopt(connection));
        let (begin, begun) = mpsc::channel();
        let writing = thread::spawn(move || {
            let connection = shared.get().unwrap();
            begin.send(()).unwrap();
            for _ in 0..100 {
                connection.execute("INSERT INTO orders VALUES ('tea')", []).unwrap();
            }
        });
        begun.recv().unwrap();
        ResourceGuard::close(guard).unwrap();
        writing.join().unwrap();
        let after = Connection::open(&witness.file).unwrap();
        let count: i64 = after.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 100);
    });
}

#[test]
fn what_is_printed_of_it_is_where_it_leads_and_whether_somebody_has_it() {
    alone(|| {
        let (connection, twin) =
            (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        let (as_it_is, shared) = (format!("{connection:?}"), SqliteConnection::new(connection));
        let told = |state: &str| {
            format!(
                "SqliteConnection {{ label: Label(\"sqlite connection in memory\"), slot: Slot {{ {state}, .. }} }}"
            )
        };
        let in_hand = shared.get().unwrap();
        // Whoever prints does not wait for who has it.
        assert_eq!(format!("{shared:?}"), told("lent: true, closed: false"));
        assert_eq!(format!("{in_hand:?}"), as_it_is, "in hand it is printed as what it is");
        drop(in_hand);
        assert_eq!(
            printed(SqliteConnection::new(twin)),
            [told("lent: false, closed: false"), told("lent: false, closed: true")]
        );
    });
}

#[test]
fn many_threads_take_turns() {
    alone(|| {
        let (connection, _witness) = Connecting::make();
        let guard = manager().adopt(connection);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let insert = "INSERT INTO orders VALUES ('tea')";
                        guard.get().unwrap().execute(insert, []).unwrap();
                    }
                });
            }
        });
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let count = guard.get().unwrap().query_row("SELECT count(*) FROM orders", [], count);
        assert_eq!(count, Ok(160));
    });
}
