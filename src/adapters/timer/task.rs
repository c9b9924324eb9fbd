//! Timers that await a closure's future: in a task of tokio's.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::Tick;
use crate::adapters::running::Running;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A timer in a task of the tokio runtime at hand, which must have its timers enabled: once, at once, again and again,
/// or frame by frame.
///
/// Its cleanup lets no tick begin any more and waits for one that runs: after it there is none. A closure that panicked
/// fails the cleanup. In the last resort the task is aborted: a tick that hangs ends at its next `await`. A runtime that
/// has ended has ended its timers, too.
///
/// A tick may drop its own guard, but not wait for that: `close_async` in a tick waits for that very tick.
///
/// Dropped without a guard it stops too, after the tick that runs.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use castoff::adapters::TokioTimer;
/// use castoff::{ResourceGuard, ResourceManager};
/// use std::time::Duration;
///
/// let (beat, mut beats) = tokio::sync::mpsc::unbounded_channel();
/// let heart = TokioTimer::every(Duration::from_millis(1), move |tick| {
///     let beat = beat.clone();
///     async move { drop(beat.send(tick.number)) }
/// });
/// let heart = ResourceManager::new("heartbeat").adopt(heart.labelled("heart"));
/// assert_eq!(beats.recv().await, Some(1));
/// assert!(ResourceGuard::close_async(heart).await.is_ok());
/// while beats.recv().await.is_some() {} // the task is gone, and its sender with it
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a timer that is dropped stops"]
pub struct TokioTimer {
    label: Label,
    running: Running,
}

impl TokioTimer {
    /// Awaits the closure's future once, after this long.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn once<F, Fut>(after: Duration, f: F) -> TokioTimer
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let running = Running::spawn(|ending| async move {
            if ending.run_until_cancelled(sleep(after)).await.is_some() {
                f().await;
            }
        });
        TokioTimer { label: Label::from("one-shot timer"), running }
    }

    /// Awaits the closure's future once, as soon as the runtime has time for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn immediate<F, Fut>(f: F) -> TokioTimer
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        TokioTimer::once(Duration::ZERO, f).labelled("immediate")
    }

    /// Awaits the closure's future after every period, counted from now. What is due while a tick runs is left out, and
    /// [`Tick::missed`] says so.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and with a period of zero.
    #[track_caller]
    pub fn every<F, Fut>(period: Duration, mut f: F) -> TokioTimer
    where
        F: FnMut(Tick) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        assert!(!period.is_zero(), "an interval needs a period above zero");
        let running = Running::spawn(|ending| async move {
            let start = Instant::now();
            let mut due = interval_at(start + period, period);
            due.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for number in 1.. {
                let Some(since) = ending.run_until_cancelled(due.tick()).await else { return };
                let now = Instant::now();
                let missed = ((now - since).as_nanos() / period.as_nanos()) as u64;
                f(Tick { number, at: now - start, missed }).await;
            }
        });
        TokioTimer { label: Label::from("interval timer"), running }
    }

    /// Awaits the closure's future so many times a second, for what is drawn or simulated frame by frame. A frame that
    /// takes longer has the next ones left out, and [`Tick::missed`] says so. tokio's clock counts in milliseconds: above
    /// 1000 frames a second many come at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and with a rate of zero.
    #[track_caller]
    pub fn frames<F, Fut>(per_second: u32, f: F) -> TokioTimer
    where
        F: FnMut(Tick) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        assert!(per_second > 0, "a frame ticker needs a rate above zero");
        TokioTimer::every(Duration::from_secs(1) / per_second, f).labelled("frame ticker")
    }

    /// Under this label instead of what kind of timer it is.
    pub fn labelled(mut self, label: impl Into<Label>) -> TokioTimer {
        self.label = label.into();
        self
    }

    /// Whether no tick will begin any more: it was told to end, or was for once and has been.
    pub fn is_over(&self) -> bool {
        self.running.is_over()
    }
}

impl Resource for TokioTimer {
    const CATEGORY: Category = Category::Timer;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        self.running.cleanup()
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer")
            .field("label", &self.label)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}
