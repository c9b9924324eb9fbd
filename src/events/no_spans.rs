//! The same as `spans` without the feature `tracing`: nothing.

use crate::cleanup::CleanupReason;
use crate::events::ResourceEvent;
use crate::id::{Label, ResourceId};

#[inline(always)]
pub(crate) fn on() -> bool {
    false
}

#[inline(always)]
pub(crate) fn event(_: &Label, _: &ResourceEvent) {}

pub(crate) struct InSpan;

impl InSpan {
    #[inline(always)]
    pub(crate) fn teardown(_: &Label) -> InSpan {
        InSpan
    }

    #[inline(always)]
    pub(crate) fn cleanup(_: ResourceId, _: impl FnOnce() -> Option<Label>, _: CleanupReason) -> InSpan {
        InSpan
    }
}

pub(crate) struct Here;

#[inline(always)]
pub(crate) fn here() -> Here {
    Here
}

impl Here {
    #[inline(always)]
    pub(crate) fn enter(self) -> InSpan {
        InSpan
    }
}
