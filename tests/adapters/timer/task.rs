//! Timers in a task of tokio's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use castoff::adapters::TokioTimer;
use castoff::{ResourceGuard, ResourceManager};
use tokio::runtime::{Builder, Runtime};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

const MS: Duration = Duration::from_millis(1);

struct Witness {
    ticks: Arc<AtomicUsize>,
    runtime: Runtime,
}

impl Witness {
    fn new() -> Witness {
        Witness { ticks: Arc::default(), runtime: runtime() }
    }

    fn count(&self) -> usize {
        self.ticks.load(Ordering::SeqCst)
    }

    /// The closure is dropped with the task: nothing can count after that.
    fn nobody_ticks(&self) -> bool {
        Arc::strong_count(&self.ticks) == 1
    }

    fn every(&self, period: Duration) -> TokioTimer {
        let _entered = self.runtime.enter();
        let ticks = Arc::clone(&self.ticks);
        TokioTimer::every(period, move |_| {
            let ticks = Arc::clone(&ticks);
            async move {
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        })
    }
}

struct Every;

impl Case for Every {
    type Adopted = TokioTimer;
    type Witness = Witness;

    fn make() -> (TokioTimer, Witness) {
        let witness = Witness::new();
        let timer = witness.every(MS);
        until("the timer to tick", || witness.count() >= 2);
        (timer, witness)
    }

    fn is_over(witness: &Witness) -> bool {
        witness.nobody_ticks()
    }

    fn end_first(timer: &mut TokioTimer, witness: &Witness) {
        let _entered = witness.runtime.enter();
        *timer = TokioTimer::immediate(|| async {});
        until("the task to end", || witness.nobody_ticks());
    }
}

impl Hangs for Every {
    fn make_hanging() -> (TokioTimer, Witness) {
        let witness = Witness::new();
        let _entered = witness.runtime.enter();
        let ticks = Arc::clone(&witness.ticks);
        let timer = TokioTimer::every(MS, move |_| {
            ticks.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        });
        until("the timer to tick", || witness.count() == 1);
        drop(_entered);
        (timer, witness)
    }

    fn after(witness: Witness) {
        until("the task to be aborted", || witness.nobody_ticks());
        assert_eq!(witness.count(), 1);
    }
}

contract!(Every);

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_will_tick() {
    alone(|| {
        let (timer, _witness) = Every::make();
        assert_eq!(
            printed(timer),
            [
                "TokioTimer { label: Label(\"interval timer\"), is_over: false, .. }",
                "TokioTimer { label: Label(\"interval timer\"), is_over: true, .. }"
            ]
        );
    });
}

#[test]
fn a_runtime_that_has_ended_has_ended_its_timers() {
    alone(|| {
        let (manager, (timer, witness)) = (manager(), Every::make());
        let guard = manager.adopt(timer);
        drop(witness.runtime);
        ResourceGuard::close(guard).unwrap();
        assert_eq!(Arc::strong_count(&witness.ticks), 1);
    });
}

#[test]
fn a_teardown_that_blocks_its_runtime_aborts_it_in_the_end() {
    alone(|| {
        let manager = manager();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let guard =
                manager.resource("blocked").timeout(50 * MS).adopt(TokioTimer::every(MS, |_| async {}));
            let report = manager.cleanup();
            assert_eq!(report.timed_out(), 1, "{report}");
            assert!(guard.unwrap().is_over());
        });
    });
}

#[test]
fn by_the_runtimes_own_clock_it_fires_once() {
    alone(|| {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let ticks = Arc::new(AtomicUsize::new(0));
            let there = Arc::clone(&ticks);
            let timer = TokioTimer::once(5 * MS, move || async move {
                there.fetch_add(1, Ordering::SeqCst);
            });
            let guard = ResourceManager::new("once").adopt(timer);
            while !guard.is_over() {
                tokio::task::yield_now().await;
            }
            assert_eq!(ticks.load(Ordering::SeqCst), 1);
            ResourceGuard::close_async(guard).await.unwrap();
        });
    });
}

#[test]
fn a_tick_may_drop_its_own_guard() {
    alone(|| {
        let (manager, witness) = (manager(), Witness::new());
        let (hand_over, handed_over) = std::sync::mpsc::channel::<ResourceGuard<TokioTimer>>();
        let handed_over = std::sync::Mutex::new(handed_over);
        let entered = witness.runtime.enter();
        let ticks = Arc::clone(&witness.ticks);
        let timer = TokioTimer::every(MS, move |_| {
            ticks.fetch_add(1, Ordering::SeqCst);
            // The end comes in its own time, perhaps after another tick.
            drop(handed_over.lock().unwrap().recv().ok());
            async {}
        });
        drop(entered);
        hand_over.send(manager.adopt(timer)).unwrap();
        drop(hand_over);
        until("the timer to be over", || witness.nobody_ticks() && manager.resource_count() == 0);
        assert_eq!((manager.stats().cleaned, manager.stats().failed), (1, 0));
    });
}

#[test]
fn a_closure_that_panicked_is_told_by_the_cleanup() {
    alone(|| {
        let runtime = runtime();
        let guard = runtime
            .block_on(async { manager().adopt(TokioTimer::immediate(|| async { panic!("out of ink") })) });
        until("it to be over", || guard.is_over());
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(error.to_string().contains("out of ink"), "{error}");
    });
}

#[test]
fn an_immediate_that_is_cleaned_before_the_runtime_gets_to_it_never_fires() {
    alone(|| {
        let (manager, fired) = (manager(), Arc::new(AtomicUsize::new(0)));
        // A runtime that does nothing until it is told to.
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let entered = runtime.enter();
        let there = Arc::clone(&fired);
        let guard = manager.adopt(TokioTimer::immediate(move || async move {
            there.fetch_add(1, Ordering::SeqCst);
        }));
        drop(entered);
        std::thread::scope(|scope| {
            let cleaning = scope.spawn(|| manager.cleanup());
            until("it to be told", || guard.is_over());
            runtime.block_on(async {
                while !cleaning.is_finished() {
                    tokio::time::sleep(MS).await;
                }
            });
            let report = cleaning.join().unwrap();
            assert!(report.is_success(), "{report}");
        });
        assert_eq!((fired.load(Ordering::SeqCst), Arc::strong_count(&fired)), (0, 1));
    });
}

#[test]
fn frames_come_at_their_rate_and_say_what_was_left_out() {
    alone(|| {
        let runtime = runtime();
        let (told, mut frames) = tokio::sync::mpsc::unbounded_channel();
        runtime.block_on(async {
            let guard = manager().adopt(TokioTimer::frames(100, move |frame| {
                let told = told.clone();
                async move {
                    told.send(frame).ok();
                    if frame.number == 1 {
                        // Longer than three frames.
                        tokio::time::sleep(35 * MS).await;
                    }
                }
            }));
            let first = frames.recv().await.unwrap();
            let second = frames.recv().await.unwrap();
            assert!(first.at >= 10 * MS && second.at >= first.at + 35 * MS, "{first:?} {second:?}");
            // As with interval of tokio's: the first of those that were due is this one, late.
            assert!(second.missed >= 2, "{second:?}");
            assert_eq!(ResourceGuard::info(&guard).unwrap().label, "frame ticker");
            ResourceGuard::close_async(guard).await.unwrap();
        });
    });
}
