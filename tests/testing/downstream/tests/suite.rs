//! A suite that shares a database, a schema in it and a server. What happens is appended to the file that the variable
//! `SUITE_LOG` names, a line each, with the process that did it.

use std::fs::OpenOptions;
use std::io::Write;
use std::mem::forget;
use std::time::Duration;

use castoff::testing::Shared;
use castoff::{Category, ResourceManager};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

struct Database;

impl Database {
    fn start() -> Result<Database, std::io::Error> {
        log("database made");
        Ok(Database)
    }

    fn stop(&self) -> Result<(), std::io::Error> {
        log("database cleaned");
        Ok(())
    }
}

static DATABASE: Shared<Database> =
    Shared::new("database", &Database::start, &Database::stop).category(Category::Database);

/// Its database is needed to clean it.
static SCHEMA: Shared<&Database> = Shared::new(
    "schema",
    &|| {
        let database: &Database = &DATABASE;
        log("schema made");
        forget(ResourceManager::current().guard("migration lock", || log("lock cleaned")));
        database
    },
    &|_| log("schema cleaned"),
);

static SERVER: Shared<u16> = Shared::new_async("server", &serve, &async |_| {
    tokio::time::sleep(Duration::from_millis(1)).await;
    log("server cleaned");
});

/// What it has made by then can't be undone either.
static BROKEN: Shared<u8> = Shared::new(
    "broken",
    &|| {
        forget(ResourceManager::current().guard("half", || Err("no way back")));
        "no number".parse::<u8>()
    },
    &|_| (),
);

/// Says hello to whoever connects, as long as the process lives.
async fn serve() -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    log("server made");
    Ok(port)
}

fn log(line: &str) {
    let path = std::env::var_os("SUITE_LOG").expect("the variable names a file");
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("it can be opened");
    file.write_all(format!("{} {line}\n", std::process::id()).as_bytes()).expect("it can be written");
}

macro_rules! users {
    ($($name:ident)*) => {
        $(
            #[castoff::test]
            fn $name(manager: &ResourceManager) {
                let _table = manager.guard("table", || ());
                assert_eq!(std::mem::size_of_val(SCHEMA.get()), std::mem::size_of::<usize>());
                assert_eq!(manager.resource_count(), 1);
            }
        )*
    };
}

users! { uses_it_1 uses_it_2 uses_it_3 uses_it_4 uses_it_5 uses_it_6 uses_it_7 uses_it_8 }

macro_rules! clients {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            #[castoff::test]
            async fn $name() {
                let port = *SERVER.get_async().await;
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
                assert_eq!(stream.read(&mut [0]).await.ok(), Some(0), "it hangs up");
            }
        )*
    };
}

clients! { connects_1 connects_2 connects_3 connects_4 }

#[test]
fn uses_it_in_a_plain_test() {
    SCHEMA.get();
}

#[castoff::test]
#[ignore = "it fails"]
fn fails() {
    SCHEMA.get();
    panic!("its own panic");
}

#[castoff::test]
#[ignore = "it fails"]
fn fails_by_what_is_broken() {
    BROKEN.get();
}

#[castoff::test]
#[ignore = "it fails"]
fn fails_by_what_is_broken_as_well() {
    BROKEN.get();
}

/// Its table is dropped before the schema, though it is older.
#[castoff::test]
#[ignore = "it ends the process"]
fn exits(manager: &ResourceManager) {
    let _table = manager.resource("table").priority(castoff::Priority::Low).guard(|| log("table cleaned"));
    SCHEMA.get();
    std::process::exit(3);
}

/// What is asked for first when the process is ending is not made.
#[castoff::test]
#[ignore = "it ends the process"]
fn exits_and_asks_then(manager: &ResourceManager) {
    let _table = manager.guard("table", || match DATABASE.try_get() {
        Ok(_) => log("database given"),
        Err(error) => log(&error.to_string()),
    });
    std::process::exit(3);
}

/// The `main` of a program under test, which tears down the global manager.
#[castoff::test]
#[ignore = "it would tear down what other tests hold"]
fn runs_a_main() {
    SCHEMA.get();
    castoff::run(|| std::mem::forget(ResourceManager::global().guard("of main", || log("main cleaned"))));
}

#[castoff::test(exit_hooks)]
#[ignore = "it waits for a signal"]
fn waits_for_a_signal(manager: &ResourceManager) {
    let _table = manager.resource("table").priority(castoff::Priority::Low).guard(|| log("table cleaned"));
    SCHEMA.get();
    SERVER.get();
    eprintln!("it waits");
    std::thread::sleep(Duration::from_secs(60));
}
