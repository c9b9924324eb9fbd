//! What a PostgreSQL server sees.

use castoff::adapters::{AdvisoryLock, OpenTransaction, TempDatabase};
use castoff::{Resource, ResourceGuard};
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};
use tokio::runtime::Runtime;

use super::server::{options, served};
use crate::alone::until;
use crate::contract::{Case, Hangs, manager};
use crate::support::runtime;

/// Asks the server by a connection of its own.
fn ask(query: &'static str, about: &str) -> i64 {
    runtime().block_on(async {
        let mut connection = options().connect().await.unwrap();
        let count = sqlx::query_scalar(query).bind(about).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        count
    })
}

fn databases(name: &str) -> i64 {
    ask("SELECT count(*) FROM pg_database WHERE datname = $1", name)
}

fn sessions_of(program: &str) -> i64 {
    ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", program)
}

/// A pool that the server knows by the name of the test's process.
fn pool(runtime: &Runtime) -> (PgPool, String) {
    let name = format!("castoff-{}", std::process::id());
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options().application_name(&name));
    (runtime.block_on(pool).unwrap(), name)
}

mod pools {
    use super::*;

    struct Pooling;

    struct Witness {
        pool: PgPool,
        name: String,
        held: Option<sqlx::pool::PoolConnection<Postgres>>,
        runtime: Runtime,
    }

    impl Case for Pooling {
        type Adopted = PgPool;
        type Witness = Witness;

        fn make() -> (PgPool, Witness) {
            let runtime = runtime();
            let (pool, name) = pool(&runtime);
            assert_eq!(sessions_of(&name), 1);
            (pool.clone(), Witness { pool, name, held: None, runtime })
        }

        fn is_over(witness: &Witness) -> bool {
            witness.pool.is_closed() && sessions_of(&witness.name) == 0
        }

        fn end_first(pool: &mut PgPool, witness: &Witness) {
            witness.runtime.block_on(pool.close());
        }
    }

    impl Hangs for Pooling {
        fn make_hanging() -> (PgPool, Witness) {
            let (pool, mut witness) = Pooling::make();
            witness.held = Some(witness.runtime.block_on(pool.acquire()).unwrap());
            (pool, witness)
        }

        fn after(mut witness: Witness) {
            assert!(witness.pool.is_closed());
            let _entered = witness.runtime.enter();
            drop(witness.held.take());
            drop(_entered);
            until("the connection to be closed as it comes back", || Pooling::is_over(&witness));
        }
    }

    contract!(Pooling, in served);

    #[test]
    fn a_pool_whose_runtime_has_ended_is_closed() {
        served(|| {
            let (pool, Witness { pool: twin, name, runtime, .. }) = Pooling::make();
            let guard = manager().adopt(pool);
            drop(runtime);
            ResourceGuard::close(guard).unwrap();
            assert!(twin.is_closed());
            drop(twin);
            until("the server to see it", || sessions_of(&name) == 0);
        });
    }

    #[test]
    fn its_label_has_no_password() {
        served(|| {
            runtime().block_on(async {
                let url = "postgres://tester:secret@localhost:5432/orders?sslkey=secret";
                let pool = PgPool::connect_lazy(url).unwrap();
                assert_eq!(&*pool.label(), "pool of postgres://tester@localhost:5432/orders");
            });
        });
    }
}

mod temporary_databases {
    use super::*;

    struct Temporary;

    struct Witness {
        name: String,
        session: Option<(PgConnection, Runtime)>,
    }

    impl Case for Temporary {
        type Adopted = TempDatabase;
        type Witness = Witness;

        fn make() -> (TempDatabase, Witness) {
            let database = runtime().block_on(TempDatabase::create(options(), "orders")).unwrap();
            let name = database.name().to_owned();
            (database, Witness { name, session: None })
        }

        fn is_over(witness: &Witness) -> bool {
            databases(&witness.name) == 0
        }

        fn end_first(_: &mut TempDatabase, witness: &Witness) {
            execute(&format!("DROP DATABASE \"{}\"", witness.name));
        }
    }

    fn execute(query: &str) {
        runtime().block_on(async {
            let mut connection = options().connect().await.unwrap();
            sqlx::query(query).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    contract!(Temporary, never hangs, in served);

    #[test]
    fn sessions_that_are_still_in_it_end() {
        served(|| {
            let (database, mut witness) = Temporary::make();
            let runtime = runtime();
            let session = runtime.block_on(database.options().connect()).unwrap();
            witness.session = Some((session, runtime));
            let guard = manager().adopt(database);
            ResourceGuard::close(guard).unwrap();
            assert!(Temporary::is_over(&witness));
            let (mut session, runtime) = witness.session.take().unwrap();
            runtime.block_on(session.ping()).unwrap_err();
        });
    }

    #[test]
    fn another_that_got_its_name_since_stays() {
        served(|| {
            let (database, witness) = Temporary::make();
            let guard = manager().adopt(database);
            execute(&format!("DROP DATABASE \"{}\"", witness.name));
            execute(&format!("CREATE DATABASE \"{}\"", witness.name));
            ResourceGuard::close(guard).unwrap();
            assert_eq!(databases(&witness.name), 1);
            execute(&format!("DROP DATABASE \"{}\"", witness.name));
        });
    }

    #[test]
    fn two_of_one_prefix_do_not_meet() {
        served(|| {
            let manager = manager();
            let (one, two) = (manager.adopt(Temporary::make().0), manager.adopt(Temporary::make().0));
            assert_ne!(one.name(), two.name());
            assert!(manager.cleanup().is_success());
        });
    }
}

mod advisory_locks {
    use super::*;

    struct Locking;

    struct Witness {
        pool: PgPool,
        runtime: Runtime,
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
        (lock, Witness { pool, runtime })
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

    contract!(Locking, never hangs, in served);

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
}

mod transactions {
    use super::*;

    #[test]
    fn an_open_one_is_rolled_back_and_its_connection_usable() {
        served(|| {
            let runtime = runtime();
            let (pool, name) = pool(&runtime);
            runtime.block_on(async {
                let manager = manager();
                let open = manager.adopt(OpenTransaction::begin(&pool).await.unwrap());
                let table = format!("\"{name}\"");
                let create = format!("CREATE TABLE {table} ()");
                sqlx::query(&create).execute(&mut **open.get().await.unwrap()).await.unwrap();
                assert!(manager.teardown().run_async().await.is_success());
                open.commit().await.unwrap_err();
                sqlx::query(&format!("SELECT FROM {table}")).execute(&pool).await.unwrap_err();
                pool.close().await;
            });
        });
    }

    #[test]
    fn one_whose_session_the_server_has_ended_is_rolled_back_already() {
        served(|| {
            let runtime = runtime();
            let (pool, name) = pool(&runtime);
            runtime.block_on(async {
                let open = manager().adopt(OpenTransaction::begin(&pool).await.unwrap());
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = $1 AND pid <> pg_backend_pid()";
                sqlx::query(end).bind(&name).execute(&pool).await.unwrap();
                ResourceGuard::close_async(open).await.unwrap();
                pool.close().await;
            });
        });
    }
}
