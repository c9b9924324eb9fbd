//! castoff's biased lock (`src/registry/biased.rs`, the file itself) under loom. What it stands on is here in loom's kind.

pub(crate) mod sync {
    use loom::sync::Mutex;
    pub(crate) use loom::sync::MutexGuard;

    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Lock<T> {
            Lock(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no model panics under the mutex")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    pub(crate) mod primitives {
        pub(crate) use loom::hint::spin_loop;
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

        /// Loom's knows no `const`.
        macro_rules! loom_local {
            ($(#[$attribute:meta])* static $name:ident: $type:ty = const $value:block;) => {
                loom::thread_local! { $(#[$attribute])* static $name: $type = $value; }
            };
        }
        pub(crate) use loom_local as thread_local;

        pub(crate) fn nap() {
            loom::thread::yield_now();
        }
    }
}

#[allow(dead_code)]
#[path = "../../../src/registry/biased.rs"]
pub(crate) mod biased;

pub(crate) mod registry {
    /// What the two sides have together, each of them has here. A planted bug leaves one of them without.
    pub(crate) mod fence {
        use loom::sync::atomic::{Ordering::SeqCst, fence};

        pub(crate) fn is_there() -> bool {
            true
        }

        pub(crate) fn light() {
            fence(SeqCst);
        }

        pub(crate) fn heavy() {
            if !cfg!(feature = "planted-bug") {
                fence(SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use loom::cell::UnsafeCell;
    use loom::thread;

    use crate::biased::Biased;

    /// Loom sees when two threads are here at once, and when one does not see what another has written.
    struct Counter(UnsafeCell<usize>);

    // SAFETY: `Biased` promises that one thread at a time has it; loom checks that.
    unsafe impl Send for Counter {}

    impl Counter {
        fn step(&mut self) {
            // SAFETY: as above.
            self.0.with_mut(|count| unsafe { *count += 1 });
        }

        fn read(&self) -> usize {
            // SAFETY: as above.
            self.0.with(|count| unsafe { *count })
        }
    }

    fn lock() -> &'static Biased<Counter> {
        Box::leak(Box::new(Biased::new(Counter(UnsafeCell::new(0)))))
    }

    /// Runs a model, and says how many interleavings it has.
    fn model(name: &str, run: impl Fn() + Sync + Send + 'static) {
        let times = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = times.clone();
        loom::model(move || {
            counted.fetch_add(1, Relaxed);
            run();
        });
        println!("{name}: {} interleavings", times.load(Relaxed));
    }

    #[test]
    fn an_owner_and_another() {
        model("an owner and another", || {
            let lock = lock();
            assert!(lock.own());
            let other = thread::spawn(move || {
                lock.lock().step();
                lock.lock().step();
            });
            lock.lock().step();
            lock.lock().step();
            other.join().expect("it only counts");
            assert_eq!(lock.lock().read(), 4);
        });
    }

    #[test]
    fn an_owner_that_gets_its_way_back_and_two_others() {
        model("an owner that gets its way back and two others", || {
            let lock = lock();
            assert!(lock.own());
            let others = [(); 2].map(|()| thread::spawn(move || lock.lock().step()));
            lock.lock().step();
            lock.lock().step();
            for other in others {
                other.join().expect("it only counts");
            }
            assert_eq!(lock.lock().read(), 4);
        });
    }

    #[test]
    fn an_owner_that_ends_and_the_next_one() {
        model("an owner that ends and the next one", || {
            let lock = lock();
            assert!(lock.own());
            let next = thread::spawn(move || {
                let owns = lock.own();
                lock.lock().step();
                if owns {
                    lock.disown();
                }
            });
            lock.lock().step();
            lock.disown();
            lock.lock().step();
            next.join().expect("it only counts");
            assert_eq!(lock.lock().read(), 3);
        });
    }

    #[test]
    fn one_that_tries_while_the_owner_comes_and_goes() {
        model("one that tries while the owner comes and goes", || {
            let lock = lock();
            assert!(lock.own());
            let other = thread::spawn(move || match lock.try_lock() {
                Some(mut held) => {
                    held.step();
                    1
                }
                None => 0,
            });
            lock.lock().step();
            lock.lock().step();
            let tried = other.join().expect("it only counts");
            assert_eq!(lock.lock().read(), 2 + tried);
        });
    }

    /// What the registry does with it: somebody is in a spot, and its cleanup runs outside of the lock.
    #[derive(Default)]
    struct Spot {
        taken: bool,
        /// It was still under way when somebody came, and whoever runs it has to come in and say when it has ended.
        moved: bool,
        ended: usize,
    }

    struct Shard {
        spot: Spot,
        /// What the cleanup does, which whoever sees that it has ended has to see, too.
        effect: &'static Counter,
    }

    // SAFETY: the effect is looked at where it has ended alone; loom checks that.
    unsafe impl Send for Shard {}

    const WHO: u64 = 7;

    fn shard() -> (&'static Biased<Shard>, &'static Counter) {
        let effect: &'static Counter = Box::leak(Box::new(Counter(UnsafeCell::new(0))));
        (Box::leak(Box::new(Biased::new(Shard { spot: Spot::default(), effect }))), effect)
    }

    /// As whoever comes by the lock does: the spot is nobody's after that.
    fn settle(lock: &'static Biased<Shard>) {
        let mut shard = lock.lock();
        let under_way = shard.take_under_way();
        if !std::mem::take(&mut shard.spot.taken) {
            return;
        }
        if under_way == 0 {
            shard.spot.ended += 1;
            assert_eq!(shard.effect.read(), 1);
        } else {
            shard.spot.moved = true;
        }
    }

    /// As a guard does that is dropped by the thread that made it.
    fn make_and_clean(lock: &'static Biased<Shard>, effect: &'static Counter) {
        let Some(mut shard) = lock.enter() else { return };
        shard.spot.taken = true;
        shard.begin(WHO);
        drop(shard);
        // SAFETY: one thread runs the cleanup; loom checks that.
        effect.0.with_mut(|count| unsafe { *count += 1 });
        if lock.is_done(WHO) {
            return;
        }
        settle(lock);
        let mut shard = lock.lock();
        if std::mem::take(&mut shard.spot.moved) {
            shard.spot.ended += 1;
        }
    }

    fn assert_ended_once(lock: &'static Biased<Shard>, effect: &'static Counter) {
        settle(lock);
        let shard = lock.lock();
        assert_eq!((shard.spot.ended, shard.spot.moved), (effect.read(), false));
    }

    #[test]
    fn a_cleanup_under_way_and_one_that_looks() {
        model("a cleanup under way and one that looks", || {
            let (lock, effect) = shard();
            assert!(lock.own());
            let other = thread::spawn(move || settle(lock));
            make_and_clean(lock, effect);
            other.join().expect("it only looks");
            assert_ended_once(lock, effect);
        });
    }

    #[test]
    fn a_cleanup_under_way_and_one_that_looks_twice() {
        model("a cleanup under way and one that looks twice", || {
            let (lock, effect) = shard();
            assert!(lock.own());
            let other = thread::spawn(move || {
                settle(lock);
                settle(lock);
            });
            make_and_clean(lock, effect);
            other.join().expect("it only looks");
            assert_ended_once(lock, effect);
        });
    }

    #[test]
    fn a_cleanup_under_way_and_two_that_look() {
        model("a cleanup under way and two that look", || {
            let (lock, effect) = shard();
            assert!(lock.own());
            let others = [(); 2].map(|()| thread::spawn(move || settle(lock)));
            make_and_clean(lock, effect);
            for other in others {
                other.join().expect("it only looks");
            }
            assert_ended_once(lock, effect);
        });
    }
}
