//! What a service has at hand to wait for all that is under way: counters of live things. A cleanup is beside them in a
//! `scopeguard`, since none of them has one.

use swansong::Swansong;
use tokio_util::task::TaskTracker;

use super::{Contender, Counter};

/// A task tracker's token: counted while it lives, but without a name, an owner or a cleanup in the tracker.
pub(crate) struct TrackerToken(pub(crate) TaskTracker);

impl Contender for TrackerToken {
    fn name(&self) -> &'static str {
        "tokio-util TaskTracker token (counts only)"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = counter.cleanup::<Self, SITE>();
        scopeguard::guard(self.0.token(), move |token| {
            cleanup();
            drop(token);
        })
    }
}

/// swansong's guard: counted too, and with the line that made it. Where a report is kept, the root knows each live one's
/// line and age as well.
pub(crate) struct Swan(Swansong);

impl Swan {
    pub(crate) fn that_counts() -> Swan {
        Swan(Swansong::new())
    }

    pub(crate) fn that_reports() -> Swan {
        Swan(Swansong::with_guard_report())
    }

    pub(crate) fn live(&self) -> usize {
        self.0.guard_count()
    }
}

impl Contender for Swan {
    fn name(&self) -> &'static str {
        "swansong guard()"
    }

    #[inline(always)]
    fn register<const SITE: u32>(&self, counter: &'static Counter) -> impl Send {
        let cleanup = counter.cleanup::<Self, SITE>();
        scopeguard::guard(self.0.guard(), move |guard| {
            cleanup();
            drop(guard);
        })
    }
}
