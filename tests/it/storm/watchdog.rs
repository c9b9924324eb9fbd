//! The watchdog of every test that could hang: it ends the process loudly and says what each worker was doing. It
//! aborts and does not panic, because a hung thread can't be unwound and the test that waits for it never returns.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ends the process unless it is dropped or fed within its limit.
#[must_use = "a watchdog that is dropped at once watches nothing"]
pub(crate) struct Watchdog {
    board: Board,
    limit: Duration,
    // Dropped first, by `take`: its end is what wakes the thread that watches.
    leash: Option<mpsc::Sender<()>>,
    watching: Option<JoinHandle<()>>,
}

/// One worker's line on the board. Cheap enough to be written before every call that could hang.
pub(crate) struct Worker(Arc<Mutex<Line>>);

#[derive(Clone)]
struct Board(Arc<Mutex<Lines>>);

struct Lines {
    deadline: Instant,
    // A lock for each: workers that share one would take turns, and the races that they are there for would not happen.
    lines: Vec<Arc<Mutex<Line>>>,
}

struct Line {
    worker: String,
    doing: String,
    since: Instant,
}

impl Watchdog {
    /// Watches from now on, for `limit` at most.
    pub(crate) fn new(test: &'static str, limit: Duration) -> Watchdog {
        Watchdog::with_end(test, limit, |story| {
            // Written past the print macros: what they print is captured by the test harness and lost in an abort.
            drop(std::io::stderr().lock().write_all(story.as_bytes()));
            std::process::abort();
        })
    }

    fn with_end(test: &'static str, limit: Duration, end: impl FnOnce(&str) + Send + 'static) -> Watchdog {
        let lines = Lines { deadline: Instant::now() + limit, lines: Vec::new() };
        let board = Board(Arc::new(Mutex::new(lines)));
        let (leash, loosed) = mpsc::channel::<()>();
        let watched = board.clone();
        let watching = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while let Some(left) = watched.left() {
                    if loosed.recv_timeout(left) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return;
                    }
                }
                end(&watched.story(test, limit));
            })
            .expect("a thread for the watchdog");
        Watchdog { board, limit, leash: Some(leash), watching: Some(watching) }
    }

    /// The limit counts from now.
    pub(crate) fn feed(&self) {
        self.board.lock().deadline = Instant::now() + self.limit;
    }

    /// A line for one worker.
    pub(crate) fn worker(&self, name: impl Into<String>) -> Worker {
        let line = Line { worker: name.into(), doing: "nothing yet".to_owned(), since: Instant::now() };
        let line = Arc::new(Mutex::new(line));
        self.board.lock().lines.push(Arc::clone(&line));
        Worker(line)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.leash.take());
        if let Some(watching) = self.watching.take() {
            // An error is the panic of a test's own `end`: the test that gave it looks at what it did.
            drop(watching.join());
        }
    }
}

impl Worker {
    /// Notes what comes next, until the next call.
    pub(crate) fn doing(&self, what: &str) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.doing.clear();
        line.doing.push_str(what);
        line.since = Instant::now();
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the deadline, if it is not over.
    fn left(&self) -> Option<Duration> {
        let left = self.lock().deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn story(&self, test: &str, limit: Duration) -> String {
        let mut story = format!("\n`{test}` hangs: not done after {limit:?}. In progress:\n");
        for line in &self.lock().lines {
            let line = line.lock().unwrap_or_else(PoisonError::into_inner);
            story.push_str(&format!("  {}: {} (for {:?})\n", line.worker, line.doing, line.since.elapsed()));
        }
        story
    }
}

#[test]
fn a_watchdog_barks_when_its_limit_is_over() {
    let (told, hear) = mpsc::channel();
    let watchdog = Watchdog::with_end("a test", Duration::from_millis(1), move |story| {
        told.send(story.to_owned()).expect("the test waits for it");
    });
    let story = hear.recv_timeout(Duration::from_secs(30)).expect("the watchdog barks");
    assert!(story.contains("`a test` hangs"), "{story}");
    drop(watchdog);
}

#[test]
fn a_board_names_each_worker_and_what_it_does() {
    let watchdog = Watchdog::new("a test", Duration::from_secs(30));
    let digger = watchdog.worker("digger");
    watchdog.worker("idler");
    digger.doing("digging");
    let story = watchdog.board.story("a test", Duration::from_secs(1));
    assert!(story.contains("digger: digging"), "{story}");
    assert!(story.contains("idler: nothing yet"), "{story}");
}

#[test]
fn a_watchdog_that_is_dropped_in_time_stays_silent() {
    let (told, hear) = mpsc::channel::<()>();
    drop(Watchdog::with_end("a test", Duration::from_secs(30), move |_| {
        told.send(()).expect("nobody listens")
    }));
    assert_eq!(hear.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn food_puts_the_bark_off() {
    let watchdog = Watchdog::with_end("a test", Duration::from_secs(30), |_| ());
    watchdog.board.lock().deadline = Instant::now();
    assert_eq!(watchdog.board.left(), None);
    watchdog.feed();
    assert!(watchdog.board.left().is_some());
}
