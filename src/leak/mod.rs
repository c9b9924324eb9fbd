//! What is alive that should not be: [`ResourceLeak`] and its reasons.
//!
//! In comes what the registry holds; out goes a list, worst first. It only looks: nothing is cleaned, and what is
//! ending anyway (deferred, being cleaned) is no leak of its own.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Coarse;
use crate::id::{Label, ResourceId};
use crate::registry::entry::{Entry, Phase};
use crate::registry::tree::Node;
use crate::registry::{Seen, registry};
use crate::resource::{Category, Metadata};

/// A live resource that should not be, with all that is known of it.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("leaks");
/// std::mem::forget(manager.guard("forgotten", || ()));
/// let leaks = manager.detect_leaks();
/// assert_eq!(leaks.len(), 1);
/// assert!(leaks[0].to_string().starts_with("`forgotten` (made at "));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceLeak {
    /// The resource.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// Its kind.
    pub category: Category,
    /// How long it has lived.
    pub age: Duration,
    /// Why it counts as a leak.
    pub reasons: Vec<LeakReason>,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// The thread that registered it.
    pub thread: Label,
    /// The manager it is registered with.
    pub manager: Label,
    /// Its tags.
    pub tags: Vec<Label>,
    /// Its metadata.
    pub metadata: Metadata,
    /// What needs it.
    pub dependents: Vec<ResourceId>,
}

impl fmt::Display for ResourceLeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` (made at {} by {}, in `{}`)",
            self.label, self.created_at, self.thread, self.manager
        )?;
        let reasons: Vec<String> = self.reasons.iter().map(LeakReason::to_string).collect();
        write!(f, " has lived for {:.1?}: {}", self.age, reasons.join(", "))
    }
}

/// Why a live resource counts as a leak.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("reasons");
/// let _guard = manager.guard("held", || ());
/// assert_eq!(manager.detect_leaks()[0].reasons, [castoff::LeakReason::StillLive]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum LeakReason {
    /// It is older than its limit.
    Overdue {
        /// The limit, of the resource or its manager.
        limit: Duration,
    },
    /// It was said to be in use once, and has not been for as long as its limit.
    Unused {
        /// How long ago it was last said to be in use.
        since: Duration,
    },
    /// It is live, and nobody set a limit.
    StillLive,
}

impl fmt::Display for LeakReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeakReason::Overdue { limit } => write!(f, "older than {limit:.1?}"),
            LeakReason::Unused { since } => write!(f, "not used for {since:.1?}"),
            LeakReason::StillLive => f.write_str("still live"),
        }
    }
}

/// Everything live below this manager that should not be: the most reasons first, then the oldest.
pub(crate) fn detect(within: &Arc<Node>) -> Vec<ResourceLeak> {
    let mut leaks = Vec::new();
    for node in within.subtree() {
        registry().scan(&node, |seen| leaks.extend(judge(&node, &seen)));
    }
    let graph = within.tree.graph.lock();
    for leak in &mut leaks {
        leak.dependents = graph.dependents(leak.id);
    }
    drop(graph);
    leaks.sort_by(|one, other| other.reasons.len().cmp(&one.reasons.len()).then(other.age.cmp(&one.age)));
    leaks
}

fn judge(node: &Node, seen: &Seen<'_>) -> Option<ResourceLeak> {
    let entry = seen.entry;
    let meant = entry.extra.as_ref().is_some_and(|extra| extra.long_lived || extra.leaked);
    if meant || entry.phase != Phase::Live || !seen.is_ours() {
        return None;
    }
    let age = entry.created.elapsed();
    let reasons = reasons(node, entry, age);
    if reasons.is_empty() {
        return None;
    }
    Some(ResourceLeak {
        id: seen.id,
        label: entry.label.clone(),
        category: entry.category,
        age,
        reasons,
        created_at: entry.created_at,
        thread: seen.thread.cloned().unwrap_or_else(|| Label::from("a thread that was ending")),
        manager: node.name.clone(),
        tags: entry.tags().to_vec(),
        metadata: entry.extra.as_ref().map(|extra| extra.metadata.clone()).unwrap_or_default(),
        dependents: Vec::new(),
    })
}

fn reasons(node: &Node, entry: &Entry, age: Duration) -> Vec<LeakReason> {
    let extra = entry.extra.as_ref();
    let limit = extra.and_then(|extra| extra.leak_after).unwrap_or(node.config.leak_after);
    if age < limit {
        return Vec::new();
    }
    if limit.is_zero() {
        return vec![LeakReason::StillLive];
    }
    let since = extra.and_then(|extra| extra.touched).map(|touched| Coarse::now().since(touched));
    let unused = since.filter(|since| *since >= limit).map(|since| LeakReason::Unused { since });
    std::iter::once(LeakReason::Overdue { limit }).chain(unused).collect()
}
