//! Subscriptions of asynchronous code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use castoff::ResourceGuard;
use castoff::adapters::{Streamed, Subscribed, TokioListener};
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager};
use crate::support::runtime;

mod listener {
    use super::*;

    struct Witness {
        sender: broadcast::Sender<u32>,
        seen: Arc<AtomicUsize>,
        runtime: Runtime,
    }

    impl Witness {
        fn new() -> Witness {
            Witness { sender: broadcast::channel(16).0, seen: Arc::default(), runtime: runtime() }
        }

        fn seen(&self) -> usize {
            self.seen.load(Ordering::SeqCst)
        }
    }

    struct Listening;

    impl Case for Listening {
        type Adopted = TokioListener;
        type Witness = Witness;

        fn make() -> (TokioListener, Witness) {
            let witness = Witness::new();
            let _entered = witness.runtime.enter();
            let seen = Arc::clone(&witness.seen);
            let count = move |_| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            };
            let listener = TokioListener::spawn("counter", witness.sender.subscribe(), count);
            witness.sender.send(1).unwrap();
            until("a delivery", || witness.seen() == 1);
            drop(_entered);
            (listener, witness)
        }

        fn is_over(witness: &Witness) -> bool {
            // Unsubscribed, and its closure dropped: there is nobody left to count.
            witness.sender.receiver_count() == 0
                && witness.sender.send(2).is_err()
                && Arc::strong_count(&witness.seen) == 1
                && witness.seen() == 1
        }

        fn end_first(listener: &mut TokioListener, witness: &Witness) {
            let _entered = witness.runtime.enter();
            *listener = TokioListener::spawn("other", Streamed::new(stream::empty::<()>()), |()| async {});
            until("its task to end", || witness.sender.receiver_count() == 0);
        }
    }

    impl Hangs for Listening {
        fn make_hanging() -> (TokioListener, Witness) {
            let witness = Witness::new();
            let _entered = witness.runtime.enter();
            let seen = Arc::clone(&witness.seen);
            let hang = move |_| {
                seen.fetch_add(1, Ordering::SeqCst);
                std::future::pending()
            };
            let listener = TokioListener::spawn("stuck", witness.sender.subscribe(), hang);
            witness.sender.send(1).unwrap();
            until("the handler to hang", || witness.seen() == 1);
            drop(_entered);
            (listener, witness)
        }

        fn after(witness: Witness) {
            until("the task to be aborted", || Listening::is_over(&witness));
        }
    }

    contract!(Listening);

    #[test]
    fn what_came_too_fast_is_counted() {
        alone(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (sender, source) = broadcast::channel(2);
                (0..5).for_each(|event| assert!(sender.send(event).is_ok()));
                let (told, mut events) = mpsc::unbounded_channel();
                let listener = TokioListener::spawn("slow", source, move |event: u32| {
                    told.send(event).unwrap();
                    async {}
                });
                let guard = manager().adopt(listener);
                assert_eq!((events.recv().await, events.recv().await), (Some(3), Some(4)));
                assert_eq!(guard.lost(), 3);
                ResourceGuard::close_async(guard).await.unwrap();
            });
        });
    }

    #[test]
    fn what_is_in_the_channel_at_the_end_is_not_delivered() {
        alone(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (manager, (sender, source)) = (manager(), mpsc::unbounded_channel());
                let (told, mut events) = mpsc::unbounded_channel();
                let gate = Arc::new(tokio::sync::Semaphore::new(0));
                let there = Arc::clone(&gate);
                let guard = manager.adopt(TokioListener::spawn("queue", source, move |event: u32| {
                    told.send(event).unwrap();
                    let gate = Arc::clone(&there);
                    async move { gate.acquire().await.unwrap().forget() }
                }));
                (0..3).for_each(|event| sender.send(event).unwrap());
                assert_eq!(events.recv().await, Some(0));
                // With the first in hand it is told to end, and only then let go.
                let cleaning = tokio::spawn(async move { manager.teardown().run_async().await });
                while !guard.is_over() {
                    tokio::task::yield_now().await;
                }
                gate.add_permits(3);
                assert!(cleaning.await.unwrap().is_success());
                assert_eq!(events.recv().await, None);
                sender.send(3).unwrap_err();
            });
        });
    }

    #[test]
    fn a_watch_tells_its_changes_and_its_end_ends_the_listener() {
        alone(|| {
            let runtime = runtime();
            let (sender, source) = watch::channel("warn");
            let (told, events) = std::sync::mpsc::channel();
            let entered = runtime.enter();
            let guard = manager().adopt(TokioListener::spawn("level", source, move |level| {
                told.send(level).unwrap();
                async {}
            }));
            drop(entered);
            sender.send("debug").unwrap();
            assert_eq!(events.recv(), Ok("debug"));
            drop(sender);
            until("it to be over", || guard.is_over());
            ResourceGuard::close(guard).unwrap();
        });
    }
}

