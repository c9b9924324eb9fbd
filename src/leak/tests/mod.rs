//! What the tests of several modules here need: managers, and what they hold.

mod allow;
mod growth;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::cleanup::work;
use crate::config::ManagerConfig;
use crate::finding::ResourceLeak;
use crate::id::{Label, ResourceId};
use crate::registry::entry::{Draft, Phase};
use crate::registry::registry;
use crate::registry::tree::{Node, Seed};
use crate::resource::{Category, Priority};

pub(super) fn manager() -> Arc<Node> {
    manager_with(ManagerConfig::default())
}

pub(super) fn manager_with(config: ManagerConfig) -> Arc<Node> {
    let (name, created_at) = (Label::from("m"), Location::caller());
    registry().new_node(Seed { name, created_at, config, parent: None })
}

#[track_caller]
pub(super) fn draft(label: &'static str) -> Draft {
    Draft {
        label: Label::from(label),
        category: Category::Event,
        priority: Priority::Medium,
        created_at: Location::caller(),
        work: work(|| ()),
        extra: None,
    }
}

#[track_caller]
pub(super) fn put(node: &Arc<Node>, label: &'static str, phase: Phase) -> ResourceId {
    registry().insert(node, draft(label), phase, false)
}

/// One of this label, found a second after it came.
pub(super) fn leak(label: &'static str) -> ResourceLeak {
    ResourceLeak {
        id: ResourceId(1),
        label: Label::from(label),
        category: Category::Event,
        age: Duration::from_secs(1),
        reasons: Vec::new(),
        created_at: Location::caller(),
        thread: Label::from("main"),
        manager: Label::from("m"),
        tags: Vec::new(),
        metadata: Default::default(),
        dependents: Vec::new(),
        touches: Vec::new(),
        backtrace: None,
    }
}
