//! Connections of redis, as its server sees them.

use std::sync::mpsc;
use std::time::Duration;

use castoff::ResourceGuard;
use castoff::adapters::RedisConnection;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisResult, cmd};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::redis_server::{Way, client, connections, end_connections, served};
use crate::alone::until;
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

struct Witness {
    name: String,
    runtime: Runtime,
    asking: Option<JoinHandle<RedisResult<()>>>,
}

impl Witness {
    fn new() -> Witness {
        Witness { name: format!("castoff-{}", std::process::id()), runtime: runtime(), asking: None }
    }
}

/// Without a limit of redis's own to an answer.
async fn patient() -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    client().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

mod multiplexed {
    use super::*;

    struct Multiplexed;

    impl Case for Multiplexed {
        type Adopted = RedisConnection;
        type Witness = Witness;

        fn make() -> (RedisConnection, Witness) {
            let witness = Witness::new();
            let connection = witness.runtime.block_on(async {
                let connection = RedisConnection::new("redis", patient().await);
                let mut naming = connection.clone();
                cmd("CLIENT").arg("SETNAME").arg(&witness.name).exec_async(&mut naming).await.unwrap();
                connection
            });
            (connection, witness)
        }

        fn is_over(witness: &Witness) -> bool {
            connections(&witness.name) == 0
        }

        fn end_first(connection: &mut RedisConnection, witness: &Witness) {
            end_connections(&witness.name);
            let asked = witness.runtime.block_on(cmd("PING").exec_async(connection));
            asked.expect_err("the server has ended it");
        }
    }

    impl Hangs for Multiplexed {
        fn make_hanging() -> (RedisConnection, Witness) {
            let (connection, mut witness) = Multiplexed::make();
            witness.asking = Some(ask_in_vain(&witness, connection.clone()));
            (connection, witness)
        }

        fn after(mut witness: Witness) {
            let asked = witness.runtime.block_on(witness.asking.take().unwrap()).unwrap();
            let cut = asked.expect_err("the last resort cuts it");
            assert_eq!(cut.kind(), ErrorKind::Io, "{cut}");
            until("the connection to be closed", || Multiplexed::is_over(&witness));
        }
    }

    /// Who waits for what nobody puts in, with the server's knowledge: into a list of this test's own, as others share
    /// the server.
    fn ask_in_vain(witness: &Witness, mut connection: RedisConnection) -> JoinHandle<RedisResult<()>> {
        let list = witness.name.clone();
        let asking = witness
            .runtime
            .spawn(async move { cmd("BLPOP").arg(list).arg(0).exec_async(&mut connection).await });
        until("the server to have been asked", || {
            let mut looking = client().get_connection().unwrap();
            let list: String = cmd("CLIENT").arg("LIST").query(&mut looking).unwrap();
            list.lines().any(|line| {
                line.contains(&format!(" name={} ", witness.name)) && line.contains(" cmd=blpop ")
            })
        });
        asking
    }

    contract!(Multiplexed, in served);

    #[test]
    fn what_is_asked_after_the_cleanup_is_an_error_for_every_clone() {
        served(|| {
            let (manager, (connection, witness)) = (manager(), Multiplexed::make());
            let (mut clone, mut guard) = (connection.clone(), manager.adopt(connection));
            assert!(manager.cleanup().is_success());
            witness.runtime.block_on(async {
                let told = cmd("PING").exec_async(&mut clone).await.unwrap_err();
                assert!(told.to_string().contains("`redis` was closed by its cleanup"), "{told}");
                let (ping, mut pipe) = (cmd("PING"), redis::pipe());
                pipe.add_command(ping);
                pipe.exec_async(&mut *guard).await.unwrap_err();
            });
        });
    }

    #[test]
    fn a_cleanup_waits_for_the_answer_to_what_was_asked_before() {
        served(|| {
            let (manager, (connection, witness)) = (manager(), Multiplexed::make());
            let asking = ask_in_vain(&witness, connection.clone());
            let guard = manager.adopt(connection);
            let (begin, begun) = mpsc::channel();
            let closing = std::thread::spawn(move || {
                begin.send(()).unwrap();
                ResourceGuard::close(guard)
            });
            begun.recv().unwrap();
            assert!(!asking.is_finished());
            let mut other = client().get_connection().unwrap();
            cmd("RPUSH").arg(&witness.name).arg("tea").exec(&mut other).unwrap();
            witness.runtime.block_on(asking).unwrap().expect("it gets its answer");
            closing.join().unwrap().unwrap();
            until("the connection to be closed", || Multiplexed::is_over(&witness));
        });
    }

    #[test]
    fn its_own_grace_says_how_many_wait_and_then_they_are_cut() {
        served(|| {
            let (manager, (connection, mut witness)) = (manager(), Multiplexed::make());
            witness.asking = Some(ask_in_vain(&witness, connection.clone()));
            let guard = manager.adopt(connection.grace(Duration::from_millis(50)));
            let error = ResourceGuard::close(guard).unwrap_err().to_string();
            assert!(
                error.contains("`redis` was closed 50.0ms ago, and 1 of its commands had no answer yet"),
                "{error}"
            );
            Multiplexed::after(witness);
        });
    }

