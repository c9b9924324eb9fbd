//! A pool that castoff has never heard of: it counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::*;
use crate::alone::until;
use crate::contract::{Case, Hangs, printed};

/// A pool that counts.
#[derive(Default)]
struct Desks {
    taken: AtomicUsize,
    closed: AtomicBool,
}

struct Seen(Arc<Desks>);

struct Office;

fn office() -> (ConnectionPool<Arc<Desks>>, Seen) {
    let desks = Arc::new(Desks::default());
    let lent = |desks: &Arc<Desks>| desks.taken.load(Ordering::Acquire);
    let pool = ConnectionPool::blocking("desks", Arc::clone(&desks), lent);
    (pool.closed_by(|desks| desks.closed.store(true, Ordering::Release)), Seen(desks))
}

impl Case for Office {
    type Adopted = ConnectionPool<Arc<Desks>>;
    type Witness = Seen;

    fn make() -> (Self::Adopted, Seen) {
        office()
    }

    fn is_over(seen: &Seen) -> bool {
        seen.0.closed.load(Ordering::Acquire) && Arc::strong_count(&seen.0) == 1
    }

    fn end_first(pool: &mut Self::Adopted, _: &Seen) {
        pool.handle().unwrap().closed.store(true, Ordering::Release);
    }
}

impl Hangs for Office {
    fn make_hanging() -> (Self::Adopted, Seen) {
        let (pool, seen) = office();
        seen.0.taken.store(1, Ordering::Release);
        (pool, seen)
    }

    fn after(seen: Seen) {
        until("the pool to be let go of", || Office::is_over(&seen));
    }
}

contract!(Office);

#[test]
fn who_has_a_handle_is_waited_for_although_nothing_is_lent() {
    alone(|| {
        let (manager, (pool, seen)) = (manager(), office());
        let guard = manager.adopt(pool);
        let handle = guard.handle().unwrap();
        let (tell, told) = mpsc::channel();
        let closing = thread::spawn(move || {
            tell.send(()).unwrap();
            ResourceGuard::close(guard)
        });
        told.recv().unwrap();
        until("the pool to be closed", || seen.0.closed.load(Ordering::Acquire));
        assert!(!closing.is_finished());
        drop(handle);
        closing.join().unwrap().unwrap();
    });
}

#[test]
fn given_up_it_says_how_many_are_out() {
    alone(|| {
        let (pool, seen) = office();
        let guard = manager().adopt(pool.grace(Duration::from_millis(20)));
        let kept = guard.handle().unwrap();
        kept.taken.store(2, Ordering::Release);
        let said = still_lent(guard);
        assert_eq!((said.lent, said.handles), (2, 1));
        let text = said.to_string();
        assert!(
            text.contains(
                "`desks` was closed 20.0ms ago, and still out are 2 of its connections and 1 of its"
            ),
            "{text}"
        );
        drop(kept);
        assert!(Office::is_over(&seen));
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_still_has_its_pool() {
    alone(|| {
        assert_eq!(
            printed(office().0),
            [
                "ConnectionPool { label: Label(\"desks\"), pool: held, .. }",
                "ConnectionPool { label: Label(\"desks\"), pool: gone, .. }"
            ]
        );
    });
}

#[test]
fn its_label_can_be_chosen_and_it_can_be_had_back() {
    alone(|| {
        let (pool, seen) = office();
        let pool = pool.labelled("quiet room");
        assert_eq!(&*castoff::Resource::label(&pool), "quiet room");
        let released = ResourceGuard::release(manager().adopt(pool));
        drop(released.into_inner().expect("it was not cleaned up"));
        assert_eq!(Arc::strong_count(&seen.0), 1);
        assert!(!Office::is_over(&seen), "nobody closed it");
    });
}
