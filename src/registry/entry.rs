//! What the registry keeps of one resource.

use std::backtrace::Backtrace;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::cleanup::Work;
use crate::clock::Coarse;
use crate::error::CleanupError;
use crate::id::{Label, Stamp};
use crate::registry::shard::NO_LINK;
use crate::resource::{Category, Known, Metadata, Priority, ResourceState};
use crate::touch::TouchLog;

/// A value whose guard is gone, kept until its cleanup has ended.
pub(crate) type Kept = Box<dyn Send>;

/// Where an entry is in its life. Up to `Cleaning` it counts as live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Being announced to listeners: nobody may clean it yet, or they would hear of its end first.
    Entering,
    Live,
    Deferred,
    Cleaning,
    Cleaned,
    Failed,
    TimedOut,
    Released,
}

impl Phase {
    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Phase::Cleaned | Phase::Failed | Phase::TimedOut | Phase::Released)
    }

    /// Whether something new may depend on it.
    pub(crate) fn can_be_needed(self) -> bool {
        matches!(self, Phase::Entering | Phase::Live | Phase::Deferred)
    }
}

impl From<Phase> for ResourceState {
    fn from(phase: Phase) -> ResourceState {
        match phase {
            Phase::Entering | Phase::Live => ResourceState::Live,
            Phase::Deferred => ResourceState::Deferred,
            Phase::Cleaning => ResourceState::Cleaning,
            Phase::Cleaned => ResourceState::Cleaned,
            Phase::Failed => ResourceState::Failed,
            Phase::TimedOut => ResourceState::TimedOut,
            Phase::Released => ResourceState::Released,
        }
    }
}

/// What a registration asks for.
pub(crate) struct Draft {
    pub(crate) label: Label,
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) work: Work,
    pub(crate) extra: Option<Box<Extra>>,
}

impl Draft {
    /// After which time it is to be taken for a leak, where it has one of its own.
    pub(crate) fn leak_after(&self) -> Option<Duration> {
        self.extra.as_ref().and_then(|extra| extra.leak_after)
    }
}

/// What a registration asks for that asks for no more than most.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) text: &'static str,
    pub(crate) category: Known,
    pub(crate) priority: Priority,
    pub(crate) created_at: &'static Location<'static>,
}

impl Plain {
    /// The same as one that asks for more.
    pub(crate) fn with(self, work: Work) -> Draft {
        let Plain { text, category, priority, created_at } = self;
        Draft { label: Label::from(text), category: category.into(), priority, created_at, work, extra: None }
    }
}

/// One resource. With what its slot needs it takes two cache lines.
pub(crate) struct Entry {
    pub(crate) label: Label,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) created: Coarse,
    pub(crate) turn: u64,
    pub(crate) number: u64,
    pub(crate) work: Option<Work>,
    pub(crate) extra: Option<Box<Extra>>,
    /// Its manager's member in the shard, and the thread that registered it.
    pub(crate) member: u32,
    pub(crate) thread: u32,
    /// The neighbours in its member's list, the newer one first.
    pub(crate) newer: u32,
    pub(crate) older: u32,
    pub(crate) era: u32,
    /// Its category, unless that is in what few resources have.
    known: Option<Known>,
    pub(crate) priority: Priority,
    pub(crate) phase: Phase,
    /// A guard holds it: its slot stays after its end, so that the guard can ask how it ended.
    pub(crate) guarded: bool,
    /// It has, or had, an edge in the graph.
    pub(crate) linked: bool,
    /// Somebody waits for its end.
    pub(crate) watched: bool,
    /// Another thread than the one that registered it has used it.
    pub(crate) roams: bool,
}

/// What the registry says of a newcomer.
#[derive(Clone, Copy)]
pub(crate) struct Newcomer {
    pub(crate) created: Coarse,
    pub(crate) turn: u64,
    pub(crate) era: u32,
    pub(crate) phase: Phase,
    pub(crate) linked: bool,
}

