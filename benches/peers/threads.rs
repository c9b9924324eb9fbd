//! One amount of work, split evenly over threads that start together or take turns.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, hint, thread};

use super::{COUNTERS, Counter};

/// Each thread works this long before the clock starts: its first registration may have to make room, and a scheduler
/// that put both threads on one core has parted them by then (it looks again every few milliseconds). Without it two
/// threads can show the figure of one.
const WARM_UP: Duration = Duration::from_millis(10);

/// How much is done between two looks at a clock or a flag.
const PORTION: u64 = 64;

/// Lets `work` run `total` cleanups on `threads` threads (one or two) and gives the time from the first start to the
/// last end. The total stays the same, so twice the speed is half of the time.
///
/// One thread is a new thread too: both figures then have the same start, and the same allocator behaviour.
///
/// # Panics
///
/// When a cleanup was lost or ran twice.
pub(crate) fn split(threads: usize, total: u64, work: impl Fn(&'static Counter, u64) + Sync) -> Duration {
    let barrier = SpinBarrier::new(threads);
    let spans: Vec<Span> = thread::scope(|scope| {
        let workers: Vec<_> = COUNTERS[..threads]
            .iter()
            .zip(shares(total, threads))
            .map(|(counter, share)| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    let release = scopeguard::guard(barrier, SpinBarrier::abandon);
                    warm_up(counter, work);
                    barrier.wait();
                    let span = timed_share(counter, share, work);
                    scopeguard::ScopeGuard::into_inner(release);
                    span
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    envelope(&spans)
}

/// Lets two threads run `total` cleanups twice: half by the first before there is a second, all by both at once, and
/// half by the second when the first has gone. Gives the time of both halves alone, the time of both threads together,
/// and how long one of them had to wait for a core meanwhile.
///
/// The same threads on the same cores within milliseconds: where one core is slower for a while than the other, because
/// of what else the machine does, it is slower in both figures. Nobody spins while another is timed alone: on a shared
/// core that would lengthen its time and flatter the other figure.
///
/// # Panics
///
/// When a cleanup was lost or ran twice.
pub(crate) fn apart_and_together(total: u64, work: impl Fn(&'static Counter, u64) + Sync) -> [Duration; 3] {
    let half = total / 2;
    let (barrier, joined) = (SpinBarrier::new(2), AtomicBool::new(false));
    let (work, barrier, joined) = (&work, &barrier, &joined);
    let (first_alone, may_start) = mpsc::channel();
    let spans = thread::scope(|scope| {
        let first = scope.spawn(move || {
            let release = scopeguard::guard(barrier, SpinBarrier::abandon);
            warm_up(&COUNTERS[0], work);
            let waited_before = waited_for_a_core();
            let alone = timed_share(&COUNTERS[0], half, work);
            first_alone.send(()).expect("the receiver outlives this thread");
            // Goes on working, so that the scheduler sees two busy threads and gives each a core.
            while !joined.load(Ordering::Acquire) {
                barrier.check();
                work(&COUNTERS[0], PORTION);
            }
            barrier.wait();
            let together = timed_share(&COUNTERS[0], half, work);
            barrier.wait();
            scopeguard::ScopeGuard::into_inner(release);
            (alone, together, waited_for_a_core().saturating_sub(waited_before))
        });
        // An error means that the first thread has panicked; joining it says how.
        let _ = may_start.recv();
        let second = scope.spawn(move || {
            let release = scopeguard::guard(barrier, SpinBarrier::abandon);
            warm_up(&COUNTERS[1], work);
            joined.store(true, Ordering::Release);
            barrier.wait();
            let waited_before = waited_for_a_core();
            let together = timed_share(&COUNTERS[1], half, work);
            barrier.wait();
            let alone = timed_share(&COUNTERS[1], half, work);
            scopeguard::ScopeGuard::into_inner(release);
            (alone, together, waited_for_a_core().saturating_sub(waited_before))
        });
        [first, second].map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let apart = spans.iter().map(|((start, end), _, _)| *end - *start).sum();
    let waited = spans.iter().map(|span| span.2).sum();
    [apart, envelope(&spans.map(|span| span.1)), waited]
}

/// For how long this thread was ready to run but had no core. Linux counts it; elsewhere it is zero.
fn waited_for_a_core() -> Duration {
    let nanoseconds = fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

type Span = (Instant, Instant);

/// From the first start to the last end.
fn envelope(spans: &[Span]) -> Duration {
    let first_start = spans.iter().map(|span| span.0).min().expect("there is at least one thread");
    let last_end = spans.iter().map(|span| span.1).max().expect("there is at least one thread");
    last_end - first_start
}

fn timed_share(counter: &'static Counter, share: u64, work: &impl Fn(&'static Counter, u64)) -> Span {
    let before = counter.counted();
    let start = Instant::now();
    work(counter, share);
    let end = Instant::now();
    assert_eq!(counter.counted() - before, share, "each cleanup runs once");
    (start, end)
}

fn warm_up(counter: &'static Counter, work: &impl Fn(&'static Counter, u64)) {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        work(counter, PORTION);
    }
}

/// Threads meet here awake, as often as they like. One that slept in `std::sync::Barrier` can be woken onto the other's
/// core and run after it instead of beside it.
struct SpinBarrier {
    threads: usize,
    arrivals: AtomicUsize,
    abandoned: AtomicBool,
}

impl SpinBarrier {
    fn new(threads: usize) -> SpinBarrier {
        SpinBarrier { threads, arrivals: AtomicUsize::new(0), abandoned: AtomicBool::new(false) }
    }

    /// Waits for the arrival of all threads that this one's arrival is a part of.
    ///
    /// # Panics
    ///
    /// When another thread panicked, so that it will not arrive.
    fn wait(&self) {
        let arrival = self.arrivals.fetch_add(1, Ordering::AcqRel);
        let complete = (arrival / self.threads + 1) * self.threads;
        while self.arrivals.load(Ordering::Acquire) < complete {
            self.check();
            hint::spin_loop();
        }
    }

    fn check(&self) {
        assert!(!self.abandoned.load(Ordering::Acquire), "the other thread panicked");
    }

    /// Called by a thread that panics, by way of a guard: the other would wait for ever.
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }
}

/// The remainder goes to the first threads, so that the shares add up to the total.
fn shares(total: u64, threads: usize) -> impl Iterator<Item = u64> {
    let threads = threads as u64;
    (0..threads).map(move |thread| total / threads + u64::from(thread < total % threads))
}
