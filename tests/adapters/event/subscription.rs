//! Handlers that are called for what a channel or a stream yields.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use castoff::ResourceGuard;
use castoff::adapters::{Source, Streamed, TokioListener};
use futures_util::stream;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

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

/// Has two events delivered, and then the channel closed from the other side.
fn is_ended_by_the_end_of_its_channel<S: Source<Event = u32>>(
    source: S,
    feed: impl FnOnce() + Send + 'static,
) {
    alone(|| {
        let (runtime, (told, events)) = (runtime(), std::sync::mpsc::channel());
        let entered = runtime.enter();
        let guard = manager().adopt(TokioListener::spawn("orders", source, move |event| {
            told.send(event).unwrap();
            async {}
        }));
        drop(entered);
        feed();
        assert_eq!(events.iter().collect::<Vec<_>>(), [3, 4]);
        until("it to be over", || guard.is_over());
        ResourceGuard::close(guard).unwrap();
    });
}

#[test]
fn a_broadcast_that_is_closed_ends_it_after_what_was_sent_before() {
    let (sender, source) = broadcast::channel(16);
    is_ended_by_the_end_of_its_channel(source, move || {
        assert!(sender.send(3).is_ok() && sender.send(4).is_ok());
    });
}

#[test]
fn so_does_a_channel_with_a_bound() {
    let (sender, source) = mpsc::channel(1);
    is_ended_by_the_end_of_its_channel(source, move || {
        [3, 4].into_iter().for_each(|event| sender.blocking_send(event).unwrap());
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_what_it_has_lost_and_whether_it_hears() {
    alone(|| {
        let (listener, _witness) = Listening::make();
        assert_eq!(
            printed(listener),
            [
                "TokioListener { label: Label(\"counter\"), lost: 0, is_over: false, .. }",
                "TokioListener { label: Label(\"counter\"), lost: 0, is_over: true, .. }"
            ]
        );
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
