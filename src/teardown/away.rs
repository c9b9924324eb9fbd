//! A teardown that is awaited: it runs on a helper thread, watched there, and the task that asked for it is told
//! when it is over. No thread of the caller's runtime is ever blocked.

use std::sync::{Arc, Weak};

use scopeguard::ScopeGuard;
use tokio::sync::oneshot;

use crate::report::TeardownReport;
use crate::runtime::elsewhere;
use crate::sync::Lock;
use crate::teardown::run::Run;

/// Says that nobody awaits a teardown any more. Shared by the one who awaits and the runs.
#[derive(Clone, Default, Debug)]
pub(crate) struct Cancel(Arc<Lock<Awaited>>);

#[derive(Default, Debug)]
struct Awaited {
    cancelled: bool,
    run: Weak<Run>,
}

impl Cancel {
    pub(super) fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    /// This run is the one that goes on now.
    pub(super) fn attach(&self, run: &Arc<Run>) {
        self.0.lock().run = Arc::downgrade(run);
    }

    fn cancel(&self) {
        let run = {
            let mut awaited = self.0.lock();
            awaited.cancelled = true;
            awaited.run.upgrade()
        };
        if let Some(run) = run {
            run.hold();
        }
    }
}

/// Runs a teardown on a helper thread, and cancels it when it is awaited no more.
pub(crate) async fn away(
    cancel: Cancel,
    teardown: impl FnOnce() -> TeardownReport + Send + 'static,
) -> TeardownReport {
    let awaited = scopeguard::guard(cancel, |cancel| cancel.cancel());
    let (tell, told) = oneshot::channel();
    elsewhere("castoff-supervisor", move || {
        // Not awaited any more: the report is for nobody.
        drop(tell.send(teardown()));
    });
    let report = told.await.expect("a teardown contains every panic of what it runs, and so it reports");
    // What was handed over to a running teardown is still to be done: nobody has given it up.
    drop(ScopeGuard::into_inner(awaited));
    report
}
