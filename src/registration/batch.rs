//! Many at once, all or none: [`ResourceDefinition`].

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::cleanup::{Outcome, Work, work};
use crate::error::RegisterError;
use crate::events::{ResourceEvent, anyone_listens};
use crate::guard::{Always, ResourceGuard};
use crate::id::Label;
use crate::registration::enter::{add_evidence, draft, refuse_with};
use crate::registry::entry::Extra;
use crate::registry::tree::Node;
use crate::registry::{Applicant, Need, registry};
use crate::resource::{Category, MetadataValue, Priority};

/// One resource of a batch, for registrations that come from data.
///
/// # Examples
/// ```
/// use castoff::{ResourceDefinition, ResourceManager};
///
/// let manager = ResourceManager::new("batch");
/// let guards = manager.register_batch([
///     ResourceDefinition::new("server", || ()).depends_on_name("pool"),
///     ResourceDefinition::new("orders pool", || ()).named("pool"),
/// ])?;
/// assert_eq!(guards.len(), 2);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[must_use = "a definition does nothing until it is registered with `register_batch`"]
pub struct ResourceDefinition {
    label: Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    priority: Option<Priority>,
    extra: Box<Extra>,
    needs: Vec<Need>,
    work: Work,
}

impl ResourceDefinition {
    /// A resource of this label, with this cleanup, made on the calling line.
    #[track_caller]
    pub fn new<F, O>(label: impl Into<Label>, cleanup: F) -> ResourceDefinition
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        ResourceDefinition {
            label: label.into(),
            created_at: Location::caller(),
            category: None,
            priority: None,
            extra: Box::default(),
            needs: Vec::new(),
            work: work(cleanup),
        }
    }

    /// A name: see [`Registration::named`](crate::Registration::named).
    pub fn named(mut self, name: impl Into<Label>) -> Self {
        self.extra.name = Some(name.into());
        self
    }

    /// The kind of resource: see [`Registration::category`](crate::Registration::category).
    pub fn category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// How urgent the cleanup is: see [`Registration::priority`](crate::Registration::priority).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long the cleanup may take: see [`Registration::timeout`](crate::Registration::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.extra.timeout = Some(limit);
        self
    }

    /// One more tag, for filters.
    pub fn tag(mut self, tag: impl Into<Label>) -> Self {
        self.extra.tags.push(tag.into());
        self
    }

    /// A sentence about it, for infos.
    pub fn description(mut self, text: impl Into<Label>) -> Self {
        self.extra.description = Some(text.into());
        self
    }

    /// Something else worth knowing. A key given again replaces its value.
    pub fn metadata(mut self, key: impl Into<Label>, value: impl Into<MetadataValue>) -> Self {
        self.extra.metadata.set(key.into(), value.into());
        self
    }

    /// It needs the resource of this name: another of the batch, earlier or later, or one that is live in the
    /// manager or above.
    pub fn depends_on_name(mut self, name: impl Into<Label>) -> Self {
        self.needs.push(Need::Name(name.into()));
        self
    }
}

impl fmt::Debug for ResourceDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceDefinition")
            .field("label", &self.label)
            .field("name", &self.extra.name)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// Registers all of these or none.
pub(crate) fn register_batch(
    node: &Arc<Node>,
    definitions: Vec<ResourceDefinition>,
) -> Result<Vec<ResourceGuard<()>>, RegisterError> {
    let apply = |definition: ResourceDefinition| {
        let ResourceDefinition { label, created_at, category, priority, extra, needs, work } = definition;
        let mut draft = draft(node, label, created_at, category, priority, Some(extra), work);
        add_evidence(node, &mut draft);
        Applicant { draft, needs }
    };
    let applicants: Vec<Applicant> = definitions.into_iter().map(apply).collect();
    let labels: Vec<Label> = match anyone_listens() {
        true => applicants.iter().map(|applicant| applicant.draft.label.clone()).collect(),
        false => Vec::new(),
    };
    let ids = registry().admit(node, applicants).map_err(|refused| refuse_with::<Always>(node, refused))?;
    for (id, label) in ids.iter().zip(labels) {
        node.tell(&ResourceEvent::Registered { id: *id, label });
    }
    for id in &ids {
        registry().open(*id);
    }
    Ok(ids.into_iter().map(|id| ResourceGuard::new((), id)).collect())
}
