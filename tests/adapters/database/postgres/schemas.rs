//! Schemas that live for a test.

use std::time::Duration;

use castoff::adapters::{SchemaInUse, TempSchema};
use castoff::{CleanupErrorKind, Resource};
use sqlx::PgConnection;

use super::silence::MayFallSilent;
use super::*;

struct Temporary;

#[derive(Default)]
struct Witness {
    name: String,
    _silent: Option<MayFallSilent>,
}

fn schemas(name: &str) -> i64 {
    ask("SELECT count(*) FROM pg_namespace WHERE nspname = $1", name)
}

impl Case for Temporary {
    type Adopted = TempSchema;
    type Witness = Witness;

    fn make() -> (TempSchema, Witness) {
        let schema = runtime().block_on(TempSchema::create(options(), "orders")).unwrap();
        let name = schema.name().to_owned();
        execute(&format!("CREATE TABLE \"{name}\".orders (text TEXT)"));
        (schema, Witness { name, _silent: None })
    }

    fn is_over(witness: &Witness) -> bool {
        schemas(&witness.name) == 0
    }

    fn end_first(_: &mut TempSchema, witness: &Witness) {
        execute(&format!("DROP SCHEMA \"{}\" CASCADE", witness.name));
    }
}

impl Hangs for Temporary {
    fn make_hanging() -> (TempSchema, Witness) {
        let mut silent = MayFallSilent::new();
        let schema = runtime().block_on(TempSchema::create(silent.options(), "orders")).unwrap();
        let name = schema.name().to_owned();
        silent.fall_silent();
        (schema, Witness { name, _silent: Some(silent) })
    }

    /// Nobody but the server could have dropped it.
    fn after(witness: Witness) {
        assert!(!Temporary::is_over(&witness));
        execute(&format!("DROP SCHEMA \"{}\"", witness.name));
    }
}

contract!(Temporary, in served);

/// Somebody with an open transaction on what is in it.
async fn user(schema: &TempSchema) -> PgConnection {
    let mut user = schema.options().connect().await.unwrap();
    sqlx::raw_sql("BEGIN; INSERT INTO orders VALUES ('tea')").execute(&mut user).await.unwrap();
    user
}

#[test]
fn who_still_uses_it_after_the_grace_is_ended_and_counted() {
    served(|| {
        let (schema, witness) = Temporary::make();
        let runtime = runtime();
        let mut user = runtime.block_on(user(&schema));
        let guard = manager().adopt(schema.grace(Duration::from_millis(50)));
        let error = ResourceGuard::close(guard).unwrap_err();
        let CleanupErrorKind::Failed(cause) = error.kind else { panic!("{}", error.kind) };
        let in_use = cause.downcast_ref::<SchemaInUse>().unwrap_or_else(|| panic!("{cause}"));
        assert_eq!(in_use.sessions, 1);
        assert!(Temporary::is_over(&witness), "it is dropped all the same");
        runtime.block_on(user.ping()).unwrap_err();
    });
}

#[test]
fn who_lets_go_of_it_within_the_grace_is_waited_for() {
    served(|| {
        let (schema, witness) = Temporary::make();
        let runtime = runtime();
        let mut user = runtime.block_on(user(&schema));
        let guard = manager().adopt(schema);
        let closing = std::thread::spawn(move || ResourceGuard::close(guard));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
        until("the cleanup to wait for it", || ask(waits, &format!("DROP SCHEMA%{}%", witness.name)) == 1);
        assert!(!closing.is_finished());
        runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut user).await.unwrap() });
        closing.join().unwrap().unwrap();
        assert!(Temporary::is_over(&witness));
        runtime.block_on(user.close()).unwrap();
    });
}

#[test]
fn given_up_while_somebody_uses_it_the_server_drops_it_when_that_ends() {
    served(|| {
        let (schema, witness) = Temporary::make();
        let runtime = runtime();
        let user = runtime.block_on(user(&schema));
        // Long enough for the server to have been asked, on a busy machine too.
        let (grace, timeout) = (Duration::from_secs(30), Duration::from_secs(3));
        let guard = manager().resource("schema").timeout(timeout).adopt(schema.grace(grace)).unwrap();
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)), "{}", error.kind);
        assert!(!Temporary::is_over(&witness));
        runtime.block_on(user.close()).unwrap();
        until("the server to drop it", || Temporary::is_over(&witness));
    });
}

#[test]
fn who_connects_by_its_options_is_in_it_whatever_its_name() {
    served(|| {
        let runtime = runtime();
        let prefix = "or\"der s\\";
        let schema = runtime.block_on(TempSchema::create(options(), prefix)).unwrap();
        let name = schema.name().to_owned();
        assert!(name.starts_with(prefix));
        assert_eq!(&*schema.label(), format!("temporary schema {name}"));
        let current: String = runtime.block_on(async {
            let mut inside = schema.options().connect().await.unwrap();
            let current = sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&mut inside);
            let current = current.await.unwrap();
            inside.close().await.unwrap();
            current
        });
        assert_eq!(current, name);
        ResourceGuard::close(manager().adopt(schema)).unwrap();
        assert_eq!(schemas(&name), 0);
    });
}

#[test]
fn another_that_got_its_name_since_stays() {
    served(|| {
        let (schema, witness) = Temporary::make();
        let guard = manager().adopt(schema);
        execute(&format!("DROP SCHEMA \"{}\" CASCADE", witness.name));
        execute(&format!("CREATE SCHEMA \"{}\"", witness.name));
        ResourceGuard::close(guard).unwrap();
        assert_eq!(schemas(&witness.name), 1);
        execute(&format!("DROP SCHEMA \"{}\"", witness.name));
    });
}
