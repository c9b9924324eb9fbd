//! From a draft to an id: asked for or not, told to who listens, and what happens to the refused.

use std::panic::Location;
use std::sync::Arc;

use crate::cleanup::{CleanupReason, Work};
use crate::error::RegisterError;
use crate::events::{ResourceEvent, anyone_listens};
use crate::guard::Strategy;
use crate::id::{Label, ResourceId};
use crate::leak::trace;
use crate::registry::entry::{Draft, Extra, Phase, Plain};
use crate::registry::tree::Node;
use crate::registry::{Applicant, Need, Refused, Registry, registry};
use crate::resource::{Category, Known, Priority};
use crate::unwind::contain;
use crate::work::{run_freed, run_refused};

#[inline]
pub(super) fn draft(
    node: &Node,
    label: Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    priority: Option<Priority>,
    extra: Option<Box<Extra>>,
    work: Work,
) -> Draft {
    let category = category.unwrap_or(Category::Event);
    let priority = priority.unwrap_or_else(|| usual_priority(node, category));
    Draft { label, category, priority, created_at, work, extra }
}

#[inline]
fn usual_priority(node: &Node, category: Category) -> Priority {
    if node.config.priority_by_category { category.typical_priority() } else { category.default_priority() }
}

/// Whether everything that asks for nothing of its own can be registered.
#[inline]
fn is_open(node: &Node) -> bool {
    !node.slow && !node.is_sealed()
}

/// What most registrations ask for. `None`: there is more to it, or it may be refused.
#[inline]
pub(crate) fn plain(
    node: &Node,
    label: &Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    priority: Option<Priority>,
) -> Option<Plain> {
    let category = category.unwrap_or(Category::Event);
    let priority = priority.unwrap_or_else(|| usual_priority(node, category));
    match (label.text(), category.known()) {
        (Some(text), Some(category)) if !text.is_empty() && is_open(node) => {
            Some(Plain { text, category, priority, created_at })
        }
        _ => None,
    }
}

#[inline(always)]
pub(crate) fn register_plain(node: &Arc<Node>, plain: Plain, work: Work) -> ResourceId {
    // Taken apart, and put together only where it has to lie in memory.
    let Plain { text, category, priority, created_at } = plain;
    if !work.is_async()
        && let Some(spot) = Registry::find_spot(node)
    {
        return spot.fill(Plain { text, category, priority, created_at }, work);
    }
    register_beside(node, text, category, priority, created_at, work)
}

#[inline(never)]
fn register_beside(
    node: &Arc<Node>,
    text: &'static str,
    category: Known,
    priority: Priority,
    created_at: &'static Location<'static>,
    work: Work,
) -> ResourceId {
    let plain = Plain { text, category, priority, created_at };
    if work.is_async() || anyone_listens() {
        announce(node, plain.with(work))
    } else {
        registry().insert_plain(node, plain, work)
    }
}

#[inline(never)]
pub(super) fn register(node: &Arc<Node>, mut draft: Draft, needs: Vec<Need>) -> Result<ResourceId, Refused> {
    let named = draft.extra.as_ref().is_some_and(|extra| extra.name.is_some());
    if node.slow {
        add_evidence(node, &mut draft);
    }
    if needs.is_empty() && !named && !node.limited && !node.is_sealed() && !draft.label.is_empty() {
        return seen_in(node, announce(node, draft));
    }
    let heard = anyone_listens().then(|| draft.label.clone());
    let ids = registry().admit(node, vec![Applicant { draft, needs }])?;
    let id = ids.first().copied().unwrap_or(ResourceId::NONE);
    if let Some(label) = heard {
        node.tell(&ResourceEvent::Registered { id, label });
    }
    registry().open(id);
    seen_in(node, id)
}

/// A builder's registration is in. A shutdown may have looked for the last time between the question and the answer.
#[inline]
pub(super) fn seen_in(node: &Arc<Node>, id: ResourceId) -> Result<ResourceId, Refused> {
    if node.is_sealed() { overtaken(node, id) } else { Ok(id) }
}

/// Registered while the manager was sealed: refused, unless a teardown has seen it and will clean it.
#[cold]
fn overtaken(node: &Arc<Node>, id: ResourceId) -> Result<ResourceId, Refused> {
    let Some((draft, freed)) = registry().take_back(id) else { return Ok(id) };
    registry().retire(node);
    let label = draft.label.clone();
    if anyone_listens() {
        node.tell(&ResourceEvent::Released { id, label: label.clone() });
    }
    let error = RegisterError::ShutDown { label, manager: node.name.clone() };
    Err(Refused { error, drafts: vec![draft], freed })
}

/// Registers without asking, and tells who listens before anyone may clean it.
#[inline(never)]
fn announce(node: &Arc<Node>, draft: Draft) -> ResourceId {
    let label = anyone_listens().then(|| draft.label.clone());
    let phase = if label.is_some() { Phase::Entering } else { Phase::Live };
    let id = registry().insert(node, draft, phase, false);
    if let Some(label) = label {
        node.tell(&ResourceEvent::Registered { id, label });
        registry().open(id);
    }
    id
}

/// Registers for a short form, which is never refused.
#[inline(always)] // what is known where people register is written where it belongs, and nowhere on the way
pub(crate) fn register_short(
    node: &Arc<Node>,
    label: Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    extra: Option<Box<Extra>>,
    work: Work,
) -> ResourceId {
    let plain = if extra.is_none() { plain(node, &label, created_at, category, None) } else { None };
    match plain {
        Some(plain) => register_plain(node, plain, work),
        None => register_any(node, label, created_at, category, extra, work),
    }
}

#[inline(never)]
fn register_any(
    node: &Arc<Node>,
    label: Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    extra: Option<Box<Extra>>,
    work: Work,
) -> ResourceId {
    let label = if label.is_empty() { Label::from("unnamed") } else { label };
    let draft = draft(node, label, created_at, category, None, extra, work);
    if is_open(node) { announce(node, draft) } else { register_anyway(node, draft) }
}

/// The backtrace, where the manager's policy wants it.
#[cold]
pub(super) fn add_evidence(node: &Node, draft: &mut Draft) {
    if let Some(backtrace) = trace(node.config.backtraces, draft.created_at) {
        draft.extra.get_or_insert_default().backtrace = Some(backtrace);
    }
}

#[cold]
fn register_anyway(node: &Arc<Node>, mut draft: Draft) -> ResourceId {
    add_evidence(node, &mut draft);
    let label = draft.label.clone();
    let limit = registry().limit_reached(node, 1);
    let id = announce(node, draft);
    if let Some(limit) = limit {
        node.tell(&ResourceEvent::LimitExceeded { label: label.clone(), limit });
    }
    if node.is_sealed() {
        node.tell(&ResourceEvent::RegisteredAfterShutdown { id, label });
    }
    id
}

/// A refusal, once what was refused is cleaned.
#[cold]
pub(super) fn refuse_with<S: Strategy>(node: &Arc<Node>, refused: Refused) -> RegisterError {
    let Refused { error, drafts, freed } = refused;
    refuse::<S>(node, drafts);
    run_freed(freed);
    error
}

/// What was refused is cleaned here, the newest first, if the strategy says so.
pub(super) fn refuse<S: Strategy>(node: &Arc<Node>, drafts: Vec<Draft>) {
    let wanted = contain(S::should_run).unwrap_or(true);
    let reason = if std::thread::panicking() { CleanupReason::Panicking } else { CleanupReason::Dropped };
    for draft in drafts.into_iter().rev() {
        match wanted {
            true => run_refused(node, draft, reason),
            false => drop(contain(move || drop(draft))),
        }
    }
}
