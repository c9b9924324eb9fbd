//! Tells listeners of each leak once, and of its end if that comes.
//!
//! Only where anybody listens: what nobody hears of is not remembered. A resource that was told of is watched, as one
//! that a teardown waits for is, and its end comes through the registry's observers.

use std::collections::HashMap;
use std::sync::Arc;

use once_cell::sync::Lazy;

use crate::events::{ResourceEvent, anyone_listens};
use crate::finding::ResourceLeak;
use crate::id::{Label, ResourceId};
use crate::registry::tree::Node;
use crate::registry::{Observing, registry};
use crate::sync::Lock;

static FOLLOWED: Lazy<Lock<Followed>> = Lazy::new(Lock::default);

#[derive(Default)]
struct Followed {
    leaks: HashMap<ResourceId, Told>,
    /// While there are any.
    observing: Option<Observing>,
}

struct Told {
    node: Arc<Node>,
    label: Label,
    /// Not before: its end must not be heard of first.
    is_told: bool,
}

/// Tells of those that have not been told of before.
pub(super) fn follow(leaks: &[ResourceLeak]) {
    if leaks.is_empty() || !anyone_listens() {
        return;
    }
    let mut news = Vec::new();
    {
        let mut followed = FOLLOWED.lock();
        for leak in leaks {
            if followed.leaks.contains_key(&leak.id) {
                continue;
            }
            // Gone since it was found, perhaps told of by another look, and told to have ended.
            let Some(node) = registry().node_of(leak.id) else { continue };
            if node.is_heard() {
                let told = Told { node: node.clone(), label: leak.label.clone(), is_told: false };
                followed.leaks.insert(leak.id, told);
                news.push((node, leak));
            }
        }
        if !news.is_empty() {
            followed.observing.get_or_insert_with(|| registry().observe(Arc::new(|id, _| ended(id))));
        }
    }
    for (node, leak) in &news {
        node.tell(&ResourceEvent::LeakDetected { leak: (*leak).clone() });
        if let Some(told) = FOLLOWED.lock().leaks.get_mut(&leak.id) {
            told.is_told = true;
        }
        registry().watch(leak.id);
        // It may have ended before it was watched.
        if !registry().is_live(leak.id) {
            ended(leak.id);
        }
    }
}

fn ended(id: ResourceId) {
    let (gone, spare) = {
        let mut followed = FOLLOWED.lock();
        if followed.leaks.get(&id).is_none_or(|told| !told.is_told) {
            return;
        }
        let gone = followed.leaks.remove(&id);
        let spare = if followed.leaks.is_empty() { followed.observing.take() } else { None };
        (gone, spare)
    };
    drop(spare);
    if let Some(Told { node, label, .. }) = gone {
        node.tell(&ResourceEvent::Unleaked { id, label });
    }
}
