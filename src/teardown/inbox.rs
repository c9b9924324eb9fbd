//! Hears how chosen resources end that somebody else cleans: a guard on its own thread, another teardown.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::id::ResourceId;
use crate::registry::{Ending, Observing, registry};
use crate::sync::Lock;
use crate::teardown::run::Run;
use crate::unwind::contain;

/// Opened before the choice, so that no end between the choice and the run is missed.
pub(crate) struct Inbox {
    heard: Lock<Heard>,
    /// `None` once it is closed.
    observing: Lock<Option<Observing>>,
}

#[derive(Default)]
struct Heard {
    endings: HashMap<ResourceId, Ending>,
    run: Option<Weak<Run>>,
}

impl Inbox {
    pub(crate) fn open() -> Arc<Inbox> {
        let inbox = Arc::new(Inbox { heard: Lock::default(), observing: Lock::default() });
        let hears = Arc::downgrade(&inbox);
        let observing = registry().observe(Arc::new(move |id, ending| {
            if let Some(inbox) = hears.upgrade() {
                inbox.hear(id, ending);
            }
        }));
        *inbox.observing.lock() = Some(observing);
        inbox
    }

    /// Which observer this is: a run's own ends need not be told to itself.
    pub(crate) fn key(&self) -> Option<u64> {
        self.observing.lock().as_ref().map(|observing| observing.key)
    }

    pub(crate) fn attach(&self, run: &Arc<Run>) {
        self.heard.lock().run = Some(Arc::downgrade(run));
    }

    pub(crate) fn read(&self, id: ResourceId) -> Option<Ending> {
        self.heard.lock().endings.get(&id).cloned()
    }

    /// Hears nothing more: its run is over, but a thread that was left with a cleanup may hold both for long.
    pub(crate) fn close(&self) {
        let observing = self.observing.lock().take();
        let endings = std::mem::take(&mut self.heard.lock().endings);
        // They may hold errors of the user's own, whose drop is foreign code: no lock is held.
        contain(move || drop((observing, endings)));
    }

    fn hear(&self, id: ResourceId, ending: &Ending) {
        let run = {
            let mut heard = self.heard.lock();
            heard.endings.insert(id, ending.clone());
            heard.run.as_ref().and_then(Weak::upgrade)
        };
        if let Some(run) = run {
            run.ended_elsewhere(id, ending);
        }
    }
}
