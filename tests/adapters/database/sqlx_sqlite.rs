//! Pools and transactions of sqlx, over SQLite.

use castoff::adapters::{CommitError, OpenTransaction};
use castoff::{Resource, ResourceGuard};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Sqlite, SqlitePool};
use tokio::runtime::Runtime;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

struct Witness {
    pool: SqlitePool,
    runtime: Runtime,
    held: Option<PoolConnection<Sqlite>>,
}

impl Witness {
    /// With one connection, which has the table: a second would be another database.
    fn new() -> Witness {
        let runtime = runtime();
        let pool = runtime.block_on(async {
            let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
            sqlx::query("CREATE TABLE orders (text TEXT)").execute(&pool).await.unwrap();
            pool
        });
        Witness { pool, runtime, held: None }
    }
}

mod pools {
    use super::*;

    struct Pooling;

    impl Case for Pooling {
        type Adopted = SqlitePool;
        type Witness = Witness;

        fn make() -> (SqlitePool, Witness) {
            let witness = Witness::new();
            (witness.pool.clone(), witness)
        }

        fn is_over(witness: &Witness) -> bool {
            witness.pool.is_closed() && witness.pool.size() == 0
        }

        fn end_first(pool: &mut SqlitePool, witness: &Witness) {
            witness.runtime.block_on(pool.close());
        }
    }

    impl Hangs for Pooling {
        fn make_hanging() -> (SqlitePool, Witness) {
            let (pool, mut witness) = Pooling::make();
            witness.held = Some(witness.runtime.block_on(pool.acquire()).unwrap());
            (pool, witness)
        }

        fn after(mut witness: Witness) {
            assert!(witness.pool.is_closed());
            let entered = witness.runtime.enter();
            drop(witness.held.take());
            drop(entered);
            until("the connection to be closed as it comes back", || Pooling::is_over(&witness));
        }
    }

    contract!(Pooling);

    #[test]
    fn it_waits_for_the_one_that_is_out_also_where_others_are_idle() {
        alone(|| {
            let runtime = runtime();
            let (pool, out) = runtime.block_on(async {
                let pool =
                    SqlitePoolOptions::new().max_connections(4).connect("sqlite::memory:").await.unwrap();
                let mut all = Vec::new();
                for _ in 0..4 {
                    all.push(pool.acquire().await.unwrap());
                }
                let out = all.pop();
                drop(all);
                (pool, out)
            });
            until("three to be idle", || pool.num_idle() == 3);
            let guard = manager().adopt(pool.clone());
            let (twin, entered) = (pool.clone(), runtime.handle().clone());
            let gives_back = std::thread::spawn(move || {
                until("the others to be closed", || twin.is_closed() && twin.size() == 1);
                let _entered = entered.enter();
                drop(out);
            });
            ResourceGuard::close(guard).unwrap();
            assert_eq!(pool.size(), 0);
            gives_back.join().unwrap();
        });
    }

    #[test]
    fn it_closes_after_the_end_of_its_runtime() {
        alone(|| {
            let (pool, Witness { pool: twin, runtime, .. }) = Pooling::make();
            let guard = manager().adopt(pool);
            drop(runtime);
            ResourceGuard::close(guard).unwrap();
            assert!(twin.is_closed());
        });
    }

    #[test]
    fn its_label_is_its_kind() {
        alone(|| {
            let (pool, witness) = Pooling::make();
            assert_eq!(&*pool.label(), "pool of SQLite");
            witness.runtime.block_on(pool.close());
        });
    }
}

mod transactions {
    use super::*;

    struct Open;

    impl Case for Open {
        type Adopted = OpenTransaction<Sqlite>;
        type Witness = Witness;

        fn make() -> (OpenTransaction<Sqlite>, Witness) {
            let witness = Witness::new();
            let transaction = witness.runtime.block_on(async {
                let transaction = OpenTransaction::begin(&witness.pool).await.unwrap();
                insert(&transaction).await;
                transaction
            });
            (transaction, witness)
        }

        /// Its connection is back in the pool, and the table empty.
        fn is_over(witness: &Witness) -> bool {
            if witness.pool.num_idle() == 0 {
                return false;
            }
            count(witness) == 0
        }

        fn end_first(transaction: &mut OpenTransaction<Sqlite>, witness: &Witness) {
            witness.runtime.block_on(async {
                sqlx::query("DELETE FROM orders")
                    .execute(&mut **transaction.get().await.unwrap())
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            });
        }
    }

    async fn insert(transaction: &OpenTransaction<Sqlite>) {
        let insert = sqlx::query("INSERT INTO orders VALUES ('tea')");
        insert.execute(&mut **transaction.get().await.unwrap()).await.unwrap();
    }

    fn count(witness: &Witness) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&witness.pool);
        witness.runtime.block_on(count).unwrap()
    }

    contract!(Open, never hangs);

    #[test]
    fn what_is_printed_of_it_is_its_label_and_whether_somebody_has_it() {
        alone(|| {
            let (transaction, _witness) = Open::make();
            let told = |closed| {
                let slot = format!("Slot {{ lent: false, closed: {closed}, .. }}");
                format!("OpenTransaction {{ label: Label(\"transaction in SQLite\"), slot: {slot} }}")
            };
            assert_eq!(printed(transaction), [told(false), told(true)]);
        });
    }

    #[test]
    fn one_that_was_committed_stays() {
        alone(|| {
            let (transaction, witness) = Open::make();
            let guard = manager().adopt(transaction);
            witness.runtime.block_on(guard.commit()).unwrap();
            let again = witness.runtime.block_on(guard.commit()).unwrap_err();
            assert!(matches!(again, CommitError::Over { .. }), "{again}");
            ResourceGuard::close(guard).unwrap();
            assert_eq!(count(&witness), 1);
        });
    }

    #[test]
    fn in_somebodys_hand_it_is_given_up_and_lent_no_more() {
        alone(|| {
            let (manager, (transaction, witness)) = (manager(), Open::make());
            let limit = crate::contract::TIMEOUT;
            let guard = manager.resource("held").timeout(limit).adopt(transaction).unwrap();
            witness.runtime.block_on(async {
                let mut in_hand = guard.get().await.unwrap();
                let report = manager.teardown().run_async().await;
                assert_eq!(report.timed_out(), 1, "{report}");
                // Whoever has it can still use it, and nobody gets it after.
                sqlx::query("DELETE FROM orders").execute(&mut **in_hand).await.unwrap();
                drop(in_hand);
                guard.get().await.map(drop).unwrap_err();
                guard.commit().await.unwrap_err();
                drop(guard);
            });
            until("its connection to be back", || witness.pool.num_idle() == 1);
            assert_eq!(count(&witness), 0);
        });
    }

    #[test]
    fn who_waits_for_it_is_woken_when_it_comes_back_or_is_over() {
        alone(|| {
            let (manager, (transaction, witness)) = (manager(), Open::make());
            let guard = manager.adopt(transaction);
            witness.runtime.block_on(async {
                let in_hand = guard.get().await.unwrap();
                let mut waiting = std::pin::pin!(guard.get());
                assert!(futures_util::poll!(waiting.as_mut()).is_pending());
                drop(in_hand);
                drop(waiting.await.unwrap());

                let in_hand = guard.get().await.unwrap();
                let mut waiting = std::pin::pin!(guard.get());
                assert!(futures_util::poll!(waiting.as_mut()).is_pending());
                let cleaning = tokio::task::spawn_blocking(move || manager.cleanup());
                waiting.await.map(drop).unwrap_err();
                drop(in_hand);
                assert!(cleaning.await.unwrap().is_success());
            });
        });
    }
}
