//! What a PostgreSQL server sees.

mod advisory_locks;
mod pools;
mod schemas;
mod sessions;
mod silence;
mod temporary_databases;
mod transactions;

use castoff::ResourceGuard;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, Connection, PgPool, Postgres};
use tokio::runtime::Runtime;

use super::server::{options, served};
use crate::alone::until;
use crate::contract::{Case, Hangs, manager, printed};
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

fn execute(query: &str) {
    runtime().block_on(async {
        let mut connection = options().connect().await.unwrap();
        sqlx::query(query).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
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
