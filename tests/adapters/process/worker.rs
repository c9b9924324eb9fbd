//! Threads: told to stop, joined, and left behind only where nothing else is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use castoff::ResourceGuard;
use castoff::adapters::{StopSignal, Worker};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

struct Mailer;

/// The thread holds the other half.
struct Seen {
    thread: Arc<()>,
    quit: Arc<AtomicBool>,
    let_go: Option<Sender<()>>,
}

impl Case for Mailer {
    type Adopted = Worker;
    type Witness = Seen;

    fn make() -> (Worker, Seen) {
        let seen = Seen { thread: Arc::default(), quit: Arc::default(), let_go: None };
        let (held, quit) = (Arc::clone(&seen.thread), Arc::clone(&seen.quit));
        let work = move |stop: &StopSignal| {
            let _held = held;
            while !quit.load(Ordering::Relaxed) && !stop.wait(Duration::from_millis(1)) {}
        };
        (Worker::spawn("mailer", work).unwrap(), seen)
    }

    fn is_over(seen: &Seen) -> bool {
        Arc::strong_count(&seen.thread) == 1
    }

    fn end_first(worker: &mut Worker, seen: &Seen) {
        seen.quit.store(true, Ordering::Relaxed);
        until("the worker to end", || worker.is_finished());
    }
}

impl Hangs for Mailer {
    fn make_hanging() -> (Worker, Seen) {
        let (let_go, held) = mpsc::channel::<()>();
        let seen = Seen { thread: Arc::default(), quit: Arc::default(), let_go: Some(let_go) };
        let alive = Arc::clone(&seen.thread);
        let work = move |_: &StopSignal| {
            let _alive = alive;
            held.recv().ok();
        };
        (Worker::spawn("mailer", work).unwrap(), seen)
    }

    fn after(mut seen: Seen) {
        assert!(!Mailer::is_over(&seen), "a thread can't be forced");
        drop(seen.let_go.take());
        until("the thread to end", || Mailer::is_over(&seen));
    }
}

contract!(Mailer);

#[test]
fn one_that_waits_for_work_is_told_by_closing_its_channel() {
    alone(|| {
        let (orders, queue) = mpsc::channel::<u32>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || tell.send(queue.iter().sum::<u32>()).unwrap());
        orders.send(3).unwrap();
        orders.send(4).unwrap();
        ResourceGuard::close(manager().adopt(Worker::new("packer", thread, move || drop(orders)))).unwrap();
        assert_eq!(told.recv(), Ok(7));
    });
}

#[test]
fn one_that_outlasts_its_grace_is_named_and_can_be_had_back() {
    alone(|| {
        let (worker, seen) = Mailer::make_hanging();
        let manager = manager();
        let guard = manager.adopt(worker.grace(Duration::from_millis(50)));
        let report = manager.cleanup();
        let error = report.errors()[0].to_string();
        assert!(error.contains("thread `mailer` had not ended 50.0ms after it was told to stop"), "{error}");
        let thread = ResourceGuard::release(guard).into_inner().unwrap();
        Mailer::after(seen);
        thread.join().unwrap();
    });
}

#[test]
fn one_that_panicked_is_an_error_with_its_message() {
    alone(|| {
        let worker: Worker = Worker::spawn("packer", |_| panic!("no order {}", 7)).unwrap();
        let error = ResourceGuard::close(manager().adopt(worker)).unwrap_err().to_string();
        assert!(error.contains("thread `packer` panicked: no order 7"), "{error}");
    });
}

#[test]
fn one_that_drops_its_own_guard_does_not_wait_for_itself() {
    alone(|| {
        let own: Arc<Mutex<Option<ResourceGuard<Worker>>>> = Arc::default();
        let (tell, told) = mpsc::channel();
        let inside = Arc::clone(&own);
        let work = move |stop: &StopSignal| {
            until("its own guard", || inside.lock().unwrap().is_some());
            drop(inside.lock().unwrap().take());
            tell.send(stop.is_set()).unwrap();
        };
        *own.lock().unwrap() = Some(manager().adopt(Worker::spawn("loner", work).unwrap()));
        assert_eq!(told.recv(), Ok(true));
    });
}

#[test]
fn what_is_printed_of_it_is_its_name_and_how_long_it_is_waited_for() {
    alone(|| {
        let told = "Worker { name: Label(\"mailer\"), grace: 2s, .. }";
        assert_eq!(printed(Mailer::make().0.grace(Duration::from_secs(2))), [told; 2]);
    });
}

#[test]
fn its_thread_has_its_name() {
    alone(|| {
        let (tell, told) = mpsc::channel();
        let name = move |_: &StopSignal| tell.send(thread::current().name().map(str::to_owned)).unwrap();
        let guard = manager().adopt(Worker::spawn("mailer", name).unwrap());
        assert_eq!(told.recv().unwrap().as_deref(), Some("mailer"));
        assert_eq!(*ResourceGuard::info(&guard).unwrap().label, *"mailer");
    });
}
