//! The lock by itself: what each way in does, on real threads.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// One that the calling thread owns. A thread owns one at most, and each test has a thread of its own.
fn owned(value: u64) -> &'static Biased<u64> {
    let lock: &'static Biased<u64> = Box::leak(Box::new(Biased::new(value)));
    assert!(lock.own());
    lock
}

/// Whether the owner, which calls this, is let in without the mutex.
fn is_let_in(lock: &Biased<u64>) -> bool {
    lock.enter().is_some()
}

fn come_often(lock: &Biased<u64>) {
    (0..=MOST_PATIENCE).for_each(|_| *lock.lock() += 1);
}

#[test]
fn one_thread_owns_a_lock_until_it_gives_it_up() {
    let lock = owned(0);
    assert!(!thread::spawn(|| lock.own()).join().expect("it only asks"));
    lock.disown();
    assert!(!is_let_in(lock));
    let other = move || {
        let owns = lock.own();
        lock.disown();
        owns
    };
    assert!(thread::spawn(other).join().expect("it only asks"));
}

#[test]
fn a_thread_owns_one_lock_at_most() {
    owned(0);
    let other: &'static Biased<u64> = Box::leak(Box::new(Biased::new(0)));
    assert!(!other.own());
}

#[test]
fn the_owner_has_its_way_until_another_comes_and_again_when_it_has_come_often_enough_alone() {
    let lock = owned(0);
    assert_eq!(is_let_in(lock), fence::is_there());
    thread::spawn(|| *lock.lock() += 1).join().expect("it only counts");
    assert!(!is_let_in(lock));
    come_often(lock);
    assert_eq!(is_let_in(lock), fence::is_there());
    assert_eq!(*lock.lock(), u64::from(MOST_PATIENCE) + 2);
}

#[test]
fn who_tries_while_the_owner_is_inside_is_turned_away_and_so_is_the_owner_itself() {
    let lock = owned(0);
    let held = lock.lock();
    assert!(lock.try_lock().is_none());
    assert!(thread::spawn(|| lock.try_lock().is_none()).join().expect("it only asks"));
    drop(held);
    assert!(lock.try_lock().is_some());
    assert!(thread::spawn(|| lock.try_lock().is_some()).join().expect("it only asks"));
}

#[test]
fn an_owner_that_is_gone_on_its_way_in_is_not_waited_for() {
    let lock: &'static Biased<u64> = Box::leak(Box::new(Biased::new(0)));
    assert!(thread::spawn(|| lock.own()).join().expect("it only asks"));
    *lock.lock() += 1;
    // As a fork finds it, between its store and its look.
    lock.inside.store(1, Relaxed);
    assert!(lock.try_lock().is_none());
    lock.outlive();
    assert!(lock.own());
    *lock.lock() += 1;
    assert_eq!(*lock.lock(), 2);
}

#[test]
fn a_panic_while_the_owner_is_inside_lets_go() {
    let lock = owned(0);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = lock.lock();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panics.is_err());
    assert!(lock.try_lock().is_some());
}

#[test]
fn owners_that_end_leave_a_lock_as_good_as_new() {
    let lock: &'static Biased<u64> = Box::leak(Box::new(Biased::new(0)));
    for _ in 0..100 {
        let owner = move || {
            let owns = lock.own();
            (0..100).for_each(|_| *lock.lock() += 1);
            lock.disown();
            owns
        };
        assert!(thread::spawn(owner).join().expect("it only counts"));
    }
    assert_eq!(*lock.lock(), 10_000);
}

/// Two words that everybody writes one after the other: whoever sees them differ was not alone.
#[derive(Default)]
struct Twice(AtomicU64, AtomicU64);

impl Twice {
    fn step(&mut self, seen: &AtomicU64) {
        let now = self.0.load(Relaxed);
        seen.fetch_add(u64::from(self.1.load(Relaxed) != now), Relaxed);
        self.0.store(now + 1, Relaxed);
        self.1.store(now + 1, Relaxed);
    }
}

#[test]
fn an_owner_and_others_that_come_at_random_are_never_inside_together() {
    static DIFFERED: AtomicU64 = AtomicU64::new(0);
    const OTHERS: u64 = 2;
    const TURNS: u64 = 3_000;
    let lock: &'static Biased<Twice> = Box::leak(Box::new(Biased::new(Twice::default())));
    let start: &'static Barrier = Box::leak(Box::new(Barrier::new(OTHERS as usize + 1)));
    let others: Vec<_> = (0..OTHERS)
        .map(|other| {
            thread::spawn(move || {
                start.wait();
                for turn in 0..TURNS {
                    // Long enough apart that the owner gets its way back now and then.
                    let until = Instant::now() + Duration::from_micros((turn * 7 + other * 13) % 60);
                    while Instant::now() < until {
                        std::hint::spin_loop();
                    }
                    lock.lock().step(&DIFFERED);
                }
            })
        })
        .collect();
    assert!(lock.own());
    start.wait();
    let mut own = 0;
    while others.iter().any(|other| !other.is_finished()) {
        lock.lock().step(&DIFFERED);
        own += 1;
    }
    others.into_iter().for_each(|other| other.join().expect("it only counts"));
    assert_eq!(DIFFERED.load(Relaxed), 0);
    assert_eq!(lock.lock().0.load(Relaxed), own + OTHERS * TURNS);
}

#[test]
fn each_time_another_comes_the_owner_waits_twice_as_long_for_its_way() {
    if !fence::is_there() {
        return;
    }
    let lock = owned(0);
    for patience in [2 * PATIENCE, 4 * PATIENCE] {
        thread::spawn(|| *lock.lock() += 1).join().expect("it only counts");
        for _ in 1..patience {
            *lock.lock() += 1;
            assert!(!is_let_in(lock));
        }
        *lock.lock() += 1;
        assert!(is_let_in(lock));
    }
}

#[test]
fn whoever_comes_in_between_begins_the_owners_wait_anew() {
    if !fence::is_there() {
        return;
    }
    let lock = owned(0);
    let another = || thread::spawn(|| *lock.lock() += 1).join().expect("it only counts");
    another();
    for _ in 0..3 {
        (1..2 * PATIENCE).for_each(|_| *lock.lock() += 1);
        assert!(!is_let_in(lock));
        // Nothing is revoked: it has not got its way back, and waits no longer than before.
        another();
    }
    (0..2 * PATIENCE).for_each(|_| *lock.lock() += 1);
    assert!(is_let_in(lock));
}

#[test]
fn a_lock_is_wanted_while_somebody_waits_for_it() {
    let lock: &'static Biased<u64> = Box::leak(Box::new(Biased::new(0)));
    let held = lock.lock();
    assert!(!lock.is_wanted());
    let waiting = thread::spawn(|| *lock.lock() += 1);
    let end = Instant::now() + Duration::from_secs(30);
    while !lock.is_wanted() {
        assert!(Instant::now() < end, "nobody waits");
        thread::yield_now();
    }
    drop(held);
    waiting.join().expect("it only counts");
    assert!(!lock.is_wanted());
}
