//! What the tests of several modules here need: managers, and what they hold.

use std::panic::Location;
use std::sync::Arc;

use crate::cleanup::work;
use crate::config::ManagerConfig;
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
pub(super) fn put(node: &Arc<Node>, label: &'static str) -> ResourceId {
    let draft = Draft {
        label: Label::from(label),
        category: Category::Event,
        priority: Priority::Medium,
        created_at: Location::caller(),
        work: work(|| ()),
        extra: None,
    };
    registry().insert(node, draft, Phase::Live, false)
}
