//! What a session was told: prepared statements, as its next user finds them.

use castoff::adapters::SessionState;

use super::silence::Stopped;
use super::*;

struct Preparing;

struct Witness {
    pool: PgPool,
    name: String,
    runtime: Runtime,
    stopped: Option<Stopped>,
}

/// In a pool of one connection, which the server knows by this name.
fn prepared(undo: &str) -> (SessionState<Postgres>, Witness) {
    let runtime = runtime();
    let name = format!("castoff-{}", std::process::id());
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options().application_name(&name));
    let pool = runtime.block_on(pool).unwrap();
    let state = SessionState::set(&pool, "prepared statement", "PREPARE twice AS SELECT $1::int * 2", undo);
    let state = runtime.block_on(state).unwrap();
    (state, Witness { pool, name, runtime, stopped: None })
}

async fn doubled(state: &SessionState<Postgres>) -> i32 {
    let mut session = state.get().await.unwrap();
    sqlx::query_scalar("EXECUTE twice(21)").fetch_one(&mut **session).await.unwrap()
}

impl Case for Preparing {
    type Adopted = SessionState<Postgres>;
    type Witness = Witness;

    fn make() -> (Self::Adopted, Witness) {
        let (state, witness) = prepared("DEALLOCATE twice");
        assert_eq!(witness.runtime.block_on(doubled(&state)), 42);
        (state, witness)
    }

    /// Back in its pool, which knows it no more.
    fn is_over(witness: &Witness) -> bool {
        if witness.pool.num_idle() == 0 {
            return false;
        }
        let known = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements WHERE name = 'twice'");
        let known: i64 = witness.runtime.block_on(known.fetch_one(&witness.pool)).unwrap();
        known == 0
    }

    fn end_first(state: &mut Self::Adopted, witness: &Witness) {
        witness.runtime.block_on(async {
            let mut session = state.get().await.unwrap();
            sqlx::raw_sql("DEALLOCATE twice").execute(&mut **session).await.unwrap();
        });
    }
}

impl Hangs for Preparing {
    fn make_hanging() -> (Self::Adopted, Witness) {
        let (state, mut witness) = Preparing::make();
        let session = "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = $1";
        witness.stopped = Some(Stopped::new(ask(session, &witness.name)));
        (state, witness)
    }

    /// The connection is closed: the server forgets it with its session when it goes on.
    fn after(mut witness: Witness) {
        assert_eq!(sessions_of(&witness.name), 1);
        until("the pool to have lost it", || witness.pool.size() == 0);
        drop(witness.stopped.take());
        until("the session to end", || sessions_of(&witness.name) == 0);
    }
}

contract!(Preparing, in served);

#[test]
fn a_session_that_can_not_be_undone_is_closed() {
    served(|| {
        let (state, witness) = prepared("THIS IS NOT SQL");
        let error = ResourceGuard::close(manager().adopt(state)).unwrap_err().to_string();
        assert!(error.contains("prepared statement in a session of postgres://tester@"), "{error}");
        until("the session to end", || sessions_of(&witness.name) == 0);
        assert_eq!(witness.pool.size(), 0);
    });
}

#[test]
fn so_is_one_whose_undoing_has_an_answer_that_sqlx_does_not_expect() {
    served(|| {
        let (state, witness) = prepared("CREATE TEMP TABLE orders (text TEXT); COPY orders FROM STDIN");
        let error = ResourceGuard::close(manager().adopt(state)).unwrap_err().to_string();
        assert!(error.contains("unexpected message"), "{error}");
        until("the session to end", || sessions_of(&witness.name) == 0);
    });
}

#[test]
fn what_can_be_asked_of_a_connection_can_be_asked_of_a_session() {
    served(|| {
        let (state, witness) = Preparing::make();
        let version = witness.runtime.block_on(async { state.get().await.unwrap().server_version_num() });
        assert!(version.is_some_and(|version| version >= 100_000), "{version:?}");
        ResourceGuard::close(manager().adopt(state)).unwrap();
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_somebody_has_it_and_nothing_of_the_session() {
    served(|| {
        let (state, witness) = Preparing::make();
        let in_hand = witness.runtime.block_on(state.get()).unwrap();
        assert_eq!(format!("{in_hand:?}"), "Session { .. }");
        let lent = format!("{state:?}");
        drop(in_hand);
        assert!(lent.contains("slot: Slot { lent: true, closed: false, .. }"), "{lent}");
        let label = castoff::Resource::label(&state);
        let told = |closed| {
            let slot = format!("Slot {{ lent: false, closed: {closed}, .. }}");
            format!("SessionState {{ label: {label:?}, slot: {slot} }}")
        };
        assert_eq!(printed(state), [told(false), told(true)]);
    });
}

#[test]
fn a_session_that_the_server_has_ended_has_nothing_to_undo() {
    served(|| {
        let (state, witness) = prepared("DEALLOCATE twice");
        ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1",
            &witness.name,
        );
        ResourceGuard::close(manager().adopt(state)).unwrap();
    });
}

#[test]
fn dropped_outside_of_a_runtime_without_a_cleanup_it_is_closed_whatever_its_pool_keeps() {
    served(|| {
        let runtime = runtime();
        let name = format!("castoff-{}", std::process::id());
        let pool = PgPoolOptions::new().max_connections(2).min_connections(1);
        let pool = runtime.block_on(pool.connect_with(options().application_name(&name))).unwrap();
        let state = SessionState::set(&pool, "setting", "SET work_mem = '1MB'", "RESET work_mem");
        let state = runtime.block_on(state).unwrap();
        let number: i32 = runtime.block_on(async {
            let mut session = state.get().await.unwrap();
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **session).await.unwrap()
        });
        drop(state);
        let alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::text::int";
        until("the session to end", || ask(alive, &number.to_string()) == 0);
        runtime.block_on(pool.close());
    });
}

#[test]
fn what_can_not_be_set_leaves_nothing_in_the_pool() {
    served(|| {
        let runtime = runtime();
        let (pool, name) = pool(&runtime);
        let refused = runtime.block_on(SessionState::set(&pool, "nonsense", "PREPARE", ""));
        refused.unwrap_err();
        until("the session to end", || sessions_of(&name) == 0);
        runtime.block_on(pool.close());
    });
}

#[test]
fn had_back_it_keeps_what_it_was_told() {
    served(|| {
        let (state, witness) = prepared("DEALLOCATE twice");
        let released = ResourceGuard::release(manager().adopt(state));
        let connection = released.into_inner().unwrap();
        let entered = witness.runtime.enter();
        drop(connection);
        drop(entered);
        until("it to be back in the pool", || witness.pool.num_idle() == 1);
        assert!(!Preparing::is_over(&witness), "nobody undid it");
    });
}
