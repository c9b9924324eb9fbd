//! Cleanups that block the thread that polls them: they end after they were given up, and that is told.

use std::time::Duration;

use super::watched;
use crate::support::{Hang, Recorder};

/// So much and a second more it has to begin.
const BRIEF: Duration = Duration::from_millis(300);

#[test]
fn one_that_blocks_past_its_limit_in_a_teardown_is_told_of_when_it_ends() {
    watched(|manager| {
        let (recorder, hang) = (Recorder::on(manager), Hang::new());
        let blocks = hang.cleanup();
        let stuck = manager.resource("stuck").timeout(BRIEF);
        let _stuck = stuck.guard_async(move || async move { blocks() }).expect("nothing refuses it");
        let report = manager.cleanup();
        assert_eq!((report.timed_out(), report.processed()), (1, 1), "{report}");
        assert_eq!(recorder.of("stuck"), ["registered", "failed"]);
        hang.release();
        recorder.wait_for("finished late stuck");
        assert_eq!(manager.stats().timed_out, 1, "and stays what it was");
    });
}
