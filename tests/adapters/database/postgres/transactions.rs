//! Open transactions, as the server sees them.

use castoff::adapters::OpenTransaction;

use super::silence::Stopped;
use super::*;

struct Open;

struct Witness {
    name: String,
    runtime: Runtime,
    stopped: Option<Stopped>,
}

impl Case for Open {
    type Adopted = OpenTransaction<Postgres>;
    type Witness = Witness;

    fn make() -> (Self::Adopted, Witness) {
        let runtime = runtime();
        let (pool, name) = pool(&runtime);
        let transaction = runtime.block_on(OpenTransaction::begin(&pool)).unwrap();
        (transaction, Witness { name, runtime, stopped: None })
    }

    fn is_over(witness: &Witness) -> bool {
        let open =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state LIKE 'idle in%'";
        ask(open, &witness.name) == 0
    }

    fn end_first(transaction: &mut Self::Adopted, witness: &Witness) {
        witness.runtime.block_on(transaction.commit()).unwrap();
    }
}

impl Hangs for Open {
    fn make_hanging() -> (Self::Adopted, Witness) {
        let (transaction, mut witness) = Open::make();
        let holder = "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = $1";
        witness.stopped = Some(Stopped::new(ask(holder, &witness.name)));
        (transaction, witness)
    }

    fn after(mut witness: Witness) {
        assert!(!Open::is_over(&witness), "the session is still stopped");
        drop(witness.stopped.take());
        until("the server to roll it back", || Open::is_over(&witness));
    }
}

contract!(Open, in served);

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
