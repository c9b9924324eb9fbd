//! What is found and told, by unit tests; and what those of several modules here need.

mod allow;
mod growth;

use std::panic::Location;
use std::time::Duration;

use crate::finding::ResourceLeak;
use crate::id::{Label, ResourceId};
use crate::resource::Category;

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
