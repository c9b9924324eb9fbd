//! Single files below the public API: who is next, and who is told.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use super::explore;
use crate::clock::Coarse;
use crate::exit::token::{self, ShutdownToken};
use crate::registry::queue::Queue;
use crate::registry::turns::{Turn, Turns};
use crate::stand_in::sync::{Condvar, Mutex};
use crate::stand_in::thread;

#[test]
fn one_turn_at_a_time_and_nothing_asked_for_is_lost() {
    explore("three want a turn, and one asks without waiting", || {
        let (queue, inside, done) =
            (Arc::new(Queue::default()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let others = [(); 2].map(|()| {
            let (queue, inside, done) = (queue.clone(), inside.clone(), done.clone());
            thread::spawn(move || {
                let turn = queue.enter(None).expect("without a limit it waits");
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two turns at once");
                done.fetch_add(1, SeqCst);
                inside.fetch_sub(1, SeqCst);
                drop(turn);
            })
        });
        let asked = done.clone();
        let turn = queue.enter_or_ask(Box::new(move || {
            asked.fetch_add(1, SeqCst);
        }));
        if let Some(turn) = turn {
            assert_eq!(inside.load(SeqCst), 0, "two turns at once");
            done.fetch_add(1, SeqCst);
            drop(turn);
        }
        for other in others {
            other.join().expect("it only takes its turn");
        }
        assert_eq!(done.load(SeqCst), 3);
        assert!(!queue.may_be_busy());
    });
}

#[test]
fn turns_of_registrations_go_up() {
    explore("a registration after another has the greater turn", || {
        let turns = Arc::new(Turns::new());
        let now = Coarse::now();
        let mut own = Turn::default();
        let first = turns.take(1, now, &mut own);
        let others = [2, 3].map(|who| {
            let turns = turns.clone();
            thread::spawn(move || {
                let mut own = Turn::default();
                let one = turns.take(who, now, &mut own);
                let two = turns.take(who, now, &mut own);
                assert!(first < one && one <= two);
                two
            })
        });
        let [two, three] = others.map(|other| other.join().expect("it only counts"));
        assert!(turns.take(1, now, &mut own) > two.max(three));
    });
}

/// Counts how often it is woken, and tells who blocks.
#[derive(Default)]
struct Woken {
    times: Mutex<usize>,
    more: Condvar,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.times.lock().expect("nobody panics here") += 1;
        self.more.notify_all();
    }
}

#[test]
fn every_token_hears_of_the_end() {
    explore("one awaits a token, one blocks on it, one fires", || {
        let awaits = thread::spawn(|| {
            let mut waits = pin!(ShutdownToken::new());
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            let mut context = Context::from_waker(&waker);
            let mut seen = 0;
            while waits.as_mut().poll(&mut context).is_pending() {
                let mut times = woken.times.lock().expect("nobody panics here");
                while *times == seen {
                    times = woken.more.wait(times).expect("nobody panics here");
                }
                seen = *times;
            }
            assert!(seen <= 1, "woken once at most");
        });
        let blocks = thread::spawn(|| ShutdownToken::new().wait());
        token::fire();
        awaits.join().expect("it only waits");
        blocks.join().expect("it only waits");
        assert!(ShutdownToken::new().is_requested());
    });
}

#[test]
fn a_token_that_is_dropped_leaves_no_waker() {
    explore("a token is dropped while it is fired", || {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let dropped = thread::spawn(move || {
            let mut polled = Box::pin(ShutdownToken::new());
            let first: Poll<()> = polled.as_mut().poll(&mut Context::from_waker(&waker));
            drop(polled);
            first.is_ready()
        });
        token::fire();
        let ready = dropped.join().expect("it only polls");
        assert!(!ready || *woken.times.lock().expect("nobody panics here") == 0);
        assert_eq!(Arc::strong_count(&woken), 1, "a waker was left behind");
    });
}
