//! What was released can be had back as it was; after its cleanup there is nothing to be had.

use std::sync::{Arc, Mutex};

use castoff::adapters::Restore;
use castoff::{Resource, ResourceGuard};

use crate::alone::alone;
use crate::contract::manager;

/// Has it back before its cleanup, and not after: made twice.
fn had_back<R: Resource, I>(make: impl Fn() -> R, into_inner: impl Fn(R) -> Option<I>) -> I {
    let manager = manager();
    let guard = manager.adopt(make());
    assert!(manager.cleanup().is_success());
    assert!(into_inner(ResourceGuard::release(guard)).is_none(), "it has been cleaned up");
    into_inner(ResourceGuard::release(manager.adopt(make()))).expect("it has not been cleaned up")
}

#[test]
fn an_old_value() {
    alone(|| {
        let level = Arc::new(Mutex::new("warn"));
        let replace = || Restore::replace("level", Arc::clone(&level), "debug");
        assert_eq!(had_back(replace, Restore::into_inner), "warn");
        assert_eq!(*level.lock().unwrap(), "debug", "it is put back no more");
    });
}

#[cfg(feature = "notify")]
#[test]
fn a_watcher() {
    use castoff::adapters::FileWatcher;
    use notify::{RecursiveMode, Watcher};

    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let make = || {
            let tell = tell.clone();
            let watcher: FileWatcher = FileWatcher::new("settings", move |_| tell.send(()).unwrap()).unwrap();
            watcher
        };
        let mut watcher = had_back(make, FileWatcher::into_inner);
        watcher.watch(folder.path(), RecursiveMode::NonRecursive).unwrap();
        std::fs::write(folder.path().join("level"), "debug").unwrap();
        told.recv().unwrap();
    });
}

#[cfg(feature = "rusqlite")]
#[test]
fn a_connection_of_rusqlite() {
    use castoff::adapters::{Gone, SqliteConnection};
    use rusqlite::Connection;

    alone(|| {
        let make = || SqliteConnection::new(Connection::open_in_memory().unwrap());
        let connection = had_back(make, SqliteConnection::into_inner);
        connection.execute_batch("SELECT 1").unwrap();

        let shared = make();
        let clone = shared.clone();
        assert!(shared.into_inner().is_some());
        assert_eq!(clone.get().map(drop), Err(Gone));
    });
}

#[cfg(feature = "sqlx")]
#[test]
fn a_transaction() {
    use castoff::adapters::OpenTransaction;
    use sqlx::sqlite::SqlitePoolOptions;

    alone(|| {
        let runtime = crate::support::runtime();
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:");
        let pool = runtime.block_on(pool).unwrap();
        let begin = || runtime.block_on(OpenTransaction::begin(&pool)).unwrap();
        let mut transaction = had_back(begin, OpenTransaction::into_inner);
        runtime.block_on(async {
            sqlx::query("CREATE TABLE orders (text TEXT)").execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
            sqlx::query("SELECT * FROM orders").fetch_optional(&pool).await.expect("it was committed");
            pool.close().await;
        });
    });
}

#[cfg(feature = "tokio")]
#[test]
fn a_stream() {
    use castoff::adapters::Subscribed;
    use futures_util::{StreamExt, stream};

    alone(|| {
        let mut numbers = had_back(|| Subscribed::new("numbers", stream::iter([7])), Subscribed::into_inner);
        crate::support::runtime().block_on(async { assert_eq!(numbers.next().await, Some(7)) });
    });
}

#[cfg(feature = "tokio-tungstenite")]
#[test]
fn a_websocket() {
    use castoff::adapters::WebSocket;
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::{Message, protocol::Role};

    alone(|| {
        let runtime = crate::support::runtime();
        runtime.block_on(async {
            let (here, there) = tokio::io::duplex(1024);
            let ours = WebSocketStream::from_raw_socket(here, Role::Client, None).await;
            let mut theirs = WebSocketStream::from_raw_socket(there, Role::Server, None).await;
            let guard = manager().adopt(WebSocket::new("live", ours));
            let mut ours = ResourceGuard::release(guard).into_inner().expect("it has not been cleaned up");
            ours.send(Message::from("tea")).await.unwrap();
            assert_eq!(theirs.next().await.unwrap().unwrap(), Message::from("tea"), "and no goodbye before");
        });
    });
}
