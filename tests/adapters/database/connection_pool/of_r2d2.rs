//! Pools of r2d2, over connections to a file.

use std::path::PathBuf;

use r2d2::{ManageConnection, Pool, PooledConnection};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::contract::{Case, Hangs};

/// Connections to a file.
struct Files(PathBuf);

impl ManageConnection for Files {
    type Connection = Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Connection> {
        Connection::open(&self.0)
    }

    fn is_valid(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.execute_batch("")
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

/// Without the limits that have its threads look once in half a minute: they don't end before the next look.
fn pool(file: PathBuf) -> Pool<Files> {
    let pool = Pool::builder().max_size(3).max_lifetime(None).idle_timeout(None);
    pool.build(Files(file)).unwrap()
}

struct Witness {
    _directory: TempDir,
    file: PathBuf,
    kept: Option<PooledConnection<Files>>,
}

struct Pooling;

impl Case for Pooling {
    type Adopted = ConnectionPool<Pool<Files>>;
    type Witness = Witness;

    fn make() -> (Self::Adopted, Witness) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("orders.db");
        let pool = pool(file.clone());
        let connection = pool.get().unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE orders (text TEXT)").unwrap();
        drop(connection);
        (pool.into(), Witness { _directory: directory, file, kept: None })
    }

    /// The last connection that is closed removes the log.
    fn is_over(witness: &Witness) -> bool {
        !witness.file.with_extension("db-wal").exists()
    }

    /// There is no way to close it but to let go of it.
    fn end_first(pool: &mut Self::Adopted, _: &Witness) {
        let ended = std::mem::replace(pool, self::pool(PathBuf::from(":memory:")).into());
        drop(ended.into_inner());
    }
}

impl Hangs for Pooling {
    fn make_hanging() -> (Self::Adopted, Witness) {
        let (pool, mut witness) = Pooling::make();
        witness.kept = Some(pool.handle().unwrap().get().unwrap());
        (pool, witness)
    }

    fn after(mut witness: Witness) {
        assert!(!Pooling::is_over(&witness), "nobody takes it from who has it");
        let kept = witness.kept.take().unwrap();
        kept.execute("INSERT INTO orders VALUES ('tea')", []).unwrap();
        drop(kept);
        crate::alone::until("the pool to end with what was lent", || Pooling::is_over(&witness));
    }
}

contract!(Pooling);

#[test]
fn what_is_borrowed_through_another_handle_is_counted_too() {
    alone(|| {
        let (pool, witness) = Pooling::make();
        let another = Pool::clone(&pool.handle().unwrap());
        let borrowed = another.get().unwrap();
        let said = still_lent(manager().adopt(pool.grace(Duration::from_millis(20))));
        assert_eq!((said.lent, said.handles), (1, 0));
        drop((borrowed, another));
        crate::alone::until("the pool to end with its last handle", || Pooling::is_over(&witness));
    });
}

#[test]
fn after_the_cleanup_there_is_no_handle() {
    alone(|| {
        let (manager, (pool, _witness)) = (manager(), Pooling::make());
        let guard = manager.adopt(pool);
        assert!(manager.cleanup().is_success());
        let told = guard.handle().map(drop).unwrap_err();
        assert_eq!(told.to_string(), "`pool of r2d2` was closed by its cleanup");
    });
}