    #[test]
    fn many_commands_at_a_time_are_answered_in_the_database_that_it_uses() {
        served(|| {
            let witness = Witness::new();
            let way = client().get_connection_info().clone();
            let third = way.redis_settings().clone().set_db(3);
            let client = Client::open(way.set_redis_settings(third)).unwrap();
            let connection = witness.runtime.block_on(RedisConnection::connect(&client)).unwrap();
            let (manager, mut clone) = (manager(), connection.clone());
            let guard = manager.adopt(connection);
            assert_eq!(guard.get_db(), 3);
            let mut pipe = redis::pipe();
            pipe.set(&witness.name, 20).incr(&witness.name, 1).ignore().get(&witness.name).del(&witness.name);
            let answers: (String, i64, i64) = witness.runtime.block_on(pipe.query_async(&mut clone)).unwrap();
            assert_eq!(answers, ("OK".to_owned(), 21, 1));
            assert!(manager.cleanup().is_success());
            assert_eq!(guard.get_db(), 0, "none after the cleanup");
        });
    }

    #[test]
    fn what_is_printed_of_it_is_its_label_and_whether_it_is_connected() {
        served(|| {
            let (connection, _witness) = Multiplexed::make();
            assert_eq!(
                printed(connection),
                [
                    "RedisConnection { label: Label(\"redis\"), connection: held, .. }",
                    "RedisConnection { label: Label(\"redis\"), connection: gone, .. }"
                ]
            );
        });
    }

    #[test]
    fn after_the_end_of_its_runtime_it_is_gone_already() {
        served(|| {
            let (connection, Witness { name, runtime, .. }) = Multiplexed::make();
            let guard = manager().adopt(connection);
            drop(runtime);
            ResourceGuard::close(guard).unwrap();
            until("the server to see it", || connections(&name) == 0);
        });
    }

    #[test]
    fn its_label_is_where_it_leads_and_has_no_password() {
        served(|| {
            let runtime = runtime();
            let connection = runtime.block_on(RedisConnection::connect(&client())).unwrap();
            let label = castoff::Resource::label(&connection).to_string();
            assert!(label.starts_with("redis /") && label.ends_with("/redis.sock"), "{label}");
            assert!(connection.into_inner().is_some());
        });
    }
}

/// The one that connects again.
mod managed {
    use super::*;

    struct Managed;

    impl Case for Managed {
        type Adopted = RedisConnection<ConnectionManager>;
        type Witness = Witness;

        fn make() -> (RedisConnection<ConnectionManager>, Witness) {
            managed(client())
        }

        fn is_over(witness: &Witness) -> bool {
            connections(&witness.name) == 0
        }

        fn end_first(_: &mut RedisConnection<ConnectionManager>, witness: &Witness) {
            end_connections(&witness.name);
        }
    }

    fn managed(client: Client) -> (RedisConnection<ConnectionManager>, Witness) {
        let witness = Witness::new();
        let connection = witness.runtime.block_on(async {
            // It tries to connect again for longer than a cleanup that hangs may take, and not for much longer.
            let config = ConnectionManagerConfig::new();
            let config = config.set_min_delay(Duration::from_secs(1)).set_number_of_retries(2);
            let manager = ConnectionManager::new_with_config(client, config).await.unwrap();
            let connection = RedisConnection::new("redis", manager);
            let mut naming = connection.clone();
            cmd("CLIENT").arg("SETNAME").arg(&witness.name).exec_async(&mut naming).await.unwrap();
            connection
        });
        (connection, witness)
    }

    impl Hangs for Managed {
        /// The server has gone, and somebody waits for the connection to be there again.
        fn make_hanging() -> (RedisConnection<ConnectionManager>, Witness) {
            let way = Way::new();
            let (mut connection, mut witness) = managed(way.client());
            drop(way);
            end_connections(&witness.name);
            let mut asking = connection.clone();
            witness.runtime.block_on(cmd("PING").exec_async(&mut connection)).expect_err("it has ended");
            let (begin, begun) = mpsc::channel();
            witness.asking = Some(witness.runtime.spawn(async move {
                begin.send(()).unwrap();
                cmd("PING").exec_async(&mut asking).await
            }));
            begun.recv().unwrap();
            (connection, witness)
        }

        fn after(mut witness: Witness) {
            let asked = witness.runtime.block_on(witness.asking.take().unwrap()).unwrap();
            let cut = asked.expect_err("there is no server");
            assert!(cut.to_string().contains("was closed by its cleanup"), "{cut}");
            // One whose runtime ends before its attempts do is never freed.
            until("its attempts to end", || witness.runtime.metrics().num_alive_tasks() == 0);
        }
    }

    contract!(Managed, in served);
}
