//! The graph by example, at size, and at random against a naive version.

mod live;
mod naive;
mod ordered;
mod parts;
mod random;
mod size;

use super::{Circle, Graph, Unit};
use crate::id::{ManagerId, ResourceId};

fn resource(id: u64) -> Unit {
    Unit::Resource(ResourceId(id))
}

fn manager(id: u64) -> Unit {
    Unit::Manager(ManagerId(id))
}

fn ids(ids: impl IntoIterator<Item = u64>) -> Vec<ResourceId> {
    ids.into_iter().map(ResourceId).collect()
}

/// An edge between two resources of one manager.
fn needs(graph: &mut Graph, dependent: u64, dependency: u64) -> Result<(), Circle> {
    graph.connect(ResourceId(dependent), ResourceId(dependency), (resource(dependent), resource(dependency)))
}

/// An edge between resources of two managers, and so between these units.
fn across(
    graph: &mut Graph,
    (dependent, above): (u64, Unit),
    (dependency, below): (u64, Unit),
) -> Result<(), Circle> {
    graph.connect(ResourceId(dependent), ResourceId(dependency), (above, below))
}

fn circle(path: impl IntoIterator<Item = Unit>) -> Result<(), Circle> {
    Err(Circle { path: path.into_iter().collect() })
}
