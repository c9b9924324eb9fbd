//! What happens when a signal comes: the first one ends the process in order, a second one at once.
//!
//! ctrlc's thread is never held up: it counts signals, hands the first to the watcher, a thread that was started
//! with the hooks, and ends the process itself when there is a second. The watcher starts the teardown on a third
//! thread and waits for it, no longer than the deadline; then the process dies by the signal.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::after;
use crate::exit::end::{GRACE, last, root, tear_down, watched};
use crate::exit::options::{ExitOptions, ExitSignal};
use crate::exit::{say, sys, token};
use crate::registry::tree::Node;
use crate::sync::Lock;
use crate::unwind::contain;

/// A signal so soon after the first is its echo: `timeout` sends its own to the child and then to the group, a shell
/// repeats the SIGHUP of a terminal that was closed, systemd may send SIGHUP behind SIGTERM. No hand is as fast.
const ECHO: Duration = Duration::from_millis(100);
/// How long the line that says what was left may take, where nothing may take long.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The hooks that are installed.
pub(super) struct Active {
    tell: Sender<ExitSignal>,
    node: Arc<Node>,
    lasts: Duration,
    /// When the first signal came.
    first: Option<Instant>,
}

pub(super) static ACTIVE: Lock<Option<Active>> = Lock::new(None);

/// When the process ends by a signal at the latest. Set by the first signal, and for good.
static BEGUN: OnceLock<Option<Instant>> = OnceLock::new();

thread_local! {
    /// Whether this thread runs what the first signal asked for.
    static RUNS_IT: Cell<bool> = const { Cell::new(false) };
}

/// Starts the watcher. It ends when what it returns is dropped.
pub(super) fn watch(node: &Arc<Node>, options: ExitOptions) -> io::Result<Active> {
    let (tell, told) = mpsc::channel();
    let deadline = options.deadline.unwrap_or(node.config.shutdown_deadline);
    let lasts = options.drain.saturating_add(deadline).saturating_add(GRACE);
    let end = End { node: node.clone(), options, deadline, lasts };
    let watcher = thread::Builder::new().name("castoff-signals".into());
    watcher.spawn(move || await_signal(told, end))?;
    Ok(Active { tell, node: node.clone(), lasts, first: None })
}

impl Active {
    /// Whether the process is already ending by a signal.
    pub(super) fn is_ending(&self) -> bool {
        self.first.is_some()
    }
}

/// This manager, then the global one, which may be younger than the hooks, then the last.
fn trees(node: &Arc<Node>) -> Vec<Arc<Node>> {
    let others = root().into_iter().chain(last()).filter(|other| !Arc::ptr_eq(other, node));
    std::iter::once(node).chain(others).cloned().collect()
}

/// On ctrlc's thread, for each signal.
pub(super) fn woken() {
    let mut active = ACTIVE.lock();
    let Some(hooks) = &mut *active else {
        drop(active);
        // It came just before the hooks were dropped, and is now what it would have been without them.
        sys::noted(true).into_iter().for_each(sys::hand_back);
        return;
    };
    let Some(first) = hooks.first else {
        if let Some(signal) = sys::noted(true) {
            let now = Instant::now();
            hooks.first = Some(now);
            // The dying itself takes its time.
            BEGUN.get_or_init(|| after(now, hooks.lasts.saturating_add(LAST_WORDS * 2)));
            // The watcher is gone only if it panicked: then the second signal still ends the process.
            hooks.tell.send(signal).unwrap_or(());
        }
        return;
    };
    if first.elapsed() >= ECHO
        && let Some(signal) = sys::noted(false)
    {
        let nodes = trees(&hooks.node);
        drop(active);
        leave(signal, nodes);
    }
}

/// The second signal: one line, and the end. A third does not even wait for the line.
fn leave(signal: ExitSignal, nodes: Vec<Arc<Node>>) -> ! {
    sys::leave();
    last_words(format!("castoff: {signal}, the second signal: leaving at once; "), nodes);
    sys::die_by(signal)
}

fn last_words(begin: String, nodes: Vec<Arc<Node>>) {
    watched(LAST_WORDS, move || sys::write_stderr(&format!("{begin}{}\n", say::left(&nodes))));
}

/// What the first signal does.
struct End {
    node: Arc<Node>,
    options: ExitOptions,
    deadline: Duration,
    lasts: Duration,
}

fn await_signal(told: Receiver<ExitSignal>, end: End) {
    // No sender any more: the hooks were dropped.
    let Ok(signal) = told.recv() else { return };
    let (node, lasts, deadline) = (end.node.clone(), end.lasts, end.deadline);
    if !watched(lasts, move || end.run(signal)) {
        let begin = format!("castoff: {signal}: the teardown had not ended after {deadline:.1?}; ");
        last_words(begin, trees(&node));
    }
    sys::die_by(signal)
}

impl End {
    fn run(mut self, signal: ExitSignal) {
        RUNS_IT.set(true);
        token::fire();
        thread::sleep(self.options.drain);
        let start = Instant::now();
        if let Some(before) = self.options.before.take() {
            contain(move || before(signal));
        }
        let left = self.deadline.saturating_sub(start.elapsed());
        let reason = CleanupReason::Signal(signal.number());
        let report = tear_down(&trees(&self.node), reason, left);
        let Some(report) = report else { return };
        if let Some(after) = self.options.after.take() {
            contain(|| after(&report));
        }
        contain(|| say::report(&signal.to_string(), &report));
    }
}

/// Where a signal's end is under way, waits for it: the process ends in here. Not on the thread that runs it: a
/// callback may call `exit`. Returns, too, when that end is overdue.
pub(super) fn wait_for_end() {
    let Some(latest) = BEGUN.get() else { return };
    while !RUNS_IT.get() {
        match latest {
            None => thread::park(),
            Some(latest) => match latest.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return,
                left => thread::sleep(left),
            },
        }
    }
}
