//! The threads that asynchronous cleanups run on: one that turns a tokio runtime, and pollers.
//!
//! The runtime's own thread waits for sockets and timers and does nothing else, so that no cleanup can hold up the
//! clock of the others. The cleanups are polled by a second thread that has entered that runtime. A poll that does
//! not return holds up nobody for long: when the queue stands still another poller is started, and the stuck one
//! is left with what it polls. All of them start with the first asynchronous cleanup, and end when there has been
//! none for a while.
//!
//! Invariants:
//! 1. While a ticket is out the reactor does not end: every step that was launched is polled, or dropped, by it.
//! 2. Lock order: `REACTOR`, then a reactor's state. Neither is held while a poll runs or a future is dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_task::Runnable;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::fork;
use crate::sync::Lock;
use crate::unwind::contain;

/// How long the threads stay when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// How long a queue may stand still before another poller is started.
const STALL: Duration = Duration::from_millis(20);

static REACTOR: Lock<Option<Arc<Reactor>>> = Lock::new(None);

pub(super) struct Reactor {
    handle: Handle,
    /// In which process its threads are: a forked child has none of them.
    era: u32,
    state: Mutex<State>,
    /// Something to poll.
    work: Condvar,
    /// The first ticket is out, or the last is back.
    changed: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    tickets: usize,
    pollers: usize,
    idle: usize,
    /// How many tasks were ever taken: what stands still is seen by it.
    taken: u64,
    over: bool,
}

enum Task {
    Poll(Runnable),
    Run(Box<dyn FnOnce() + Send>),
}

/// A place on the running reactor, which lasts as long as the ticket.
///
/// # Errors
/// When its threads or its runtime can't be had: the system's own error.
pub(crate) fn board() -> io::Result<Ticket> {
    let mut current = REACTOR.lock();
    if let Some(reactor) = current.as_ref().filter(|reactor| reactor.era == fork::era()) {
        return Ok(reactor.ticket());
    }
    let reactor = Reactor::start()?;
    let ticket = reactor.ticket();
    // A parent's is left alone: its threads, and what they held, are not in this process.
    std::mem::forget(current.replace(reactor));
    Ok(ticket)
}

/// Keeps the reactor running.
pub(crate) struct Ticket {
    reactor: Arc<Reactor>,
}

impl Ticket {
    pub(super) fn schedule(&self) -> impl Fn(Runnable) + Send + Sync + 'static {
        let reactor = self.reactor.clone();
        move |runnable| reactor.push(Task::Poll(runnable))
    }

    /// Runs something that may block on a poller.
    pub(crate) fn run(self, work: impl FnOnce() + Send + 'static) {
        let reactor = self.reactor.clone();
        // With the ticket: while this waits, or is stuck, there have to be pollers for what comes after it.
        let work = move || {
            work();
            drop(self);
        };
        reactor.push(Task::Run(Box::new(work)));
    }

    /// The runtime whose thread waits for timers: only for what never blocks.
    pub(crate) fn handle(&self) -> &Handle {
        &self.reactor.handle
    }
}

impl Clone for Ticket {
    fn clone(&self) -> Ticket {
        self.reactor.ticket()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let last = {
            let mut state = self.reactor.state();
            state.tickets -= 1;
            state.tickets == 0
        };
        if last {
            self.reactor.changed.notify_one();
        }
    }
}

impl Reactor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticket(self: &Arc<Self>) -> Ticket {
        let first = {
            let mut state = self.state();
            state.tickets += 1;
            state.tickets == 1
        };
        if first {
            self.changed.notify_one();
        }
        Ticket { reactor: self.clone() }
    }

    fn start() -> io::Result<Arc<Reactor>> {
        let (tell, told) = sync_channel(1);
        // The runtime is made, used and dropped on its own thread: it may not be dropped on one of the caller's.
        thread::Builder::new().name("castoff-runtime".into()).spawn(move || turn(&tell))?;
        let gone = || Err(io::Error::other("castoff's runtime thread ended before it began"));
        let reactor = told.recv().unwrap_or_else(|_| gone())?;
        if let Err(refused) = reactor.start_poller() {
            reactor.state().over = true;
            reactor.changed.notify_one();
            return Err(refused);
        }
        Ok(reactor)
    }

    fn start_poller(self: &Arc<Self>) -> io::Result<()> {
        let reactor = self.clone();
        self.state().pollers += 1;
        let started =
            thread::Builder::new().name("castoff-poller".into()).spawn(move || reactor.poll()).map(drop);
        if started.is_err() {
            self.state().pollers -= 1;
        }
        started
    }

    fn push(&self, task: Task) {
        let mut state = self.state();
        state.queue.push_back(task);
        if state.idle > 0 {
            self.work.notify_one();
        }
    }

    /// A poller's life. One of them waits while there is nothing to do; more than one are needed only while some
    /// are stuck.
    fn poll(&self) {
        let _entered = self.handle.enter();
        let mut state = self.state();
        loop {
            if let Some(task) = state.queue.pop_front() {
                state.taken += 1;
                drop(state);
                contain(|| match task {
                    Task::Poll(runnable) => drop(runnable.run()),
                    Task::Run(work) => work(),
                });
                state = self.state();
                continue;
            }
            if state.over || state.idle > 0 {
                state.pollers -= 1;
                return;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// What the runtime's thread does beside turning it: it starts a poller where all are stuck, and ends when
    /// there has been nothing to do for long enough.
    async fn watch(self: &Arc<Self>) {
        let mut seen = 0;
        loop {
            let (busy, over) = {
                let state = self.state();
                (state.tickets > 0, state.over)
            };
            if over {
                return;
            }
            let pause = if busy { STALL } else { IDLE };
            let undisturbed = tokio::time::timeout(pause, self.changed.notified()).await.is_err();
            if undisturbed && !busy && self.retire() {
                return;
            }
            let (taken, stalled) = {
                let state = self.state();
                (state.taken, !state.queue.is_empty() && state.taken == seen)
            };
            if undisturbed && stalled {
                // Refused, it is tried again after the next pause.
                self.start_poller().unwrap_or(());
            }
            seen = taken;
        }
    }

    /// Ends, unless somebody has come meanwhile.
    fn retire(self: &Arc<Self>) -> bool {
        let mut current = REACTOR.lock();
        let mut state = self.state();
        if state.tickets > 0 {
            return false;
        }
        state.over = true;
        drop(state);
        let gone = current.take_if(|reactor| Arc::ptr_eq(reactor, self));
        drop(current);
        drop(gone);
        true
    }
}

/// The life of the runtime's own thread.
fn turn(tell: &SyncSender<io::Result<Arc<Reactor>>>) {
    let runtime: Runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(refused) => return tell.send(Err(refused)).unwrap_or(()),
    };
    let reactor = Arc::new(Reactor {
        handle: runtime.handle().clone(),
        era: fork::era(),
        state: Mutex::default(),
        work: Condvar::new(),
        changed: Notify::new(),
    });
    tell.send(Ok(reactor.clone())).unwrap_or(());
    runtime.block_on(reactor.watch());
    reactor.work.notify_all();
    // What cleanups have spawned and not awaited goes here; what they block in is not waited for.
    contain(move || runtime.shutdown_background());
}
