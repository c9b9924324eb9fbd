//! The recorder: every event of a manager, as words.

use std::sync::{Arc, Mutex};

use castoff::{ResourceEvent, ResourceManager, Subscription};

use super::{lock, until};

/// Keeps every event of a manager, but for the slowness of a cleanup: how busy the machine is, no test has to expect.
pub(crate) struct Recorder {
    heard: Arc<Mutex<Vec<ResourceEvent>>>,
    _subscription: Subscription,
}

impl Recorder {
    pub(crate) fn on(manager: &ResourceManager) -> Recorder {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let subscription = manager.subscribe(move |event: &ResourceEvent| {
            if !matches!(event, ResourceEvent::SlowCleanup { .. }) {
                lock(&told).push(event.clone());
            }
        });
        Recorder { heard, _subscription: subscription }
    }

    pub(crate) fn events(&self) -> Vec<ResourceEvent> {
        lock(&self.heard).clone()
    }

    /// All of them, as `cleaned pool`.
    pub(crate) fn words(&self) -> Vec<String> {
        self.events().iter().map(|event| format!("{} {}", kind(event), subject(event))).collect()
    }

    /// What happened to the resource with this label.
    pub(crate) fn of(&self, label: &str) -> Vec<&'static str> {
        self.events().iter().filter(|event| subject(event) == label).map(kind).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, expected: &str) {
        until(expected, || self.words().iter().any(|words| words == expected));
    }
}

// Not `ResourceEvent::label`: a test of that one compares it with this.
fn subject(event: &ResourceEvent) -> &str {
    match event {
        ResourceEvent::Registered { label, .. }
        | ResourceEvent::Released { label, .. }
        | ResourceEvent::Deferred { label, .. }
        | ResourceEvent::Cleaned { label, .. }
        | ResourceEvent::Unwatched { label, .. }
        | ResourceEvent::FinishedLate { label, .. }
        | ResourceEvent::Unleaked { label, .. }
        | ResourceEvent::LimitExceeded { label, .. }
        | ResourceEvent::RegisteredAfterShutdown { label, .. } => label,
        ResourceEvent::CleanupFailed { error, .. } => &error.label,
        ResourceEvent::LeakDetected { leak } => &leak.label,
        ResourceEvent::TeardownStarted { manager, .. } | ResourceEvent::TeardownFinished { manager, .. } => {
            manager
        }
        _ => "",
    }
}

fn kind(event: &ResourceEvent) -> &'static str {
    match event {
        ResourceEvent::Registered { .. } => "registered",
        ResourceEvent::Released { .. } => "released",
        ResourceEvent::Deferred { .. } => "deferred",
        ResourceEvent::Cleaned { .. } => "cleaned",
        ResourceEvent::CleanupFailed { .. } => "failed",
        ResourceEvent::Unwatched { .. } => "unwatched",
        ResourceEvent::TeardownStarted { .. } => "teardown started",
        ResourceEvent::TeardownFinished { .. } => "teardown finished",
        ResourceEvent::FinishedLate { .. } => "finished late",
        ResourceEvent::LimitExceeded { .. } => "limit exceeded",
        ResourceEvent::RegisteredAfterShutdown { .. } => "registered after shutdown",
        ResourceEvent::LeakDetected { .. } => "leak",
        ResourceEvent::Unleaked { .. } => "unleaked",
        _ => "something else",
    }
}

mod tests {
    use super::*;
    use crate::support::manager;

    #[test]
    fn the_recorder_keeps_what_it_heard_by_label() {
        let manager = manager();
        let recorder = Recorder::on(&manager);
        drop(manager.guard("pool", || ()));
        drop(manager.guard("other", || Err("no disk")));
        assert_eq!(recorder.words(), ["registered pool", "cleaned pool", "registered other", "failed other"]);
        assert_eq!(recorder.of("pool"), ["registered", "cleaned"]);
        recorder.wait_for("failed other");
    }
}
