//! Timers on a thread of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use castoff::adapters::{Tick, Timer};
use castoff::{ResourceGuard, ResourceManager};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

const MS: Duration = Duration::from_millis(1);

/// Counts ticks, and lets nobody count any more once the witness has looked.
#[derive(Clone, Default)]
struct Ticks(Arc<AtomicUsize>);

impl Ticks {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn wait_for(&self, count: usize) {
        until("the timer to tick", || self.count() >= count);
    }
}

/// The closure is dropped with the timer's thread: nothing can count after that.
fn nobody_ticks(ticks: &Ticks) -> bool {
    Arc::strong_count(&ticks.0) == 1
}

mod interval {
    use super::*;

    struct Every;

    impl Case for Every {
        type Adopted = Timer;
        type Witness = Ticks;

        fn make() -> (Timer, Ticks) {
            let ticks = Ticks::default();
            let there = ticks.clone();
            let timer = Timer::every(MS, move |_| there.add()).unwrap();
            ticks.wait_for(2);
            (timer, ticks)
        }

        fn is_over(ticks: &Ticks) -> bool {
            nobody_ticks(ticks)
        }

        fn end_first(timer: &mut Timer, ticks: &Ticks) {
            drop(std::mem::replace(timer, Timer::immediate(|| ()).unwrap()));
            until("its thread to end", || nobody_ticks(ticks));
        }
    }

    /// A tick that hangs until it is let go.
    struct Stuck {
        ticks: Ticks,
        release: Sender<()>,
    }

    impl Hangs for Every {
        fn make_hanging() -> (Timer, Self::Witness) {
            let ticks = Ticks::default();
            let there = ticks.clone();
            let (release, released) = mpsc::channel::<()>();
            RELEASE.lock().unwrap().replace(release);
            let timer = Timer::every(MS, move |_| {
                there.add();
                released.recv().ok();
            });
            ticks.wait_for(1);
            (timer.unwrap(), ticks)
        }

        fn after(ticks: Ticks) {
            let stuck = Stuck { ticks, release: RELEASE.lock().unwrap().take().unwrap() };
            assert_eq!(stuck.ticks.count(), 1);
            drop(stuck.release);
            until("its thread to end", || nobody_ticks(&stuck.ticks));
            assert_eq!(stuck.ticks.count(), 1, "it ticked after it was given up");
        }
    }

    static RELEASE: Mutex<Option<Sender<()>>> = Mutex::new(None);

    contract!(Every);

    #[test]
    fn no_tick_begins_once_the_cleanup_has_returned() {
        alone(|| {
            for _ in 0..50 {
                let manager = manager();
                let ticks = Ticks::default();
                let there = ticks.clone();
                let guard = manager.adopt(Timer::every(Duration::ZERO, move |_| there.add()).unwrap());
                ticks.wait_for(1);
                assert!(manager.cleanup().is_success());
                let then = ticks.count();
                assert!(nobody_ticks(&ticks) && guard.is_over());
                assert_eq!(ticks.count(), then);
            }
        });
    }

    #[test]
    fn it_ticks_at_its_period_and_says_what_it_missed() {
        alone(|| {
            let (told, ticks) = mpsc::channel();
            let mut slow = true;
            let guard = manager().adopt(
                Timer::every(10 * MS, move |tick| {
                    told.send(tick).unwrap();
                    if std::mem::take(&mut slow) {
                        thread::sleep(35 * MS);
                    }
                })
                .unwrap(),
            );
            let (first, second): (Tick, Tick) = (ticks.recv().unwrap(), ticks.recv().unwrap());
            ResourceGuard::close(guard).unwrap();
            assert_eq!((first.number, second.number), (1, 2));
            assert!(first.at >= 10 * MS && second.at >= first.at + 35 * MS, "{first:?} {second:?}");
            // Due at 20, 30 and 40 at least, counted from the first: the last of them is this one.
            assert!(second.missed >= 2, "{second:?}");
        });
    }

    #[test]
    fn a_tick_may_end_its_own_timer() {
        alone(|| {
            let (manager, ticks) = (manager(), Ticks::default());
            let (hand_over, handed_over) = mpsc::channel();
            let timer = Timer::every(MS, self_ending(ticks.clone(), handed_over)).unwrap();
            hand_over.send(manager.adopt(timer)).unwrap();
            until("the timer to be over", || nobody_ticks(&ticks));
            assert_eq!(ticks.count(), 1);
            assert_eq!(manager.stats().cleaned, 1);
        });
    }