/// What few resources have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Label>,
    /// The name of its category, where that has no number.
    custom: Option<&'static str>,
    pub(crate) description: Option<Label>,
    pub(crate) tags: Vec<Label>,
    pub(crate) metadata: Metadata,
    pub(crate) timeout: Option<Duration>,
    pub(crate) leak_after: Option<Duration>,
    pub(crate) estimated_bytes: Option<usize>,
    pub(crate) long_lived: bool,
    pub(crate) last_resort: Option<Work>,
    pub(crate) touches: Option<Box<TouchLog>>,
    pub(crate) backtrace: Option<Arc<Backtrace>>,
    /// Held on purpose by `ResourceGuard::leak`.
    pub(crate) leaked: bool,
    pub(crate) kept: Option<Kept>,
    /// How its cleanup failed.
    pub(crate) error: Option<CleanupError>,
}

impl Extra {
    /// Nothing but a last resort.
    pub(crate) fn forced(last_resort: Work) -> Extra {
        Extra { last_resort: Some(last_resort), ..Extra::default() }
    }
}

impl Default for Entry {
    /// What stands in a slot that is not in use.
    fn default() -> Entry {
        Entry {
            label: Label::from(""),
            created_at: Location::caller(),
            created: Coarse::default(),
            turn: 0,
            number: 0,
            work: None,
            extra: None,
            member: 0,
            thread: 0,
            newer: NO_LINK,
            older: NO_LINK,
            era: 0,
            known: Some(Known::Event),
            priority: Priority::Medium,
            phase: Phase::Released,
            guarded: false,
            linked: false,
            watched: false,
            roams: false,
        }
    }
}

impl Entry {
    /// Fills an empty slot in place, field by field: a whole entry would be moved about on the way.
    #[inline(always)]
    pub(crate) fn fill(&mut self, draft: Draft, new: Newcomer) {
        self.label = draft.label;
        self.created_at = draft.created_at;
        self.created = new.created;
        self.turn = new.turn;
        self.work = Some(draft.work);
        // A slot that is free holds none.
        if draft.extra.is_some() {
            self.extra = draft.extra;
        }
        self.known = draft.category.known();
        if self.known.is_none()
            && let Category::Custom(name) = draft.category
        {
            self.extra_mut().custom = Some(name);
        }
        self.era = new.era;
        self.priority = draft.priority;
        self.phase = new.phase;
        self.guarded = true;
        self.linked = new.linked;
        self.watched = false;
        self.roams = false;
    }

    /// The same for a plain one; without its work where that is claimed already, as in the spot of a shard it may be.
    pub(crate) fn settle(&mut self, plain: Plain, work: Option<Work>, new: Newcomer) {
        self.label = Label::from(plain.text);
        self.known = Some(plain.category);
        self.created_at = plain.created_at;
        self.created = new.created;
        self.turn = new.turn;
        self.work = work;
        self.era = new.era;
        self.priority = plain.priority;
        self.phase = new.phase;
        self.guarded = new.phase == Phase::Live;
        self.linked = new.linked;
        self.watched = false;
        self.roams = false;
    }

    #[inline]
    pub(crate) fn category(&self) -> Category {
        let named = || self.extra.as_ref().and_then(|extra| extra.custom).map(Category::Custom);
        self.known.map(Category::from).or_else(named).unwrap_or(Category::Event)
    }

    pub(crate) fn stamp(&self, shard: u32) -> Stamp {
        Stamp { turn: self.turn, shard, number: self.number }
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Somebody waits for its end from now on.
    pub(crate) fn watch(&mut self) {
        self.watched = true;
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.extra.as_ref().and_then(|extra| extra.timeout)
    }

    pub(crate) fn name(&self) -> Option<&Label> {
        self.extra.as_ref().and_then(|extra| extra.name.as_ref())
    }

    pub(crate) fn tags(&self) -> &[Label] {
        self.extra.as_ref().map_or(&[], |extra| &extra.tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 120, "{} bytes", size_of::<Entry>());
    }
}
