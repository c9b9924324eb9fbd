//! Databases that live for a test.

use castoff::adapters::TempDatabase;
use sqlx::PgConnection;

use super::silence::MayFallSilent;
use super::*;

struct Temporary;

struct Witness {
    name: String,
    session: Option<(PgConnection, Runtime)>,
    _silent: Option<MayFallSilent>,
}

impl Case for Temporary {
    type Adopted = TempDatabase;
    type Witness = Witness;

    fn make() -> (TempDatabase, Witness) {
        let database = runtime().block_on(TempDatabase::create(options(), "orders")).unwrap();
        let name = database.name().to_owned();
        (database, Witness { name, session: None, _silent: None })
    }

    fn is_over(witness: &Witness) -> bool {
        databases(&witness.name) == 0
    }

    fn end_first(_: &mut TempDatabase, witness: &Witness) {
        execute(&format!("DROP DATABASE \"{}\"", witness.name));
    }
}

impl Hangs for Temporary {
    fn make_hanging() -> (TempDatabase, Witness) {
        let mut silent = MayFallSilent::new();
        let database = runtime().block_on(TempDatabase::create(silent.options(), "orders")).unwrap();
        let name = database.name().to_owned();
        silent.fall_silent();
        (database, Witness { name, session: None, _silent: Some(silent) })
    }

    /// Nobody but the server could have dropped it.
    fn after(witness: Witness) {
        assert!(!Temporary::is_over(&witness));
        execute(&format!("DROP DATABASE \"{}\"", witness.name));
    }
}

contract!(Temporary, in served);

#[test]
fn sessions_that_are_still_in_it_end() {
    served(|| {
        let (database, mut witness) = Temporary::make();
        let runtime = runtime();
        let session = runtime.block_on(database.options().connect()).unwrap();
        witness.session = Some((session, runtime));
        let guard = manager().adopt(database);
        ResourceGuard::close(guard).unwrap();
        assert!(Temporary::is_over(&witness));
        let (mut session, runtime) = witness.session.take().unwrap();
        runtime.block_on(session.ping()).unwrap_err();
    });
}

#[test]
fn another_that_got_its_name_since_stays() {
    served(|| {
        let (database, witness) = Temporary::make();
        let guard = manager().adopt(database);
        execute(&format!("DROP DATABASE \"{}\"", witness.name));
        execute(&format!("CREATE DATABASE \"{}\"", witness.name));
        ResourceGuard::close(guard).unwrap();
        assert_eq!(databases(&witness.name), 1);
        execute(&format!("DROP DATABASE \"{}\"", witness.name));
    });
}

#[test]
fn two_of_one_prefix_do_not_meet() {
    served(|| {
        let manager = manager();
        let (one, two) = (manager.adopt(Temporary::make().0), manager.adopt(Temporary::make().0));
        assert_ne!(one.name(), two.name());
        assert!(manager.cleanup().is_success());
    });
}
