//! The checks that nobody has to ask for: at the end of the process and of a test, before anything is cleaned and as
//! severely as they were told; and whenever a signal asks.

use std::ffi::OsString;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::LeakSeverity;
use crate::leak::detect::{Moment, detect};
#[cfg(unix)]
use crate::leak::footprint::Footprint;
use crate::leak::report::LeakReport;
use crate::leak::{AllowListError, LeakAllowList};
use crate::registry::entry::Phase;
use crate::registry::registry;
use crate::registry::tree::Node;

/// How often a check looks whether what is ending has ended, and for how long.
const TRIES: u32 = 20;
const GRACE: Duration = Duration::from_millis(500);

/// How severe a check is: what the environment says, else what the manager was told, else this.
fn severity(node: &Node, otherwise: LeakSeverity) -> LeakSeverity {
    let said = std::env::var("CASTOFF_LEAKS").ok();
    said.as_deref().and_then(LeakSeverity::named).or(node.config.leaks).unwrap_or(otherwise)
}

/// What is live at the end of the process, as severely as asked for. `None` where nobody wants to know.
pub(crate) fn at_exit(root: &Arc<Node>) -> Option<(LeakSeverity, LeakReport)> {
    check(root, Moment::Exit, LeakSeverity::Count)
}

/// The same for a test and its own manager. A rule of the allow-list that matched nothing is no news: it may be for
/// another test.
pub(crate) fn at_end_of_test(node: &Arc<Node>) -> Option<(LeakSeverity, LeakReport)> {
    let (severity, report) = check(node, Moment::Now, LeakSeverity::Fail)?;
    Some((severity, report.without_unmatched()))
}

/// Whether something here is ending, or beginning: who looks for leaks now may look too early.
pub(crate) fn is_settling(node: &Arc<Node>) -> bool {
    let mut settling = false;
    for node in node.subtree() {
        let passing = |phase| matches!(phase, Phase::Entering | Phase::Cleaning);
        registry().scan(&node, |seen| settling |= passing(seen.entry.phase) && seen.is_ours());
    }
    settling
}

/// Gives what is ending the time to end, so that what it frees is not taken for a leak. Not long: what takes longer is
/// no leak either, and a teardown waits for it.
pub(crate) fn settle(node: &Arc<Node>) {
    let start = Instant::now();
    for pause in pauses().take_while(|_| start.elapsed() < GRACE) {
        if !is_settling(node) {
            return;
        }
        thread::sleep(pause);
    }
}

/// Each is longer than the last, and all of them are [`GRACE`]: what ends soon is seen to end soon.
fn pauses() -> impl Iterator<Item = Duration> {
    let step = GRACE * 2 / (TRIES * (TRIES + 1));
    (1..=TRIES).map(move |pause| step * pause)
}

fn check(root: &Arc<Node>, moment: Moment, otherwise: LeakSeverity) -> Option<(LeakSeverity, LeakReport)> {
    let severity = severity(root, otherwise);
    if severity == LeakSeverity::Off {
        return None;
    }
    Some((severity, look(root, moment)))
}

/// What is live now and should not be, less what the environment allows.
#[cfg(unix)]
pub(crate) fn now(root: &Arc<Node>) -> LeakReport {
    look(root, Moment::Now).with_footprint(Footprint::capture().ok())
}

fn look(root: &Arc<Node>, moment: Moment) -> LeakReport {
    let report = LeakReport::new(root.name.clone(), detect(root, moment));
    match allowed(std::env::var_os("CASTOFF_LEAKS_ALLOW")) {
        Ok(Some(list)) => report.allow(&list),
        Ok(None) => report,
        Err(error) => report.with_note(error.to_string()),
    }
}

/// The list that the environment names.
fn allowed(path: Option<OsString>) -> Result<Option<LeakAllowList>, AllowListError> {
    match path {
        Some(path) if !path.is_empty() => LeakAllowList::read(path).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ManagerConfig;
    use crate::finding::LeakReason;
    use crate::registry::Claim;
    use crate::registry::tests::{manager, manager_with, registered};

    #[test]
    fn the_pauses_grow_and_are_all_the_time_there_is() {
        let pauses: Vec<Duration> = pauses().collect();
        assert!(pauses.len() == 20 && pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        let all = GRACE.checked_sub(pauses.iter().sum());
        assert!(all.is_some_and(|rest| rest < Duration::from_micros(1)), "{all:?}");
    }

    #[test]
    fn what_is_coming_or_going_is_settling_and_what_is_there_is_not() {
        let node = manager();
        let settled = registered(&node, "there", Phase::Live);
        assert!(!is_settling(&node));
        let entering = registered(&node, "entering", Phase::Entering);
        assert!(is_settling(&node));
        registry().open(entering);
        assert!(!is_settling(&node));
        let Claim::Job(job) = registry().claim(settled, |_| false) else { panic!("it is live") };
        assert!(is_settling(&node));
        registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
        assert!(!is_settling(&node));
    }

    #[test]
    fn who_waits_for_something_to_settle_waits_as_long_as_there_is_time_and_no_longer() {
        let node = manager();
        registered(&node, "entering", Phase::Entering);
        let start = Instant::now();
        settle(&node);
        assert!(start.elapsed() >= GRACE - Duration::from_micros(1), "{:?}", start.elapsed());
    }

    #[test]
    fn a_list_without_a_name_is_none_and_one_that_is_not_there_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "pool until 2999-12-31 because of it\n").expect("it can be written");
        assert!(matches!(allowed(None), Ok(None)) && matches!(allowed(Some(OsString::new())), Ok(None)));
        let list = allowed(Some(file.path().into())).expect("it is there").expect("it has a name");
        assert_eq!(LeakReport::new("m".into(), Vec::new()).allow(&list).stale_rules().len(), 1);
        assert!(allowed(Some("/no/such/leaks.allow".into())).is_err());
    }

    #[test]
    fn what_is_live_at_the_end_is_held_then_and_nobody_is_told_who_does_not_want_to_know() {
        if std::env::var_os("CASTOFF_LEAKS").is_some() {
            // It goes before what a manager was told.
            return;
        }
        let wants = |severity| {
            let node = manager_with(ManagerConfig { leaks: Some(severity), ..ManagerConfig::default() });
            registered(&node, "pool", Phase::Live);
            node
        };
        assert!(at_exit(&wants(LeakSeverity::Off)).is_none());
        assert!(at_end_of_test(&wants(LeakSeverity::Off)).is_none());
        let (severity, report) = at_exit(&wants(LeakSeverity::Warn)).expect("somebody wants to know");
        assert_eq!((severity, report.leaks().len()), (LeakSeverity::Warn, 1));
        assert!(report.leaks()[0].reasons.contains(&LeakReason::HeldAtExit), "{report}");
        let (severity, report) = at_end_of_test(&wants(LeakSeverity::Fail)).expect("somebody wants to know");
        assert_eq!((severity, report.leaks().len()), (LeakSeverity::Fail, 1));
        assert!(!report.leaks()[0].reasons.contains(&LeakReason::HeldAtExit), "{report}");
    }
}
