//! The journal: a subscription to castoff's own events that writes down what ended, in which order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use castoff::{Label, ResourceEvent, ResourceId, ResourceInfo, ResourceManager, Subscription};

use crate::checklist::Finding;
use crate::stack;

pub(crate) struct Journal {
    notes: Arc<Mutex<Notes>>,
    _subscription: Subscription,
}

#[derive(Default)]
struct Notes {
    /// Cleanups that ended, well or not, in that order.
    ended: Vec<(ResourceId, Label)>,
    failed: Vec<Label>,
    deferred: Vec<Label>,
    finished_late: Vec<Label>,
}

impl Notes {
    fn note(&mut self, event: &ResourceEvent) {
        match event {
            ResourceEvent::Cleaned { id, label, .. } => self.ended.push((*id, label.clone())),
            ResourceEvent::CleanupFailed { error, .. } => {
                self.ended.push((error.id, error.label.clone()));
                self.failed.push(error.label.clone());
            }
            ResourceEvent::Deferred { label, .. } => self.deferred.push(label.clone()),
            ResourceEvent::FinishedLate { label, .. } => self.finished_late.push(label.clone()),
            _ => {}
        }
    }
}

impl Journal {
    pub(crate) fn keep(manager: &ResourceManager) -> Journal {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let subscription = manager.subscribe({
            let notes = Arc::clone(&notes);
            move |event| notes.lock().expect("no holder panics").note(event)
        });
        Journal { notes, _subscription: subscription }
    }

    /// The labels of those resources whose cleanup has ended, in the order in which they ended.
    pub(crate) fn ended(&self, resources: &[ResourceInfo]) -> Vec<Label> {
        let of_these = |id| resources.iter().any(|resource| resource.id == id);
        let notes = self.notes.lock().expect("no holder panics");
        notes.ended.iter().filter(|(id, _)| of_these(*id)).map(|(_, label)| label.clone()).collect()
    }

    /// Whether each of the resources ended once, and none before those that need it.
    pub(crate) fn order_of(&self, resources: &[ResourceInfo]) -> Finding {
        let ended = self.ended(resources);
        let mut once = ended.clone();
        once.sort();
        once.dedup();
        if (ended.len(), once.len()) != (resources.len(), resources.len()) {
            return Err(format!("{} resources, but these cleanups: {ended:?}", resources.len()));
        }
        for (dependent, dependency) in stack::needs() {
            let last = ended.iter().rposition(|label| label.starts_with(dependent));
            let first = ended.iter().position(|label| label.starts_with(dependency));
            if last.is_none() || last >= first {
                return Err(format!("{dependent} needs {dependency}, but the order was {ended:?}"));
            }
        }
        Ok(format!("{} cleanups", ended.len()))
    }

    /// Whether exactly those cleanups were put off that something else needs.
    pub(crate) fn deferrals_of(&self, resources: &[ResourceInfo]) -> Finding {
        let needed = |label: &Label| stack::needs().any(|(_, dependency)| label.starts_with(dependency));
        let needed: BTreeSet<&Label> =
            resources.iter().map(|resource| &resource.label).filter(|l| needed(l)).collect();
        let notes = self.notes.lock().expect("no holder panics");
        let deferred: BTreeSet<&Label> = notes.deferred.iter().collect();
        let counts = format!("{} of {}", deferred.len(), resources.len());
        if deferred == needed { Ok(counts) } else { Err(format!("{counts}: {deferred:?}")) }
    }

    pub(crate) fn failures(&self) -> Finding {
        match &self.notes.lock().expect("no holder panics").failed[..] {
            [] => Ok(String::new()),
            failed => Err(format!("{failed:?}")),
        }
    }

    /// Whether the cleanup that was left behind at its timeout has come to an end after all.
    pub(crate) fn finished_late(&self, label: &str) -> Finding {
        match &self.notes.lock().expect("no holder panics").finished_late[..] {
            [late] if **late == *label => Ok(label.to_owned()),
            other => Err(format!("late were {other:?}")),
        }
    }
}
