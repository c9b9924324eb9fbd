//! What is made and cleaned by code that awaits.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, oneshot};

use super::*;

/// A server that echoes one byte, by a task that the making has spawned; and a connection to it, made there too.
struct Echo {
    address: std::net::SocketAddr,
    connection: Mutex<TcpStream>,
}

async fn start() -> std::io::Result<Echo> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    stream.write_u8(byte).await.ok();
                }
            });
        }
    });
    Ok(Echo { address, connection: Mutex::new(TcpStream::connect(address).await?) })
}

async fn echo(stream: &mut TcpStream, byte: u8) -> u8 {
    stream.write_u8(byte).await.expect("it is open");
    stream.read_u8().await.expect("it answers")
}

#[test]
fn what_awaits_it_can_be_spawned() {
    fn spawned<T: Send>(_: T) {}
    static SHARED: Shared<u8> = Shared::new_async("spawned", &async || 1, &async |_| ());
    spawned(SHARED.get_async());
    spawned(SHARED.try_get_async());
}

#[test]
fn what_one_runtime_asked_for_serves_the_next_after_that_one_has_ended() {
    static ECHO: Shared<Echo> = Shared::new_async("echo", &start, &async |_| ());
    watchdog(LIMIT, || {
        for byte in 0..4 {
            let builder = &mut tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("a runtime can be had");
            runtime.block_on(async {
                let shared = ECHO.get_async().await;
                assert_eq!(echo(&mut *shared.connection.lock().await, byte).await, byte);
                let mut own = TcpStream::connect(shared.address).await.expect("it listens");
                assert_eq!(echo(&mut own, byte).await, byte);
            });
        }
        // And where nothing is awaited.
        assert!(ECHO.address.ip().is_loopback());
    });
}

#[test]
fn it_can_be_had_by_a_call_that_blocks_outside_of_a_runtime_and_in_one_of_one_thread() {
    static OUTSIDE: Shared<u8> = Shared::new_async("outside", &sleep, &async |_| ());
    static INSIDE: Shared<u8> = Shared::new_async("inside", &sleep, &async |_| ());
    async fn sleep() -> u8 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(async { 7 }).await.expect("it does not panic")
    }
    watchdog(LIMIT, || {
        assert_eq!(*OUTSIDE, 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
        runtime.block_on(async { assert_eq!(*INSIDE, 7) });
    });
}

#[test]
fn one_that_awaits_may_ask_for_another_by_a_call_that_blocks_and_by_one_that_awaits() {
    static BASE: Shared<u8> = Shared::new_async("base", &async || 1, &async |_| ());
    static BLOCKS: Shared<u8> = Shared::new_async("blocks", &async || *BASE + 1, &async |_| ());
    static AWAITS: Shared<u8> =
        Shared::new_async("awaits", &async || *BLOCKS.get_async().await + 1, &async |_| ());
    static CIRCLE: Shared<u8> =
        Shared::new_async("circle", &async || CIRCLE.try_get_async().await.copied(), &async |_| ());
    watchdog(LIMIT, || {
        assert_eq!((*AWAITS, *BLOCKS, *BASE), (3, 2, 1));
        let error = CIRCLE.try_get().expect_err("it asks for itself").to_string();
        assert!(error.contains("circle -> circle"), "{error}");
    });
}

#[test]
fn a_making_that_nobody_awaits_any_more_goes_on_and_is_not_begun_again() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static GO: std::sync::Mutex<Option<oneshot::Receiver<()>>> = std::sync::Mutex::new(None);
    static SHARED: Shared<usize> = Shared::new_async("slow", &make, &async |_| ());
    async fn make() -> usize {
        let told = GO.lock().ok().and_then(|mut told| told.take()).expect("it is there once");
        told.await.ok();
        COUNT.fetch_add(1, SeqCst)
    }
    let (go, told) = oneshot::channel();
    *GO.lock().expect("nobody panics") = Some(told);
    watchdog(LIMIT, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
        runtime.block_on(async {
            let mut first = Box::pin(SHARED.get_async());
            std::future::poll_fn(|cx| {
                assert!(first.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            drop(first);
            go.send(()).expect("it waits for this");
            assert_eq!(*SHARED.get_async().await, 0);
        });
        assert_eq!(COUNT.load(SeqCst), 1);
    });
}

#[test]
fn one_that_is_no_static_is_cleaned_when_it_is_dropped() {
    static TELL: std::sync::Mutex<Option<oneshot::Sender<u8>>> = std::sync::Mutex::new(None);
    async fn clean(made: std::sync::Arc<u8>) {
        let tell = TELL.lock().ok().and_then(|mut tell| tell.take()).expect("it is cleaned once");
        tell.send(*made).expect("it waits for this");
    }
    watchdog(LIMIT, || {
        let (tell, told) = oneshot::channel();
        *TELL.lock().expect("nobody panics") = Some(tell);
        let shared: Shared<u8> = Shared::new_async("local", &async || 7, &clean);
        assert_eq!(*shared, 7);
        drop(shared);
        assert_eq!(told.blocking_recv(), Ok(7));
    });
}

#[test]
fn a_panic_where_it_awaits_is_told_as_any_other() {
    static SHARED: Shared<u8> = Shared::new_async("torn", &make, &async |_| ());
    async fn make() -> u8 {
        tokio::task::yield_now().await;
        panic!("out of rope");
    }
    let error = SHARED.try_get().expect_err("it panics");
    assert!(error.to_string().contains("it panicked: out of rope"), "{error}");
}
