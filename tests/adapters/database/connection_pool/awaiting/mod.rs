//! Pools whose users await, over connections to Redis: the server sees whether they are closed.

#[cfg(feature = "bb8")]
mod of_bb8;
#[cfg(feature = "deadpool")]
mod of_deadpool;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, cmd};
use tokio::runtime::Runtime;

use super::*;
use crate::contract::{Case, Hangs};
use crate::database::redis_server::{client, connections, end_connections, served};
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
