//! Managed pools of deadpool.

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError};

use super::*;

impl Manager for Named {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<MultiplexedConnection> {
        self.connection().await
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        _: &Metrics,
    ) -> Result<(), RecycleError<RedisError>> {
        Ok(self.answers(connection).await?)
    }
}

struct Pooling;

impl Case for Pooling {
    type Adopted = ConnectionPool<Pool<Named>>;
    type Witness = Witness<Object<Named>>;

    fn make() -> (Self::Adopted, Self::Witness) {
        let runtime = runtime();
        let pool: Pool<Named> = Pool::builder(Named).max_size(3).build().unwrap();
        drop(runtime.block_on(pool.get()).unwrap());
        (pool.into(), Witness { runtime, kept: None })
    }

    fn is_over(_: &Self::Witness) -> bool {
        are_closed()
    }

    fn end_first(pool: &mut Self::Adopted, _: &Self::Witness) {
        pool.handle().unwrap().close();
    }
}

impl Hangs for Pooling {
    fn make_hanging() -> (Self::Adopted, Self::Witness) {
        let (pool, mut witness) = Pooling::make();
        let handle = pool.handle().unwrap();
        witness.kept = Some(witness.runtime.block_on(handle.get()).unwrap());
        (pool, witness)
    }

    fn after(mut witness: Self::Witness) {
        assert!(!are_closed(), "nobody takes it from who has it");
        witness.give_back();
        crate::alone::until("it to be closed as it comes back", are_closed);
    }
}

contract!(Pooling, in served);

#[test]
fn who_kept_a_handle_and_who_waits_for_an_object_is_refused() {
    served(|| {
        let runtime = runtime();
        let pool: Pool<Named> = Pool::builder(Named).max_size(1).build().unwrap();
        let borrowed = runtime.block_on(pool.get()).unwrap();
        let guard = manager().adopt(ConnectionPool::from(pool.clone()));
        let waiting = runtime.spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        crate::alone::until("somebody to wait", || pool.status().waiting == 1);
        let closing = std::thread::spawn(move || ResourceGuard::close(guard));
        let refused = runtime.block_on(waiting).unwrap();
        assert!(matches!(refused, Err(PoolError::Closed)), "{refused:?}");
        drop(borrowed);
        closing.join().unwrap().unwrap();
        let refused = runtime.block_on(pool.get()).map(drop);
        assert!(matches!(refused, Err(PoolError::Closed)), "{refused:?}");
        crate::alone::until("the object to be dropped", are_closed);
    });
}
