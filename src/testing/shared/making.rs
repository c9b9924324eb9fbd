//! What is being made now, and who needs whom.
//!
//! Who asks is known from the manager that is current: that of a shared thing is entered while it is made, and goes
//! along to threads and tasks of castoff's. A request is noted before it waits, so that of those who would wait for each
//! other the last is told.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::id::{ManagerId, ResourceId};
use crate::manager::{ResourceManager, innermost};
use crate::sync::Lock;

static ENTRIES: Lock<Vec<Entry>> = Lock::new(Vec::new());

/// How many there are of them: who asks for what was made long ago has no need of the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// One that is being made.
struct Entry {
    key: usize,
    label: &'static str,
    manager: ManagerId,
    /// Which ones it has asked for.
    needs: Vec<usize>,
    /// What it was given.
    used: Vec<ResourceId>,
}

/// One is being made while this lives.
pub(super) struct Making {
    key: usize,
}

impl Making {
    pub(super) fn begin(key: usize, label: &'static str, manager: &ResourceManager) -> Making {
        let manager = manager.node().id;
        ENTRIES.lock().push(Entry { key, label, manager, needs: Vec::new(), used: Vec::new() });
        COUNT.fetch_add(1, Relaxed);
        Making { key }
    }

    /// What it was given meanwhile.
    pub(super) fn end(self) -> Vec<ResourceId> {
        let mut entries = ENTRIES.lock();
        let at = entries.iter().position(|entry| entry.key == self.key);
        at.map(|at| std::mem::take(&mut entries[at].used)).unwrap_or_default()
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        ENTRIES.lock().retain(|entry| entry.key != self.key);
        COUNT.fetch_sub(1, Relaxed);
    }
}

/// The managers of the scope that the calling thread is in, the innermost first. None where nothing is being made.
fn scope() -> Vec<ManagerId> {
    if COUNT.load(Relaxed) == 0 {
        return Vec::new();
    }
    let innermost = innermost();
    innermost.iter().flat_map(|manager| manager.node().upwards()).map(|node| node.id).collect()
}

/// Whoever is being made here asks for this one, and will wait for it.
///
/// # Errors
/// When that one waits for who is asking: who needs whom, from this one on and back to it.
pub(super) fn needed(key: usize, label: &'static str) -> Result<(), Vec<&'static str>> {
    let scope = scope();
    let mut entries = ENTRIES.lock();
    let Some(at) = asking(&entries, &scope) else { return Ok(()) };
    if let Some(mut path) = path(&entries, key, entries[at].key) {
        path.push(label);
        return Err(path);
    }
    entries[at].needs.push(key);
    Ok(())
}

/// Whoever is being made here has been given this one.
pub(super) fn used(id: ResourceId) {
    let scope = scope();
    if !scope.is_empty() {
        let mut entries = ENTRIES.lock();
        if let Some(at) = asking(&entries, &scope) {
            entries[at].used.push(id);
        }
    }
}

fn asking(entries: &[Entry], scope: &[ManagerId]) -> Option<usize> {
    scope.iter().find_map(|id| entries.iter().position(|entry| entry.manager == *id))
}

/// The labels on a way from one to another, by what each has asked for.
fn path(entries: &[Entry], from: usize, to: usize) -> Option<Vec<&'static str>> {
    let entry = entries.iter().find(|entry| entry.key == from)?;
    let further =
        if from == to { Vec::new() } else { entry.needs.iter().find_map(|need| path(entries, *need, to))? };
    Some(std::iter::once(entry.label).chain(further).collect())
}