    fn self_ending(ticks: Ticks, guard: Receiver<ResourceGuard<Timer>>) -> impl FnMut(Tick) + Send {
        move |_| {
            ticks.add();
            ResourceGuard::close(guard.recv().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_closure_that_panicked_is_told_by_the_cleanup() {
        alone(|| {
            let guard = manager().adopt(Timer::every(MS, |_| panic!("out of ink")).unwrap());
            until("it to be over", || guard.is_over());
            let error = ResourceGuard::close(guard).unwrap_err();
            assert!(error.to_string().contains("the timer's closure panicked: out of ink"), "{error}");
        });
    }

    #[test]
    fn frames_come_at_their_rate() {
        alone(|| {
            let (told, frames) = mpsc::channel();
            let guard = manager().adopt(
                Timer::frames(100, move |frame| {
                    told.send(frame).ok();
                })
                .unwrap(),
            );
            let third = frames.iter().nth(2).unwrap();
            assert!(third.at >= 30 * MS, "{third:?}");
            assert_eq!(ResourceGuard::info(&guard).unwrap().label, "frame ticker");
        });
    }
}

mod one_shot {
    use super::*;

    struct Once;

    impl Case for Once {
        type Adopted = Timer;
        type Witness = Ticks;

        fn make() -> (Timer, Ticks) {
            let ticks = Ticks::default();
            let there = ticks.clone();
            (Timer::once(Duration::from_secs(3600), move || there.add()).unwrap(), ticks)
        }

        fn is_over(ticks: &Ticks) -> bool {
            nobody_ticks(ticks) && ticks.count() == 0
        }

        fn end_first(timer: &mut Timer, ticks: &Ticks) {
            drop(std::mem::replace(timer, Timer::immediate(|| ()).unwrap()));
            until("its thread to end", || nobody_ticks(ticks));
        }
    }

    contract!(Once, never hangs);

    #[test]
    fn it_fires_once_and_is_over() {
        alone(|| {
            let (manager, ticks) = (ResourceManager::new("once"), Ticks::default());
            let there = ticks.clone();
            let guard = manager.adopt(Timer::once(MS, move || there.add()).unwrap());
            until("it to be over", || guard.is_over());
            ResourceGuard::close(guard).unwrap();
            assert_eq!(ticks.count(), 1);
        });
    }

    #[test]
    fn one_for_the_end_of_time_never_fires() {
        alone(|| {
            let guard = manager().adopt(Timer::once(Duration::MAX, || panic!("the end")).unwrap());
            #[cfg(target_os = "linux")]
            crate::support::until_it_sleeps("timer");
            assert!(!guard.is_over());
            ResourceGuard::close(guard).unwrap();
        });
    }

    #[test]
    fn what_is_printed_of_it_is_its_label_and_whether_it_will_tick() {
        alone(|| {
            assert_eq!(
                printed(Once::make().0),
                [
                    "Timer { label: Label(\"one-shot timer\"), is_over: false, .. }",
                    "Timer { label: Label(\"one-shot timer\"), is_over: true, .. }"
                ]
            );
        });
    }

    #[test]
    fn an_immediate_fires_at_once() {
        alone(|| {
            let (told, fired) = mpsc::channel();
            let guard = manager().adopt(Timer::immediate(move || told.send(()).unwrap()).unwrap());
            fired.recv().unwrap();
            assert_eq!(ResourceGuard::info(&guard).unwrap().label, "immediate");
        });
    }

    #[test]
    fn an_immediate_that_is_cleaned_at_once_fires_before_that_or_never() {
        alone(|| {
            for _ in 0..200 {
                let (manager, ticks) = (manager(), Ticks::default());
                let there = ticks.clone();
                let _guard = manager.adopt(Timer::immediate(move || there.add()).unwrap());
                assert!(manager.cleanup().is_success());
                // Its thread has ended, and the closure has gone with it: what is counted by now is all.
                assert!(nobody_ticks(&ticks) && ticks.count() <= 1);
            }
        });
    }

    #[test]
    fn without_a_guard_it_stops_when_it_is_dropped() {
        alone(|| {
            let (timer, ticks) = Once::make();
            drop(timer);
            until("its thread to end", || nobody_ticks(&ticks));
            assert_eq!(ticks.count(), 0);
        });
    }

    #[test]
    fn released_it_goes_on() {
        alone(|| {
            let (told, fired) = mpsc::channel();
            let (begin, begun) = mpsc::channel::<()>();
            let guard = manager().adopt(
                Timer::immediate(move || {
                    begun.recv().unwrap();
                    told.send(()).unwrap();
                })
                .unwrap(),
            );
            let timer = ResourceGuard::release(guard);
            begin.send(()).unwrap();
            fired.recv().unwrap();
            drop(timer);
        });
    }
}
