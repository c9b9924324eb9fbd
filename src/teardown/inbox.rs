//! Hears how chosen resources end that somebody else cleans: a guard on its own thread, another teardown.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use crate::id::ResourceId;
use crate::registry::{Ending, Observing, registry};
use crate::sync::Lock;
use crate::teardown::run::Run;

/// Opened before the choice, so that no end between the choice and the run is missed.
pub(crate) struct Inbox {
    heard: Lock<Heard>,
    observing: OnceLock<Observing>,
}

#[derive(Default)]
struct Heard {
    endings: HashMap<ResourceId, Ending>,
    run: Option<Weak<Run>>,
}

impl Inbox {
    pub(crate) fn open() -> Arc<Inbox> {
        let inbox = Arc::new(Inbox { heard: Lock::default(), observing: OnceLock::new() });
        let hears = Arc::downgrade(&inbox);
        let observing = registry().observe(Arc::new(move |id, ending| {
            if let Some(inbox) = hears.upgrade() {
                inbox.hear(id, ending);
            }
        }));
        inbox.observing.get_or_init(|| observing);
        inbox
    }

    /// Which observer this is: a run's own ends need not be told to itself.
    pub(crate) fn key(&self) -> Option<u64> {
        self.observing.get().map(|observing| observing.key)
    }

    pub(crate) fn attach(&self, run: &Arc<Run>) {
        self.heard.lock().run = Some(Arc::downgrade(run));
    }

    pub(crate) fn read(&self, id: ResourceId) -> Option<Ending> {
        self.heard.lock().endings.get(&id).cloned()
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
