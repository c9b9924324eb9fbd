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

#[cfg(feature = "tokio")]
pub(crate) struct Journey;

#[cfg(feature = "tokio")]
impl Journey {
    #[inline(always)]
    pub(crate) fn new(
        _: ResourceId,
        _: impl FnOnce() -> Option<Label>,
        _: CleanupReason,
        _: std::sync::Arc<Here>,
    ) -> Journey {
        Journey
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self) {}

    #[inline(always)]
    pub(crate) fn within(&self) -> During {
        During
    }
}

#[cfg(feature = "tokio")]
pub(crate) struct During;
