//! Streams that end when they are cleaned.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use castoff::adapters::Subscribed;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast;

use crate::alone::alone;
use crate::contract::{Case, manager, printed};
use crate::support::runtime;

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
fn what_is_printed_of_it_is_its_label_and_whether_somebody_polls_it() {
    alone(|| {
        assert_eq!(
            printed(Streaming::make().0),
            [
                "Subscribed { label: Label(\"events\"), slot: Slot { lent: false, closed: false, .. } }",
                "Subscribed { label: Label(\"events\"), slot: Slot { lent: false, closed: true, .. } }"
            ]
        );
    });
}

#[test]
fn who_waits_for_the_next_item_is_told_that_there_is_none() {
    alone(|| {
        let runtime = runtime();
        let manager = manager();
        let mut guard = manager.adopt(Subscribed::new("silence", stream::pending::<()>()));
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = runtime.spawn(async move {
            let mut next = std::pin::pin!(guard.next());
            std::future::poll_fn(|cx| {
                let polled = next.as_mut().poll(cx);
                tell.send(polled.is_pending()).unwrap_or(());
                polled
            })
            .await
        });
        assert_eq!(told.recv(), Ok(true), "it waits");
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
