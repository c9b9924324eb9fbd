//! Pools, as the server sees their sessions.

use castoff::Resource;

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
