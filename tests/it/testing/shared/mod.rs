//! What tests share: made once, remembered where it failed, in nobody's way. How it ends with the process is in
//! tests/testing, from outside.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use castoff::ResourceManager;
use castoff::testing::{Shared, SharedError, scope};

use super::failure;
use crate::support::{LIMIT, watchdog};

fn count(times: &AtomicUsize) {
    times.fetch_add(1, SeqCst);
}

#[test]
fn of_eight_threads_that_ask_at_once_one_makes_it_and_all_have_it() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<usize> = Shared::new(
        "counted",
        &|| {
            thread::yield_now();
            COUNT.fetch_add(1, SeqCst)
        },
        &|_| (),
    );
    let barrier = Barrier::new(8);
    let ask = || {
        barrier.wait();
        *SHARED
    };
    let all: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    assert_eq!((all, COUNT.load(SeqCst)), (vec![0; 8], 1));
}

#[test]
fn an_error_is_told_to_everybody_and_what_was_half_made_is_cleaned() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static CLEANED: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<u8> = Shared::new("refused", &make, &|_| ());
    fn make() -> Result<u8, &'static str> {
        COUNT.fetch_add(1, SeqCst);
        let container = ResourceManager::current().guard("container", || count(&CLEANED));
        std::mem::forget(container);
        Err("no docker here")
    }
    let first = SHARED.try_get().expect_err("it can't be made").to_string();
    let again = thread::spawn(|| SHARED.try_get().expect_err("it is not tried again").to_string());
    assert_eq!(first, again.join().expect("it does not panic"));
    let by = thread::current().name().unwrap_or("test").to_owned();
    let why = format!("no docker here; it was tried once in this process, by `{by}`, and is not tried again");
    assert!(first.contains(&why) && first.contains(file!()), "{first}");
    assert_eq!((COUNT.load(SeqCst), CLEANED.load(SeqCst)), (1, 1));
}

#[test]
fn a_panic_is_told_to_everybody_and_going_through_the_static_panics_with_it() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SHARED: Shared<u8> = Shared::new("torn", &make, &|_| ());
    fn make() -> u8 {
        COUNT.fetch_add(1, SeqCst);
        panic!("out of rope");
    }
    for _ in 0..2 {
        let message = failure(|| *SHARED);
        assert!(message.contains("`torn`") && message.contains("it panicked: out of rope"), "{message}");
    }
    assert!(
        matches!(SHARED.try_get(), Err(SharedError::Panicked { message, .. }) if message == "out of rope")
    );
    assert_eq!(COUNT.load(SeqCst), 1);
}

#[test]
fn the_test_that_makes_it_is_not_blamed_and_what_the_making_registers_is_not_the_tests() {
    static SHARED: Shared<()> = Shared::new("pool", &make, &|()| ());
    fn make() {
        std::mem::forget(ResourceManager::current().guard("connection", || ()));
    }
    scope(|manager| {
        SHARED.get();
        assert_eq!(manager.resource_count(), 0);
        assert_eq!(
            ResourceManager::current().resource_count(),
            0,
            "the test's manager is the current one again"
        );
    });
    let everywhere = ResourceManager::global().resources();
    assert!(
        everywhere.iter().all(|info| info.label != "pool" && info.label != "connection"),
        "{everywhere:?}"
    );
}

#[test]
fn one_that_needs_itself_by_way_of_another_is_told_so() {
    static ONE: Shared<u8> = Shared::new("one", &|| *TWO, &|_| ());
    static TWO: Shared<u8> = Shared::new("two", &|| ONE.try_get().copied(), &|_| ());
    watchdog(LIMIT, || {
        let error = TWO.try_get().expect_err("they need each other");
        assert!(error.to_string().contains("it needs itself: two -> one -> two"), "{error}");
        assert!(ONE.try_get().is_err());
    });
}

#[test]
fn two_that_need_each_other_and_are_made_on_two_threads_do_not_wait_for_ever() {
    static BOTH: Barrier = Barrier::new(2);
    static LEFT: Shared<u8> = Shared::new("left", &|| wait_for(&RIGHT), &|_| ());
    static RIGHT: Shared<u8> = Shared::new("right", &|| wait_for(&LEFT), &|_| ());
    fn wait_for(other: &Shared<u8>) -> Result<u8, SharedError> {
        // Both are being made by now.
        BOTH.wait();
        other.try_get().copied()
    }
    watchdog(LIMIT, || {
        let there = thread::spawn(|| LEFT.try_get().expect_err("they need each other").to_string());
        let here = RIGHT.try_get().expect_err("they need each other").to_string();
        let there = there.join().expect("it does not panic");
        for told in [here, there] {
            let paths = ["left -> right -> left", "right -> left -> right"];
            assert!(paths.iter().any(|path| told.contains(path)), "{told}");
        }
    });
}

#[test]
fn one_that_is_no_static_is_cleaned_when_it_is_dropped() {
    static CLEANED: AtomicUsize = AtomicUsize::new(0);
    let shared: Shared<u8> = Shared::new("local", &|| 1, &|_| count(&CLEANED));
    assert_eq!(format!("{shared:?}"), "Shared { label: \"local\", state: \"not made\", .. }");
    assert_eq!(*shared, 1);
    drop(shared);
    assert_eq!(CLEANED.load(SeqCst), 1);
    drop(Shared::<u8>::new("never asked for", &|| 1, &|_| count(&CLEANED)));
    assert_eq!(CLEANED.load(SeqCst), 1);
}

#[cfg(feature = "tokio")]
mod awaiting {
    use std::time::Duration;

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
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
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
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
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
    fn a_panic_where_it_awaits_is_told_as_any_other() {
        static SHARED: Shared<u8> = Shared::new_async("torn", &make, &async |_| ());
        async fn make() -> u8 {
            tokio::task::yield_now().await;
            panic!("out of rope");
        }
        let error = SHARED.try_get().expect_err("it panics");
        assert!(error.to_string().contains("it panicked: out of rope"), "{error}");
    }
}
