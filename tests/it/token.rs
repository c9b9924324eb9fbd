//! A token of a process that nothing has asked to end: it fires for nobody, and who waits no more leaves nothing behind.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use castoff::{ResourceManager, ShutdownToken};

/// Is not woken: nobody asks this process to end.
struct Asleep;

impl Wake for Asleep {
    fn wake(self: Arc<Self>) {
        panic!("the token has fired");
    }
}

fn token() -> ShutdownToken {
    ResourceManager::global().shutdown_requested()
}

#[track_caller]
fn assert_waits(token: &mut ShutdownToken, waker: &Arc<Asleep>) {
    let waker = Waker::from(waker.clone());
    assert!(Pin::new(token).poll(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn it_is_not_requested_and_who_waits_for_a_time_gets_no_for_an_answer() {
    assert!(!token().is_requested());
    assert!(!token().wait_timeout(Duration::ZERO));
    assert!(!token().wait_timeout(Duration::from_millis(5)));
}

#[test]
fn it_keeps_the_last_waker_alone_and_drops_that_with_itself() {
    let (first, second) = (Arc::new(Asleep), Arc::new(Asleep));
    let mut waiting = token();
    assert_waits(&mut waiting, &first);
    assert_eq!(Arc::strong_count(&first), 2);
    assert_waits(&mut waiting, &second);
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2));
    drop(waiting);
    assert_eq!(Arc::strong_count(&second), 1);
}

#[test]
fn its_clone_waits_for_itself() {
    let (own, other) = (Arc::new(Asleep), Arc::new(Asleep));
    let mut waiting = token();
    assert_waits(&mut waiting, &own);
    let mut clone = waiting.clone();
    assert_eq!(Arc::strong_count(&own), 2, "the waker is not cloned with it");
    assert_waits(&mut clone, &other);
    drop(clone);
    assert_eq!((Arc::strong_count(&own), Arc::strong_count(&other)), (2, 1));
}

#[cfg(feature = "tokio")]
#[test]
fn to_cancel_one_of_its_cancellation_tokens_cancels_no_other_and_fires_nothing() {
    let token = token();
    let (one, other) = (token.cancellation_token(), token.cancellation_token());
    one.cancel();
    assert!(one.is_cancelled() && !other.is_cancelled() && !token.is_requested());
}
