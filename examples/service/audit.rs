//! The feed of stored orders, and the audit that subscribes to it: the service's own kind of event
//! subscription.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};

use crate::Result;
use crate::checklist::Finding;
use crate::stack::Stack;
use crate::threads;

/// Tells every subscriber the ids of the orders that were stored.
#[derive(Default)]
pub(crate) struct Feed {
    subscribers: Mutex<BTreeMap<&'static str, Tell>>,
}

/// Tells a subscriber an id, and does not wait for it.
type Tell = Box<dyn Fn(i64) + Send>;

impl Feed {
    pub(crate) fn publish(&self, id: i64) {
        for tell in self.subscribers.lock().expect("no holder panics").values() {
            tell(id);
        }
    }

    pub(crate) fn subscribe(&self, subscriber: &'static str, tell: impl Fn(i64) + Send + 'static) {
        self.subscribers.lock().expect("no holder panics").insert(subscriber, Box::new(tell));
    }

    pub(crate) fn unsubscribe(&self, subscriber: &'static str) {
        self.subscribers.lock().expect("no holder panics").remove(subscriber);
    }
}

/// The ids that the audit has heard of.
#[derive(Default)]
pub(crate) struct Ledger {
    ids: Mutex<BTreeSet<i64>>,
}

pub(crate) fn start(manager: &ResourceManager, feed: &Arc<Feed>) -> Result<ResourceGuard<Arc<Ledger>>> {
    let ledger = Arc::new(Ledger::default());
    let (sender, stored) = channel();
    // A subscriber that went away without a word is not the publisher's business.
    feed.subscribe("audit", move |id| {
        let _ = sender.send(id);
    });
    let thread = threads::spawn("audit", {
        let ledger = Arc::clone(&ledger);
        move || {
            // The channel is empty and closed once the subscription has ended: then all was heard.
            for id in stored {
                ledger.ids.lock().expect("no holder panics").insert(id);
            }
        }
    })?;
    let feed = Arc::clone(feed);
    let cleanup = Cleanup::sync(move || {
        feed.unsubscribe("audit");
        threads::join(thread);
    });
    let guard = manager
        .resource("audit")
        .category(Category::Event)
        .description("hears of every stored order")
        .timeout(Duration::from_secs(5))
        .keep(ledger, cleanup)?;
    Ok(guard)
}

/// What the audit has to have heard when it ends: all of it, if nobody was stopped too early.
pub(crate) struct Expectation {
    stored: BTreeSet<i64>,
    ledger: Arc<Ledger>,
}

impl Expectation {
    pub(crate) fn of(stack: &Stack) -> Result<Expectation> {
        let stored = stack.database.orders()?.into_keys().collect();
        Ok(Expectation { stored, ledger: Arc::clone(&stack.audit) })
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
