//! Pools of bb8.

use bb8::{ManageConnection, Pool, PooledConnection};

use super::*;

impl ManageConnection for Named {
    type Connection = MultiplexedConnection;
    type Error = RedisError;

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.connection().await
    }

    async fn is_valid(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.answers(connection).await
    }

    fn has_broken(&self, _: &mut MultiplexedConnection) -> bool {
        false
    }
}

struct Pooling;

impl Case for Pooling {
    type Adopted = ConnectionPool<Pool<Named>>;
    type Witness = Witness<PooledConnection<'static, Named>>;

    fn make() -> (Self::Adopted, Self::Witness) {
        let runtime = runtime();
        let pool = runtime.block_on(async {
            let pool = Pool::builder().max_size(3).min_idle(2).build(Named).await.unwrap();
            drop(pool.get().await.unwrap());
            pool
        });
        (pool.into(), Witness { runtime, kept: None })
    }

    fn is_over(_: &Self::Witness) -> bool {
        are_closed()
    }

    fn end_first(_: &mut Self::Adopted, _: &Self::Witness) {
        end_connections(&name());
    }
}

impl Hangs for Pooling {
    fn make_hanging() -> (Self::Adopted, Self::Witness) {
        let (pool, mut witness) = Pooling::make();
        let handle = pool.handle().unwrap();
        witness.kept = Some(witness.runtime.block_on(handle.get_owned()).unwrap());
        (pool, witness)
    }

    fn after(mut witness: Self::Witness) {
        assert!(!are_closed(), "nobody takes it from who has it");
        witness.give_back();
        crate::alone::until("the pool to end with what was lent", are_closed);
    }
}

contract!(Pooling, in served);

#[test]
fn its_runtime_may_be_gone() {
    served(|| {
        let (pool, Witness { runtime, .. }) = Pooling::make();
        let guard = manager().adopt(pool);
        drop(runtime);
        ResourceGuard::close(guard).unwrap();
        crate::alone::until("the server to see it", are_closed);
    });
}

#[test]
fn who_awaits_on_its_own_thread_gives_back_what_the_cleanup_waits_for() {
    served(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pool = Pool::builder().max_size(1).build(Named).await.unwrap();
            let guard = manager().adopt(ConnectionPool::from(pool));
            let mut borrowed = guard.handle().unwrap().get_owned().await.unwrap();
            let using = tokio::spawn(async move { Named.answers(&mut borrowed).await });
            ResourceGuard::close_async(guard).await.unwrap();
            using.await.unwrap().unwrap();
        });
    });
}
