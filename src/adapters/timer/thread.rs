//! Timers that call a closure: on a thread of their own.
//!
//! Invariant: before each tick the thread looks whether it was stopped, under the lock that stops it, and the cleanup
//! waits for the thread: after it there is no tick.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::adapters::held::Held;
use crate::adapters::joined::join;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// What the closure of an interval is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Tick {
    /// Which tick this is: the first is 1.
    pub number: u64,
    /// How long after the timer's start it began.
    pub at: Duration,
    /// How many were left out right before it, because those before took longer than the period.
    pub missed: u64,
}

/// A timer on a thread of its own, for programs without an asynchronous runtime: once, at once, again and again, or
/// frame by frame.
///
/// Its cleanup lets no tick begin any more, and waits for one that runs: after it there is none. On the timer's own
/// thread (a tick that ends its timer) it does not wait. A closure that panicked fails the cleanup, with what it said.
/// A closure that hangs is left alone at the cleanup's timeout: nothing can stop it. There is no last resort.
///
/// Dropped without a guard it stops too, but does not wait.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::Timer;
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("heartbeat");
/// let (beat, beats) = mpsc::channel();
/// let heart = Timer::every(Duration::from_millis(1), move |tick| drop(beat.send(tick.number)))?;
/// let heart = manager.adopt(heart.labelled("heart"));
/// assert_eq!(beats.recv(), Ok(1));
/// assert_eq!(beats.recv(), Ok(2));
/// assert!(manager.cleanup().is_success());
/// assert!(heart.is_over());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a timer that is dropped stops"]
pub struct Timer {
    label: Label,
    clock: Arc<Clock>,
    /// Until a cleanup joins it.
    thread: Held<JoinHandle<()>>,
}

/// What the timer shares with its thread.
#[derive(Default)]
struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    over: bool,
}

impl Timer {
    /// Calls the closure once, after this long.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn once(after: Duration, f: impl FnOnce() + Send + 'static) -> io::Result<Timer> {
        let due = Instant::now().checked_add(after);
        Timer::start("one-shot timer", move |clock| {
            if clock.wait_until(due) {
                f();
            }
        })
    }

    /// Calls the closure once, as soon as its thread has begun.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn immediate(f: impl FnOnce() + Send + 'static) -> io::Result<Timer> {
        Ok(Timer::once(Duration::ZERO, f)?.labelled("immediate"))
    }

    /// Calls the closure after every period, counted from now. What is due while a tick runs is left out, and
    /// [`Tick::missed`] says so. A period of zero is no pause at all.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn every(period: Duration, f: impl FnMut(Tick) + Send + 'static) -> io::Result<Timer> {
        let start = Instant::now();
        Timer::start("interval timer", move |clock| clock.run(start, period, f))
    }

    /// Calls the closure so many times a second, for what is drawn or simulated frame by frame.
    ///
    /// # Errors
    /// When the system has no thread for it.
    ///
    /// # Panics
    /// With a rate of zero.
    pub fn frames(per_second: u32, f: impl FnMut(Tick) + Send + 'static) -> io::Result<Timer> {
        assert!(per_second > 0, "a frame ticker needs a rate above zero");
        Ok(Timer::every(Duration::from_secs(1) / per_second, f)?.labelled("frame ticker"))
    }

    /// Under this label instead of what kind of timer it is.
    pub fn labelled(mut self, label: impl Into<Label>) -> Timer {
        self.label = label.into();
        self
    }

    /// Whether no tick will begin any more: it was stopped, or was for once and has been.
    pub fn is_over(&self) -> bool {
        let state = self.clock.state();
        state.stopped || state.over
    }

    fn start(label: &'static str, body: impl FnOnce(&Clock) + Send + 'static) -> io::Result<Timer> {
        let clock = Arc::new(Clock::default());
        let there = Arc::clone(&clock);
        let thread = thread::Builder::new().name("timer".to_owned()).spawn(move || {
            let _over = Over(&there);
            body(&there);
        })?;
        Ok(Timer { label: Label::from(label), clock, thread: Held::new(thread) })
    }
}

impl Resource for Timer {
    const CATEGORY: Category = Category::Timer;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (clock, thread) = (Arc::clone(&self.clock), self.thread.clone());
        Cleanup::sync(move || {
            clock.stop();
            thread.take().map_or(Ok(()), |thread| join("timer", thread))
        })
    }
}

impl Clock {
    /// Whether it came to be that late. Not if the timer was stopped before. Without an instant it never does.
    fn wait_until(&self, due: Option<Instant>) -> bool {
        let mut state = self.state();
        while !state.stopped {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return true,
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        false
    }

    fn run(&self, start: Instant, period: Duration, mut f: impl FnMut(Tick)) {
        let mut due = start.checked_add(period);
        for number in 1.. {
            if !self.wait_until(due) {
                return;
            }
            let now = Instant::now();
            let (missed, next) = due.map_or((0, Duration::MAX), |due| lateness(now - due, period));
            f(Tick { number, at: now - start, missed });
            due = now.checked_add(next);
        }
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many whole periods fit into a delay, and how long it is until the next one ends.
fn lateness(late: Duration, period: Duration) -> (u64, Duration) {
    if late < period || period.is_zero() {
        return (0, period.saturating_sub(late));
    }
    let (late, whole) = (late.as_nanos(), period.as_nanos());
    let into = late % whole;
    let into = Duration::new((into / 1_000_000_000) as u64, (into % 1_000_000_000) as u32);
    ((late / whole) as u64, period - into)
}

/// Says so when the thread is done, by a panic too.
struct Over<'c>(&'c Clock);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state().over = true;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clock.stop();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("label", &self.label)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_late_tick_knows_what_it_missed_and_when_the_next_is_due() {
        assert_eq!(lateness(Duration::ZERO, 10 * MS), (0, 10 * MS));
        assert_eq!(lateness(9 * MS, 10 * MS), (0, MS));
        assert_eq!(lateness(10 * MS, 10 * MS), (1, 10 * MS));
        assert_eq!(lateness(35 * MS, 10 * MS), (3, 5 * MS));
    }

    #[test]
    fn no_period_and_the_longest_one_are_no_trouble() {
        assert_eq!(lateness(5 * MS, Duration::ZERO), (0, Duration::ZERO));
        assert_eq!(lateness(5 * MS, Duration::MAX), (0, Duration::MAX - 5 * MS));
    }
}
