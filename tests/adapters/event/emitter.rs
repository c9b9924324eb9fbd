//! Listeners of an emitter of one's own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use castoff::ResourceGuard;
use castoff::adapters::{Emitter, Handler, Listener};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

#[derive(Default)]
struct Orders {
    handlers: Mutex<BTreeMap<usize, Arc<Handler<str>>>>,
    next: AtomicUsize,
}

impl Orders {
    /// Calls a copy of the list, as careful emitters do: a handler that has just been removed may be in it.
    fn emit(&self, order: &str) {
        let handlers: Vec<_> = self.handlers.lock().unwrap().values().cloned().collect();
        handlers.iter().for_each(|handler| handler(order));
    }
}

impl Emitter for Orders {
    type Event = str;
    type Key = usize;

    fn add(&self, handler: Handler<str>) -> usize {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.handlers.lock().unwrap().insert(key, Arc::new(handler));
        key
    }

    fn remove(&self, key: usize) {
        self.handlers.lock().unwrap().remove(&key);
    }
}

#[derive(Default)]
struct Witness {
    orders: Option<Arc<Orders>>,
    seen: Arc<AtomicUsize>,
    stuck: Option<(Sender<()>, thread::JoinHandle<()>)>,
}

impl Witness {
    fn orders(&self) -> &Arc<Orders> {
        self.orders.as_ref().unwrap()
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

struct Listening;

impl Case for Listening {
    type Adopted = Listener<Orders>;
    type Witness = Witness;

    fn make() -> (Listener<Orders>, Witness) {
        let witness = Witness { orders: Some(Arc::default()), ..Witness::default() };
        let seen = Arc::clone(&witness.seen);
        let count = move |_: &str| {
            seen.fetch_add(1, Ordering::SeqCst);
        };
        let listener = Listener::of("counter", witness.orders(), count);
        witness.orders().emit("tea");
        assert_eq!(witness.seen(), 1);
        (listener, witness)
    }

    fn is_over(witness: &Witness) -> bool {
        let before = witness.seen();
        witness.orders().emit("coffee");
        witness.seen() == before && witness.orders().handlers.lock().unwrap().is_empty()
    }

    fn end_first(_: &mut Listener<Orders>, witness: &Witness) {
        witness.orders().remove(0);
    }
}

impl Hangs for Listening {
    fn make_hanging() -> (Listener<Orders>, Witness) {
        let mut witness = Witness { orders: Some(Arc::default()), ..Witness::default() };
        let (release, released) = mpsc::channel::<()>();
        let (seen, released) = (Arc::clone(&witness.seen), Mutex::new(released));
        let hang = move |_: &str| {
            seen.fetch_add(1, Ordering::SeqCst);
            released.lock().unwrap().recv().ok();
        };
        let listener = Listener::of("stuck", witness.orders(), hang);
        let orders = Arc::clone(witness.orders());
        witness.stuck = Some((release, thread::spawn(move || orders.emit("tea"))));
        until("the handler to hang", || witness.seen() == 1);
        (listener, witness)
    }

    fn after(mut witness: Witness) {
        assert!(Listening::is_over(&witness), "it is called after it was given up");
        let (release, stuck) = witness.stuck.take().unwrap();
        drop(release);
        stuck.join().unwrap();
        assert_eq!(witness.seen(), 1);
    }
}

contract!(Listening);

#[test]
fn an_emitter_in_the_middle_of_its_list_delivers_no_more() {
    alone(|| {
        let (manager, orders) = (manager(), Arc::new(Orders::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (here, there) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        // The first of the list holds the emitter up, with its copy in hand, until the second is cleaned.
        let (begun, go_on) = (here.0, Mutex::new(there.1));
        let _first = manager.adopt(Listener::of("first", &orders, move |_| {
            begun.send(()).unwrap();
            go_on.lock().unwrap().recv().unwrap();
        }));
        let late = Arc::clone(&over);
        let second =
            manager.adopt(Listener::of("second", &orders, move |_| late.store(true, Ordering::SeqCst)));
        let emitting = thread::spawn({
            let orders = Arc::clone(&orders);
            move || orders.emit("tea")
        });
        here.1.recv().unwrap();
        ResourceGuard::close(second).unwrap();
        there.0.send(()).unwrap();
        emitting.join().unwrap();
        assert!(!over.load(Ordering::SeqCst), "it was delivered after the cleanup");
    });
}

/// What the handler has borrowed may go once the listener is cleaned.
#[cfg(target_os = "linux")]
#[test]
fn a_cleanup_waits_for_the_handler_that_is_being_called() {
    alone(|| {
        let orders = Arc::new(Orders::default());
        let done = Arc::new(AtomicBool::new(false));
        let (here, there) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (begun, go_on) = (here.0, Mutex::new(there.1));
        let its_end = Arc::clone(&done);
        let guard = manager().adopt(Listener::of("slow", &orders, move |_| {
            begun.send(()).unwrap();
            go_on.lock().unwrap().recv().unwrap();
            its_end.store(true, Ordering::SeqCst);
        }));
        let emitting = Arc::clone(&orders);
        let emitting = thread::spawn(move || emitting.emit("tea"));
        here.1.recv().unwrap();
        let closing = thread::Builder::new().name("closing".into());
        let closing = closing.spawn(move || {
            ResourceGuard::close(guard).unwrap();
            done.load(Ordering::SeqCst)
        });
        until("the handler to be removed", || orders.handlers.lock().unwrap().is_empty());
        crate::support::until_it_sleeps("closing");
        there.0.send(()).unwrap();
        assert!(closing.unwrap().join().unwrap(), "it was cleaned while its handler was being called");
        emitting.join().unwrap();
    });
}

#[test]
fn a_handler_may_end_its_own_listener() {
    alone(|| {
        let (manager, orders) = (manager(), Arc::new(Orders::default()));
        let own = Arc::new(Mutex::new(None::<ResourceGuard<Listener<Orders>>>));
        let there = Arc::clone(&own);
        let once = move |_: &str| drop(there.lock().unwrap().take());
        *own.lock().unwrap() = Some(manager.adopt(Listener::of("once", &orders, once)));
        orders.emit("tea");
        assert_eq!(manager.stats().cleaned, 1);
        assert!(orders.handlers.lock().unwrap().is_empty());
    });
}

#[test]
fn an_emitter_that_is_gone_leaves_nothing_to_do() {
    alone(|| {
        let (listener, mut witness) = Listening::make();
        let guard = manager().adopt(listener);
        drop(witness.orders.take());
        assert!(guard.is_over());
        ResourceGuard::close(guard).unwrap();
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_hears() {
    alone(|| {
        let (listener, _witness) = Listening::make();
        assert_eq!(
            printed(listener),
            [
                "Listener { label: Label(\"counter\"), is_over: false, .. }",
                "Listener { label: Label(\"counter\"), is_over: true, .. }"
            ]
        );
    });
}

#[test]
fn a_handler_that_panicked_is_not_waited_for() {
    alone(|| {
        let orders = Arc::new(Orders::default());
        let guard = manager().adopt(Listener::of("panics", &orders, |_| panic!("out of ink")));
        let there = Arc::clone(&orders);
        thread::spawn(move || there.emit("tea")).join().unwrap_err();
        ResourceGuard::close(guard).unwrap();
    });
}
