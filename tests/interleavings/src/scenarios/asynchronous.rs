//! Cleanups that await: handed over by drops, awaited, awaited no more. castoff's reactor is the real one, over
//! shuttle-tokio's runtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::{Record, explore, manager};
use crate::cleanup::done;
use crate::guard::ResourceGuard;
use crate::stand_in::thread;
use crate::stand_in::tokio::{enter, time};

/// No time passes until the end: then all that waits for it has waited for long enough, and the reactor ends.
fn with_reactor(run: impl FnOnce()) {
    time::clear_triggers();
    run();
    time::trigger_timeouts(|_| true);
}

/// A cleanup that is polled twice.
fn slow(record: &Record, name: &'static str) -> impl FnOnce() -> Slow + Send + 'static {
    let cleanup = record.cleanup(name);
    move || Slow { cleanup: Some(Box::new(cleanup)), polled: false }
}

struct Slow {
    cleanup: Option<Box<dyn FnOnce() + Send>>,
    polled: bool,
}

impl Future for Slow {
    type Output = Result<(), std::io::Error>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> std::task::Poll<Self::Output> {
        if !std::mem::replace(&mut self.polled, true) {
            context.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        self.cleanup.take().into_iter().for_each(|cleanup| cleanup());
        std::task::Poll::Ready(Ok(()))
    }
}

#[test]
fn a_drop_hands_over_while_a_teardown_comes() {
    explore("a drop hands over while a teardown comes", || {
        with_reactor(|| {
            let (manager, record) = (manager(), Record::new());
            let guard = manager.guard_async("session", slow(&record, "session"));
            let other = thread::spawn(move || {
                let _inside = enter();
                drop(guard);
            });
            let report = manager.cleanup();
            other.join().expect("it only drops");
            record.once_each(&["session"]);
            assert!(report.failed() == 0 && report.skipped().is_empty(), "{report}");
            assert_eq!(manager.resource_count(), 0);
        });
    });
}

#[test]
fn a_shutdown_waits_for_what_was_handed_over() {
    explore("a shutdown waits for what was handed over", || {
        with_reactor(|| {
            let (manager, record) = (manager(), Record::new());
            let guard = manager.guard_async("session", slow(&record, "session"));
            {
                let _inside = enter();
                drop(guard);
            }
            let _ = manager.shutdown();
            record.once_each(&["session"]);
            assert_eq!(manager.resource_count(), 0);
        });
    });
}

#[test]
fn what_was_handed_over_goes_before_what_it_needs() {
    explore("what was handed over goes before what it needs", || {
        with_reactor(|| {
            let (manager, record) = (manager(), Record::new());
            let pool = manager.guard("pool", record.cleanup("pool"));
            let session = manager.resource("session").depends_on(&pool).guard_async(slow(&record, "session"));
            let session = session.expect("the pool is live");
            let other = thread::spawn(move || drop(pool));
            {
                let _inside = enter();
                drop(session);
            }
            other.join().expect("it only drops");
            let _ = manager.shutdown();
            record.once_each(&["pool", "session"]);
            record.before("session", "pool");
        });
    });
}

#[test]
fn a_close_that_is_awaited_no_more_goes_on() {
    explore("a close is awaited no more while a teardown comes", || {
        with_reactor(|| {
            let (manager, record) = (manager(), Record::new());
            let guard = manager.guard_async("session", slow(&record, "session"));
            let other = thread::spawn(move || {
                let _inside = enter();
                let mut close = pin!(ResourceGuard::close_async(guard));
                let _ = close.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            });
            let _ = manager.shutdown();
            other.join().expect("it only polls");
            // Its drop came after the shutdown, or before it: it ends.
            let _ = manager.cleanup();
            record.once_each(&["session"]);
            assert_eq!(manager.resource_count(), 0);
        });
    });
}

#[test]
fn two_async_cleanups_of_a_teardown_fly_at_once() {
    explore("two flights of a teardown, and a drop of one of them", || {
        with_reactor(|| {
            let (manager, record) = (manager(), Record::new());
            let one = manager.guard_async("one", slow(&record, "one"));
            let _two = manager.guard_async("two", slow(&record, "two"));
            let other = thread::spawn(move || drop(one));
            let report = manager.teardown().concurrency(2).run();
            other.join().expect("it only drops");
            record.once_each(&["one", "two"]);
            assert!(report.skipped().is_empty(), "{report}");
        });
    });
}

#[test]
fn asynchronous_cleanups_may_end_at_once() {
    explore("two asynchronous cleanups that end at once are dropped", || {
        with_reactor(|| {
            let manager = manager();
            let one = manager.guard_async("one", || async { done() });
            let two = manager.guard_async("two", || async { done() });
            let other = thread::spawn(move || {
                let _inside = enter();
                drop(one);
            });
            drop(two);
            other.join().expect("it only drops");
            let _ = manager.shutdown();
            assert_eq!(manager.resource_count(), 0);
        });
    });
}
