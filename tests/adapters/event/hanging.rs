//! A stream that blocks whoever polls it.

use std::sync::mpsc;
use std::task::Poll;

use castoff::adapters::Subscribed;
use futures_util::{StreamExt, stream};

use crate::alone::alone;
use crate::contract::{TIMEOUT, manager};
use crate::support::runtime;

#[test]
fn a_poll_that_hangs_is_waited_for_until_the_cleanup_is_given_up() {
    alone(|| {
        let (runtime, manager) = (runtime(), manager());
        let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<u32>());
        let stuck = stream::poll_fn(move |_| {
            begin.send(()).unwrap();
            Poll::Ready(ended.recv().ok())
        });
        let stuck = Subscribed::new("stuck", stuck);
        let mut guard = manager.resource("stuck").timeout(TIMEOUT).adopt(stuck).unwrap();
        let waiting = runtime.spawn(async move { guard.next().await });
        begun.recv().unwrap();
        let report = manager.cleanup();
        assert_eq!(report.timed_out(), 1, "{report}");
        end.send(7).unwrap();
        assert_eq!(runtime.block_on(waiting).unwrap(), None, "nothing comes after the cleanup has begun");
        drop(end);
    });
}