mod subscribed {
    use super::*;

    struct Streaming;

    impl Case for Streaming {
        type Adopted = Subscribed<tokio_stream_of::Events>;
        type Witness = broadcast::Sender<u32>;

        fn make() -> (Self::Adopted, broadcast::Sender<u32>) {
            let (sender, receiver) = broadcast::channel(16);
            (Subscribed::new("events", tokio_stream_of::Events(receiver)), sender)
        }

        fn is_over(sender: &broadcast::Sender<u32>) -> bool {
            sender.receiver_count() == 0
        }

        fn end_first(subscribed: &mut Self::Adopted, _: &broadcast::Sender<u32>) {
            *subscribed = Streaming::make().0;
        }
    }

    /// A stream of one's own over a receiver.
    mod tokio_stream_of {
        use std::pin::Pin;
        use std::task::{Context, Poll};

        use tokio::sync::broadcast::Receiver;

        pub(super) struct Events(pub(super) Receiver<u32>);

        impl futures_util::Stream for Events {
            type Item = u32;
            fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
                let receive = std::pin::pin!(self.0.recv());
                receive.poll(cx).map(Result::ok)
            }
        }
    }

    contract!(Streaming, never hangs);

    #[test]
    fn who_waits_for_the_next_item_is_told_that_there_is_none() {
        alone(|| {
            let runtime = runtime();
            let manager = manager();
            let mut guard = manager.adopt(Subscribed::new("silence", stream::pending::<()>()));
            let waiting = runtime.spawn(async move { guard.next().await });
            // Whether it waits already or comes too late, it gets the same.
            std::thread::sleep(Duration::from_millis(5));
            assert!(manager.cleanup().is_success());
            assert_eq!(runtime.block_on(waiting).unwrap(), None);
        });
    }

    #[test]
    fn a_stream_that_is_polled_again_and_again_is_not_woken_by_itself() {
        alone(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let polls = Arc::new(AtomicUsize::new(0));
                let count = Arc::clone(&polls);
                let silent = stream::poll_fn(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                    std::task::Poll::<Option<()>>::Pending
                });
                let mut guard = manager().adopt(Subscribed::new("silence", silent));
                for _ in 0..3 {
                    let next = tokio::time::timeout(Duration::from_millis(5), guard.next()).await;
                    next.unwrap_err();
                }
                assert!(polls.load(Ordering::SeqCst) <= 6, "{polls:?} polls");
            });
        });
    }

    #[test]
    fn nothing_comes_after_the_cleanup() {
        alone(|| {
            let (runtime, manager) = (runtime(), manager());
            let mut guard = manager.adopt(Subscribed::new("numbers", stream::repeat(7)));
            runtime.block_on(async {
                assert_eq!(guard.next().await, Some(7));
                assert!(manager.teardown().run_async().await.is_success());
                assert_eq!(guard.next().await, None);
            });
        });
    }
}
