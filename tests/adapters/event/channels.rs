//! Channels of other crates: whatever has a stream of its own needs no adapter of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use castoff::adapters::{Streamed, Subscribed, TokioListener};
use futures_util::StreamExt;

use crate::alone::{alone, until};
use crate::contract::{Case, manager};
use crate::support::runtime;

/// What the two crates' channels have in common.
trait Channel: Send + 'static {
    type Stream: futures_util::Stream<Item = u32> + Send + 'static;

    fn new() -> (Self, Self::Stream)
    where
        Self: Sized;

    fn send(&self, event: u32);

    /// How many are subscribed.
    fn receivers(&self) -> usize;
}

struct Flume(flume::Sender<u32>);

impl Channel for Flume {
    type Stream = flume::r#async::RecvStream<'static, u32>;

    fn new() -> (Flume, Self::Stream) {
        let (sender, receiver) = flume::unbounded();
        (Flume(sender), receiver.into_stream())
    }

    fn send(&self, event: u32) {
        self.0.send(event).unwrap();
    }

    fn receivers(&self) -> usize {
        self.0.receiver_count()
    }
}

struct Broadcast(async_broadcast::Sender<u32>);

impl Channel for Broadcast {
    type Stream = async_broadcast::Receiver<u32>;

    fn new() -> (Broadcast, Self::Stream) {
        let (sender, receiver) = async_broadcast::broadcast(16);
        (Broadcast(sender), receiver)
    }

    fn send(&self, event: u32) {
        self.0.try_broadcast(event).unwrap();
    }

    fn receivers(&self) -> usize {
        self.0.receiver_count()
    }
}

struct Listening<C>(std::marker::PhantomData<C>);

struct Witness<C> {
    channel: C,
    seen: Arc<AtomicUsize>,
    runtime: tokio::runtime::Runtime,
}

impl<C: Channel> Case for Listening<C> {
    type Adopted = TokioListener;
    type Witness = Witness<C>;

    fn make() -> (TokioListener, Witness<C>) {
        let ((channel, stream), runtime) = (C::new(), runtime());
        let seen = Arc::new(AtomicUsize::new(0));
        let listener = {
            let (_entered, seen) = (runtime.enter(), Arc::clone(&seen));
            TokioListener::spawn("listener", Streamed::new(stream), move |event| {
                seen.fetch_add(event as usize, Ordering::SeqCst);
                async {}
            })
        };
        channel.send(7);
        until("the event to be seen", || seen.load(Ordering::SeqCst) == 7);
        (listener, Witness { channel, seen, runtime })
    }

    fn is_over(witness: &Witness<C>) -> bool {
        witness.channel.receivers() == 0 && Arc::strong_count(&witness.seen) == 1
    }

    fn end_first(listener: &mut TokioListener, witness: &Witness<C>) {
        let _entered = witness.runtime.enter();
        *listener =
            TokioListener::spawn("ended", Streamed::new(futures_util::stream::empty()), |(): ()| async {});
        until("the handler to be gone", || Self::is_over(witness));
    }
}

fn a_subscription_ends_and_unsubscribes<C: Channel>() {
    let (manager, (channel, stream)) = (manager(), C::new());
    let mut subscribed = manager.adopt(Subscribed::new("prices", stream));
    runtime().block_on(async {
        channel.send(3);
        assert_eq!(subscribed.next().await, Some(3));
        assert!(manager.cleanup().is_success());
        assert_eq!(subscribed.next().await, None);
    });
    assert_eq!(channel.receivers(), 0);
}

mod of_flume {
    use super::*;

    contract!(Listening<Flume>, never hangs);

    #[test]
    fn a_subscription_ends() {
        alone(a_subscription_ends_and_unsubscribes::<Flume>);
    }
}

mod of_async_broadcast {
    use super::*;

    contract!(Listening<Broadcast>, never hangs);

    #[test]
    fn a_subscription_ends() {
        alone(a_subscription_ends_and_unsubscribes::<Broadcast>);
    }
}
