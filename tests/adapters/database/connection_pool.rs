//! Pools of r2d2, bb8 and deadpool over real connections, and one that castoff has never heard of.

use std::time::Duration;

use castoff::adapters::{ConnectionPool, StillLent};
use castoff::{CleanupErrorKind, ResourceGuard};

use crate::alone::alone;
use crate::contract::manager;

/// What a cleanup said that failed.
fn still_lent<P: Send + Sync + 'static>(guard: ResourceGuard<ConnectionPool<P>>) -> StillLent {
    let error = ResourceGuard::close(guard).expect_err("something is lent");
    let CleanupErrorKind::Failed(cause) = error.kind else { panic!("{}", error.kind) };
    cause.downcast_ref::<StillLent>().expect("it says what").clone()
}

mod unknown {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;
    use crate::alone::until;
    use crate::contract::{Case, Hangs};

    /// A pool that counts.
    #[derive(Default)]
    struct Desks {
        taken: AtomicUsize,
        closed: AtomicBool,
    }

    struct Seen(Arc<Desks>);

    struct Office;

    fn office() -> (ConnectionPool<Arc<Desks>>, Seen) {
        let desks = Arc::new(Desks::default());
        let lent = |desks: &Arc<Desks>| desks.taken.load(Ordering::Acquire);
        let pool = ConnectionPool::blocking("desks", Arc::clone(&desks), lent);
        (pool.closed_by(|desks| desks.closed.store(true, Ordering::Release)), Seen(desks))
    }

    impl Case for Office {
        type Adopted = ConnectionPool<Arc<Desks>>;
        type Witness = Seen;

        fn make() -> (Self::Adopted, Seen) {
            office()
        }

        fn is_over(seen: &Seen) -> bool {
            seen.0.closed.load(Ordering::Acquire) && Arc::strong_count(&seen.0) == 1
        }

        fn end_first(pool: &mut Self::Adopted, _: &Seen) {
            pool.handle().unwrap().closed.store(true, Ordering::Release);
        }
    }

    impl Hangs for Office {
        fn make_hanging() -> (Self::Adopted, Seen) {
            let (pool, seen) = office();
            seen.0.taken.store(1, Ordering::Release);
            (pool, seen)
        }

        fn after(seen: Seen) {
            until("the pool to be let go of", || Office::is_over(&seen));
        }
    }

    contract!(Office);

    #[test]
    fn who_has_a_handle_is_waited_for_although_nothing_is_lent() {
        alone(|| {
            let (manager, (pool, seen)) = (manager(), office());
            let guard = manager.adopt(pool);
            let handle = guard.handle().unwrap();
            let (tell, told) = mpsc::channel();
            let closing = thread::spawn(move || {
                tell.send(()).unwrap();
                ResourceGuard::close(guard)
            });
            told.recv().unwrap();
            until("the pool to be closed", || seen.0.closed.load(Ordering::Acquire));
            assert!(!closing.is_finished());
            drop(handle);
            closing.join().unwrap().unwrap();
        });
    }

    #[test]
    fn given_up_it_says_how_many_are_out() {
        alone(|| {
            let (pool, seen) = office();
            let guard = manager().adopt(pool.grace(Duration::from_millis(20)));
            let kept = guard.handle().unwrap();
            kept.taken.store(2, Ordering::Release);
            let said = still_lent(guard);
            assert_eq!((said.lent, said.handles), (2, 1));
            let text = said.to_string();
            assert!(
                text.contains(
                    "`desks` was closed 20.0ms ago, and still out are 2 of its connections and 1 of its"
                ),
                "{text}"
            );
            drop(kept);
            assert!(Office::is_over(&seen));
        });
    }

    #[test]
    fn its_label_can_be_chosen_and_it_can_be_had_back() {
        alone(|| {
            let (pool, seen) = office();
            let pool = pool.labelled("quiet room");
            assert_eq!(&*castoff::Resource::label(&pool), "quiet room");
            let released = ResourceGuard::release(manager().adopt(pool));
            drop(released.into_inner().expect("it was not cleaned up"));
            assert_eq!(Arc::strong_count(&seen.0), 1);
            assert!(!Office::is_over(&seen), "nobody closed it");
        });
    }
}

#[cfg(feature = "r2d2")]
mod of_r2d2 {
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
}

/// What awaits, over connections to Redis: the server sees whether they are closed.
#[cfg(all(feature = "redis", any(feature = "bb8", feature = "deadpool")))]
mod awaiting {
    use redis::aio::MultiplexedConnection;
    use redis::{RedisError, RedisResult, cmd};
    use tokio::runtime::Runtime;

    use super::super::redis_server::{client, connections, end_connections, served};
    use super::*;
    use crate::contract::{Case, Hangs};
    use crate::support::runtime;

    /// Connections that the server knows by the name of the test's process.
    #[derive(Debug)]
    struct Named;

    fn name() -> String {
        format!("castoff-{}", std::process::id())
    }

    impl Named {
        async fn connection(&self) -> RedisResult<MultiplexedConnection> {
            let mut connection = client().get_multiplexed_async_connection().await?;
            cmd("CLIENT").arg("SETNAME").arg(name()).exec_async(&mut connection).await?;
            Ok(connection)
        }

        async fn answers(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
            cmd("PING").exec_async(connection).await
        }
    }

    struct Witness<L> {
        runtime: Runtime,
        kept: Option<L>,
    }

    impl<L> Witness<L> {
        fn give_back(&mut self) {
            let _entered = self.runtime.enter();
            drop(self.kept.take());
        }
    }

    fn are_closed() -> bool {
        connections(&name()) == 0
    }

    #[cfg(feature = "bb8")]
    mod of_bb8 {
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
    }

    #[cfg(feature = "deadpool")]
    mod of_deadpool {
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
    }
}
