//! Advisory locks, as other sessions find them.

use castoff::adapters::AdvisoryLock;

use super::silence::Stopped;
use super::*;

struct Locking;

struct Witness {
    pool: PgPool,
    runtime: Runtime,
    stopped: Option<Stopped>,
}

const KEY: i64 = 7;

/// Each test has a database of its own: advisory locks belong to one.
fn locked() -> (AdvisoryLock, Witness) {
    let runtime = runtime();
    let pool = runtime.block_on(async {
        let pool = PgPoolOptions::new().max_connections(2).connect_with(options());
        pool.await.unwrap()
    });
    let lock = runtime.block_on(AdvisoryLock::acquire(&pool, key())).unwrap();
    (lock, Witness { pool, runtime, stopped: None })
}

/// The server is shared by tests that run at the same time.
fn key() -> i64 {
    KEY << 32 | i64::from(std::process::id())
}

impl Case for Locking {
    type Adopted = AdvisoryLock;
    type Witness = Witness;

    fn make() -> (AdvisoryLock, Witness) {
        locked()
    }

    fn is_over(_: &Witness) -> bool {
        let runtime = runtime();
        runtime.block_on(async {
            let mut connection = options().connect().await.unwrap();
            let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)");
            let free: bool = query.bind(key()).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            free
        })
    }

    fn end_first(_: &mut AdvisoryLock, witness: &Witness) {
        // The session, and with it whatever it holds.
        witness.runtime.block_on(async {
            let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE objid = $1::bigint";
            let query = sqlx::query(query).bind(i64::from(std::process::id()));
            query.execute(&witness.pool).await.unwrap();
        });
    }
}

impl Hangs for Locking {
    fn make_hanging() -> (AdvisoryLock, Witness) {
        let (lock, mut witness) = locked();
        let holder = "SELECT pid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint";
        let holder = sqlx::query_scalar(holder).bind(i64::from(std::process::id()));
        witness.stopped =
            Some(Stopped::new(witness.runtime.block_on(holder.fetch_one(&witness.pool)).unwrap()));
        (lock, witness)
    }

    /// The connection is closed, which the server sees when it goes on.
    fn after(mut witness: Witness) {
        assert!(!Locking::is_over(&witness), "the session is still stopped");
        drop(witness.stopped.take());
        until("the server to unlock it", || Locking::is_over(&witness));
    }
}

contract!(Locking, in served);

#[test]
fn had_back_it_is_still_locked_and_dropped_without_a_cleanup_the_session_is_closed() {
    served(|| {
        let (lock, witness) = locked();
        let session = ResourceGuard::release(manager().adopt(lock)).into_inner().unwrap();
        assert!(!Locking::is_over(&witness));
        drop(session.detach());
        until("the server to see it", || Locking::is_over(&witness));
        let lock = witness.runtime.block_on(AdvisoryLock::acquire(&witness.pool, key())).unwrap();
        drop(lock);
        until("the server to see it", || Locking::is_over(&witness));
    });
}

#[test]
fn the_connection_goes_back_to_the_pool() {
    served(|| {
        let (lock, witness) = locked();
        assert_eq!(witness.pool.num_idle(), 0);
        ResourceGuard::close(manager().adopt(lock)).unwrap();
        until("it to be back", || witness.pool.num_idle() == 1);
        witness.runtime.block_on(witness.pool.close());
    });
}

#[test]
fn it_tells_what_is_locked_and_whether_it_is() {
    served(|| {
        let (lock, witness) = locked();
        assert_eq!(lock.key(), key());
        let told = |closed| {
            let slot = format!("Slot {{ lent: false, closed: {closed}, .. }}");
            format!("AdvisoryLock {{ key: {}, slot: {slot} }}", key())
        };
        assert_eq!(printed(lock), [told(false), told(true)]);
        witness.runtime.block_on(witness.pool.close());
    });
}

#[test]
fn when_its_runtime_has_ended_the_server_unlocks_it() {
    served(|| {
        let (lock, witness) = locked();
        let guard = manager().adopt(lock);
        drop(witness.runtime);
        // Whether it can still ask depends on what that runtime last knew of the socket. If not, the connection is
        // closed.
        ResourceGuard::close(guard).ok();
        until("the server to see it", || {
            runtime().block_on(async {
                let mut connection = options().connect().await.unwrap();
                let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)");
                query.bind(key()).fetch_one(&mut connection).await.unwrap()
            })
        });
    });
}

#[test]
fn who_tries_while_somebody_has_it_gets_nothing_and_keeps_nothing() {
    served(|| {
        let (lock, witness) = locked();
        let guard = manager().adopt(lock);
        let other = witness.runtime.block_on(AdvisoryLock::try_acquire(&witness.pool, key())).unwrap();
        assert!(other.is_none());
        until("its connection to be back", || witness.pool.num_idle() == 1);
        ResourceGuard::close(guard).unwrap();
        let other = witness.runtime.block_on(AdvisoryLock::try_acquire(&witness.pool, key())).unwrap();
        ResourceGuard::close(manager().adopt(other.expect("nobody has it"))).unwrap();
        witness.runtime.block_on(witness.pool.close());
    });
}
