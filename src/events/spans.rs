//! The feature `tracing`: teardowns and cleanups as spans, events as events.
//!
//! A subscriber is foreign code: it is called with no lock held, and its panics are contained. While there is none this
//! costs one load of an atomic that nobody writes.

use std::cell::Cell;

use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Span, debug, debug_span, info_span, warn};

use crate::cleanup::CleanupReason;
use crate::events::ResourceEvent;
use crate::id::{Label, ResourceId};
use crate::unwind::contain;

/// Whether there is a subscriber that wants anything at all. Known to the compiler where a program leaves tracing out of
/// its build (`max_level_off`).
#[inline]
pub(crate) fn on() -> bool {
    STATIC_MAX_LEVEL != LevelFilter::OFF && LevelFilter::current() != LevelFilter::OFF && !TELLING.get()
}

thread_local! {
    /// The calling thread is inside of the subscriber: what that does with castoff is told to nobody, or it would never
    /// end. tracing itself sees to that only where subscribers are scoped.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Calls the subscriber. `None` if it panicked.
fn call<R>(f: impl FnOnce() -> R) -> Option<R> {
    let before = TELLING.replace(true);
    let result = contain(f);
    TELLING.set(before);
    result
}

/// Tells the subscriber.
pub(crate) fn event(manager: &Label, event: &ResourceEvent) {
    if on() {
        call(|| tell(manager, event));
    }
}

fn tell(manager: &Label, event: &ResourceEvent) {
    let manager: &str = manager;
    let (id, resource) = (event.id().map(tracing::field::debug), event.label().map(|label| &**label));
    match event {
        ResourceEvent::Registered { .. } => debug!(target: "castoff", manager, id, resource, "registered"),
        ResourceEvent::Released { .. } => debug!(target: "castoff", manager, id, resource, "released"),
        ResourceEvent::Deferred { .. } => debug!(target: "castoff", manager, id, resource, "deferred"),
        ResourceEvent::Cleaned { .. } => debug!(target: "castoff", manager, id, resource, "cleaned"),
        ResourceEvent::Unleaked { .. } => debug!(target: "castoff", manager, id, resource, "leak has ended"),
        // Their beginnings and ends are spans.
        ResourceEvent::TeardownStarted { .. } | ResourceEvent::TeardownFinished { .. } => {}
        ResourceEvent::CleanupFailed { error } => {
            let made_at = tracing::field::display(error.created_at);
            warn!(target: "castoff", manager, id, resource, made_at, error = %error, "cleanup failed");
        }
        ResourceEvent::SlowCleanup { .. } => {
            warn!(target: "castoff", manager, id, resource, "slow cleanup");
        }
        ResourceEvent::Unwatched { .. } => {
            warn!(target: "castoff", manager, id, resource, "cleanup without a thread of its own, and without its limit");
        }
        ResourceEvent::LeakDetected { leak } => {
            let made_at = tracing::field::display(leak.created_at);
            let (age, why) = (leak.age.as_secs_f64(), leak.why());
            warn!(target: "castoff", manager, id, resource, made_at, age, why, "leak");
        }
        ResourceEvent::FinishedLate { after, .. } => {
            let after = after.as_secs_f64();
            warn!(target: "castoff", manager, id, resource, after, "cleanup ended late");
        }
        ResourceEvent::LimitExceeded { limit, .. } => {
            warn!(target: "castoff", manager, resource, limit, "limit exceeded");
        }
        ResourceEvent::RegisteredAfterShutdown { .. } => {
            warn!(target: "castoff", manager, id, resource, "registered after shutdown");
        }
    }
}

/// The calling thread is in a span while this lives.
#[must_use = "dropping it leaves the span"]
pub(crate) struct InSpan(Option<Span>);

impl InSpan {
    #[inline]
    pub(crate) fn teardown(manager: &Label) -> InSpan {
        InSpan::enter(|| info_span!(target: "castoff", "teardown", manager = &**manager))
    }

    /// The label is asked for only if anybody wants it.
    #[inline]
    pub(crate) fn cleanup(
        id: ResourceId,
        label: impl FnOnce() -> Option<Label>,
        reason: CleanupReason,
    ) -> InSpan {
        InSpan::enter(|| of_cleanup(id, label().as_ref(), reason))
    }

    #[inline]
    fn enter(make: impl FnOnce() -> Span) -> InSpan {
        InSpan(if on() { call(make).map(entered) } else { None })
    }
}

fn of_cleanup(id: ResourceId, label: Option<&Label>, reason: CleanupReason) -> Span {
    let (resource, reason) = (label.map(|label| &**label), tracing::field::debug(reason));
    debug_span!(target: "castoff", "cleanup", id = ?id, resource, reason)
}

#[cold]
fn entered(span: Span) -> Span {
    enter(&span);
    span
}

/// Not by its own guard: what that calls when it is dropped could unwind.
fn enter(span: &Span) {
    call(|| span.with_subscriber(|(id, subscriber)| subscriber.enter(id)));
}

fn exit(span: &Span) {
    call(|| span.with_subscriber(|(id, subscriber)| subscriber.exit(id)));
}

impl Drop for InSpan {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            leave(span);
        }
    }
}

#[cold]
fn leave(span: Span) {
    exit(&span);
    call(move || drop(span));
}

/// The span that the calling thread is in, for a thread that it starts.
pub(crate) struct Here(Option<Span>);

pub(crate) fn here() -> Here {
    Here(if on() { call(Span::current) } else { None })
}

impl Here {
    pub(crate) fn enter(mut self) -> InSpan {
        InSpan(self.0.take().map(entered))
    }
}

impl Drop for Here {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            call(move || drop(span));
        }
    }
}

/// The span of a cleanup that awaits. It is made where it is first polled, within the span that it was handed over in,
/// and a thread is in it during each poll alone: what the poller does in between belongs to others.
#[cfg(feature = "tokio")]
pub(crate) struct Journey {
    id: ResourceId,
    label: Option<Label>,
    reason: CleanupReason,
    above: std::sync::Arc<Here>,
    span: Option<Span>,
}

#[cfg(feature = "tokio")]
impl Journey {
    /// The label is asked for only if anybody wants it. Calls no subscriber.
    pub(crate) fn new(
        id: ResourceId,
        label: impl FnOnce() -> Option<Label>,
        reason: CleanupReason,
        above: std::sync::Arc<Here>,
    ) -> Journey {
        Journey { id, label: if on() { label() } else { None }, reason, above, span: None }
    }

    /// Before its first poll.
    pub(crate) fn begin(&mut self) {
        if on() {
            let _above = During::enter(self.above.0.as_ref());
            self.span = call(|| of_cleanup(self.id, self.label.as_ref(), self.reason));
        }
    }

    /// In it, unless it has not begun.
    pub(crate) fn within(&self) -> During<'_> {
        During::enter(self.span.as_ref())
    }
}

#[cfg(feature = "tokio")]
impl Drop for Journey {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            call(move || drop(span));
        }
    }
}

/// The calling thread is in a span that somebody else keeps while this lives.
#[cfg(feature = "tokio")]
#[must_use = "dropping it leaves the span"]
pub(crate) struct During<'a>(Option<&'a Span>);

#[cfg(feature = "tokio")]
impl<'a> During<'a> {
    fn enter(span: Option<&'a Span>) -> During<'a> {
        if let Some(span) = span {
            enter(span);
        }
        During(span)
    }
}

#[cfg(feature = "tokio")]
impl Drop for During<'_> {
    fn drop(&mut self) {
        if let Some(span) = self.0 {
            exit(span);
        }
    }
}
