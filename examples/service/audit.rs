//! The feed of stored orders, and the audit that subscribes to it: an emitter of the service's own, a listener, and the
//! thread that it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::adapters::{Emitter, Handler, Listener, Worker};
use castoff::{ResourceGuard, ResourceId, ResourceManager};

use crate::Result;
use crate::checklist::Finding;
use crate::stack::Stack;

/// Tells every subscriber the ids of the orders that were stored.
#[derive(Default)]
pub(crate) struct Feed {
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
struct Subscribers {
    handlers: BTreeMap<u64, Arc<Handler<i64>>>,
    next: u64,
}

impl Feed {
    pub(crate) fn publish(&self, id: i64) {
        // Called with no lock held: whoever is told may take his time.
        let handlers: Vec<_> = self.subscribers().handlers.values().cloned().collect();
        handlers.iter().for_each(|tell| tell(&id));
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Subscribers> {
        self.subscribers.lock().expect("no holder panics")
    }
}

/// All that castoff has to know of it. Its listeners are resources then, each of which hears nothing after its cleanup.
impl Emitter for Feed {
    type Event = i64;
    type Key = u64;

    fn add(&self, handler: Handler<i64>) -> u64 {
        let mut subscribers = self.subscribers();
        let key = subscribers.next;
        subscribers.next += 1;
        subscribers.handlers.insert(key, Arc::new(handler));
        key
    }

    fn remove(&self, key: u64) {
        let handler = self.subscribers().handlers.remove(&key);
        drop(handler);
    }
}

/// The ids that the audit has heard of.
#[derive(Default)]
pub(crate) struct Ledger {
    ids: Mutex<BTreeSet<i64>>,
}

pub(crate) struct Audit {
    ledger: Arc<Ledger>,
    _thread: ResourceGuard<Worker>,
    subscription: ResourceGuard<Listener<Feed>>,
}

impl Audit {
    /// What has to hear of every order.
    pub(crate) fn subscription(&self) -> ResourceId {
        ResourceGuard::id(&self.subscription)
    }
}

pub(crate) fn start(manager: &ResourceManager, feed: &Arc<Feed>) -> Result<Audit> {
    let ledger = Arc::new(Ledger::default());
    let (sender, stored) = channel();
    let heard = Arc::clone(&ledger);
    // It needs no signal to stop: the channel is closed once the subscription has ended, and then all was heard.
    let thread = Worker::spawn("audit", move |_| {
        for id in stored {
            heard.ids.lock().expect("no holder panics").insert(id);
        }
    })?;
    let thread = manager
        .resource("audit")
        .description("hears of every stored order")
        .timeout(Duration::from_secs(5))
        .adopt(thread)?;
    // A subscriber that went away without a word is not the publisher's business.
    let subscription = Listener::of("feed to audit", feed, move |id| sender.send(*id).unwrap_or(()));
    let subscription = manager.resource("feed to audit").depends_on(&thread).adopt(subscription)?;
    Ok(Audit { ledger, _thread: thread, subscription })
}

/// What the audit has to have heard when it ends: all of it, if nobody was stopped too early.
pub(crate) struct Expectation {
    stored: BTreeSet<i64>,
    ledger: Arc<Ledger>,
}

impl Expectation {
    pub(crate) fn of(stack: &Stack) -> Result<Expectation> {
        let stored = stack.database.orders()?.into_keys().collect();
        Ok(Expectation { stored, ledger: Arc::clone(&stack.audit.ledger) })
    }

    pub(crate) fn compare(&self) -> Finding {
        let heard = self.ledger.ids.lock().expect("no holder panics");
        if *heard == self.stored {
            Ok(format!("heard of all {} orders", heard.len()))
        } else {
            Err(format!("heard of {} orders, {} are stored", heard.len(), self.stored.len()))
        }
    }
}
