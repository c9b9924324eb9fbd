//! One teardown at the end of the process, on a thread of its own, within its time.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::config::LeakSeverity;
use crate::events::Subscription;
use crate::exit::{panic, say, signal, sys};
use crate::leak::{self, LeakReport};
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::report::TeardownReport;
use crate::runtime::helper;
use crate::sync::Lock;
use crate::teardown::shutdown_within;
use crate::unwind::contain;

/// What comes after a teardown (callbacks, the report) may take so much longer than the deadline.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Said before what may hang on the thread that the process ends on.
const UNWATCHED: &str =
    "castoff: the system refuses a thread: cleaning goes on without one, and nothing keeps its deadline\n";

/// The root of all that ends with the process.
struct Root {
    node: Arc<Node>,
    /// Who has to end it: a forked child is somebody else.
    process: u32,
}

/// Leaks were found that have to make the process fail.
static FAILED: AtomicBool = AtomicBool::new(false);

static ROOT: OnceLock<Root> = OnceLock::new();

/// What others use to their end: torn down after the global manager.
static LAST: OnceLock<Arc<Node>> = OnceLock::new();

/// Set before the last one is looked for: who makes something there looks here afterwards, so one sees the other.
static ENDING: AtomicBool = AtomicBool::new(false);

/// From now on this manager is torn down at the end of the process.
pub(crate) fn watch_over(node: &Arc<Node>) {
    if ROOT.set(Root { node: node.clone(), process: std::process::id() }).is_ok() {
        sys::at_exit();
        panic::chain();
    }
}

/// From now on this manager, the root of another tree than the global one's, is torn down after that.
pub(crate) fn watch_over_last(node: &Arc<Node>) {
    // There is one of them. A second would be nobody's to end, so it is not forgotten quietly where tests run.
    let first = LAST.set(node.clone());
    debug_assert!(first.is_ok(), "only one manager is the last");
}

/// The process is ending: the manager that is torn down after the global one, if it has been made.
pub(super) fn last() -> Option<&'static Arc<Node>> {
    ENDING.store(true, SeqCst);
    LAST.get()
}

/// Whether the process is ending: what is put below the last manager now may be cleaned by nobody.
pub(crate) fn is_ending() -> bool {
    ENDING.load(SeqCst)
}

/// The global manager, if it has been made, by this process.
pub(super) fn root() -> Option<&'static Arc<Node>> {
    ROOT.get().filter(|root| root.process == std::process::id()).map(|root| &root.node)
}

/// The end of the process, by the C library. Thread-locals of this thread are gone, and it may hold any lock.
/// Whether it has to fail: leaks were found, and that was asked for.
pub(super) fn at_exit() -> bool {
    finish("process exit", CleanupReason::ProcessExit, true);
    FAILED.load(Relaxed)
}

/// Tears the global manager down, and if `all` ends the last one, if there is anything to do, or waits for who does that.
/// Returns within the global manager's deadline and [`GRACE`], or does not return where a signal's end is under way.
pub(super) fn finish(why: &'static str, reason: CleanupReason, all: bool) {
    let Some(root) = root() else { return };
    signal::wait_for_end();
    let last = if all { last() } else { None };
    let roots: Vec<Arc<Node>> = std::iter::once(root).chain(last).cloned().collect();
    if roots.iter().any(is_needed) {
        let deadline = root.config.shutdown_deadline;
        let run = move || {
            if reason == CleanupReason::ProcessExit {
                look_for_leaks(why, root);
            }
            let report = tear_down(&roots, reason, deadline);
            report.iter().for_each(|report| say::report(why, report));
        };
        if !watched(deadline.saturating_add(GRACE), run) {
            let line = format!("castoff: {why}: the teardown had not ended after {deadline:.1?}\n");
            sys::write_stderr_if_ready(&line);
        }
    }
    // A signal may have come meanwhile: then the process ends by that.
    signal::wait_for_end();
}

/// What is live now should not be, unless it was declared long-lived. Said before it is cleaned, as severely as the
/// manager or the environment wants it.
fn look_for_leaks(why: &str, root: &Arc<Node>) {
    let Some((severity, leaks)) = leak::at_exit(root) else { return };
    if is_said(severity, &leaks) {
        sys::write_stderr(&format!("castoff: {why}: {leaks}\n"));
    }
    if is_failure(severity, &leaks) {
        FAILED.store(true, Relaxed);
    }
}

fn is_said(severity: LeakSeverity, leaks: &LeakReport) -> bool {
    severity >= LeakSeverity::Warn && leaks.has_news()
}

fn is_failure(severity: LeakSeverity, leaks: &LeakReport) -> bool {
    severity == LeakSeverity::Fail && !leaks.is_empty()
}

/// Whether there is anything to tear down, or to wait for. Where all is empty it stays so: it is sealed, before it
/// is looked at once more.
fn is_needed(root: &Arc<Node>) -> bool {
    if root.queue.may_be_busy() {
        return true;
    }
    let may_be_live = || registry().may_be_live(root);
    !root.is_sealed() && (may_be_live() || !root.try_seal() || may_be_live())
}

/// Tears these down, one after the other, within one deadline. While others follow that hold anything, each has
/// three quarters of what is left.
pub(super) fn tear_down(
    nodes: &[Arc<Node>],
    reason: CleanupReason,
    deadline: Duration,
) -> Option<TeardownReport> {
    let start = Instant::now();
    let mut report: Option<TeardownReport> = None;
    let mut rest = nodes;
    while let Some((node, others)) = rest.split_first() {
        let _progress: Option<Subscription> = say::progress(node);
        let offset = start.elapsed();
        let left = deadline.saturating_sub(offset);
        let later = shut_down(node, reason, share(left, others.iter().any(|next| holds_more(next, node))));
        match &mut report {
            None => report = Some(later),
            Some(report) => report.append(later, offset),
        }
        rest = others;
    }
    if let Some(report) = &mut report {
        // Behind something that registered late or is of a later tree; a drop may have ended both since.
        report.forget_skipped(|id| !registry().is_live(id));
    }
    report
}

/// Of the time that is left, what the next one has.
fn share(left: Duration, others_hold_more: bool) -> Duration {
    if others_hold_more { left / 4 * 3 } else { left }
}

/// Whether the first manager holds anything that is not the second one's.
fn holds_more(next: &Arc<Node>, node: &Arc<Node>) -> bool {
    let of_both = if node.is_within(next) { registry().live_count(node) } else { 0 };
    registry().live_count(next) > of_both
}

fn shut_down(node: &Arc<Node>, reason: CleanupReason, deadline: Duration) -> TeardownReport {
    let report = shutdown_within(node, reason, deadline);
    if !report.is_handed_over() {
        return report;
    }
    // A cleanup has called `exit`, and the teardown that would do this one when it ends waits for that cleanup, in
    // vain. From a thread that is inside of nothing it is waited for, until it gives that cleanup up.
    let there = node.clone();
    let outside = thread::Builder::new().spawn(move || shutdown_within(&there, reason, deadline));
    outside.ok().and_then(|thread| thread.join().ok()).unwrap_or(report)
}

/// Runs this on a thread of its own, which is left behind when the limit has passed. Whether it has ended, well or
/// by a panic. Where no thread is to be had it runs here, without a limit rather than not at all.
pub(super) fn watched(limit: Duration, run: impl FnOnce() + Send + 'static) -> bool {
    let bench = Arc::new(Lock::new(Some(run)));
    let (end, ended) = mpsc::channel::<()>();
    let there = bench.clone();
    let take = |bench: &Lock<Option<_>>| bench.lock().take();
    let started = helper("castoff-exit", move || {
        let run = take(&there);
        contain(|| run.map(|run| run()));
        drop(end);
    });
    match started {
        Ok(()) => ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected),
        Err(_) => {
            sys::write_stderr_if_ready(UNWATCHED);
            let run = take(&bench);
            contain(|| run.map(|run| run()));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;
    use crate::config::ManagerConfig;

    use crate::leak::LeakAllowList;
    use crate::registry::entry::Phase::Live;
    use crate::registry::tests::{child, manager, manager_with, registered};

    #[test]
    fn whoever_holds_something_is_torn_down_and_who_holds_nothing_is_sealed_instead() {
        let (empty, holding) = (manager(), manager());
        registered(&holding, "pool", Live);
        assert!(is_needed(&holding) && !holding.is_sealed());
        assert!(!is_needed(&empty) && empty.is_sealed());
        assert!(!is_needed(&empty));
        // What is left in it has been given up.
        assert!(holding.try_seal() && !is_needed(&holding));
        let named = manager();
        let names = named.names.lock();
        assert!(is_needed(&named), "somebody may be registering");
        drop(names);
    }

    #[test]
    fn time_is_kept_for_others_that_hold_more_than_the_one_whose_turn_it_is() {
        let time = Duration::from_secs(8);
        assert_eq!((share(time, false), share(time, true)), (time, Duration::from_secs(6)));
        let (above, other) = (manager(), manager());
        let below = child("below", &above);
        assert!(!holds_more(&above, &below) && !holds_more(&other, &below));
        registered(&below, "pool", Live);
        assert!(!holds_more(&above, &below) && holds_more(&below, &other));
        registered(&other, "cache", Live);
        assert!(holds_more(&other, &below) && !holds_more(&above, &below));
        registered(&above, "server", Live);
        assert!(holds_more(&above, &below) && !holds_more(&above, &above));
    }

    #[test]
    fn managers_are_torn_down_one_after_the_other_and_told_of_in_one_report() {
        let (first, last) = (manager(), manager());
        for (node, label) in [(&first, "pool"), (&last, "server"), (&first, "cache")] {
            registered(node, label, Live);
        }
        let reason = CleanupReason::ProcessExit;
        let report = tear_down(&[first, last], reason, Duration::from_secs(60)).expect("there are two");
        assert!(report.is_success(), "{report}");
        let labels: Vec<&str> = report.timeline().iter().map(|entry| &*entry.label).collect();
        assert_eq!((report.cleaned(), labels.last().copied()), (3, Some("server")), "{report}");
        assert!(tear_down(&[], reason, Duration::ZERO).is_none());
    }

    #[test]
    fn what_there_was_no_time_for_at_the_end_is_told_as_it_still_lives() {
        let node = manager();
        let id = registered(&node, "pool", Live);
        let reason = CleanupReason::ProcessExit;
        let report = tear_down(&[node], reason, Duration::ZERO).expect("there is one");
        assert_eq!(report.skipped().iter().map(|one| one.id).collect::<Vec<_>>(), [id]);
    }

    #[test]
    fn leaks_are_said_where_somebody_wants_to_be_warned_and_fail_the_process_where_that_is_asked_for() {
        use LeakSeverity::{Count, Fail, Warn};
        let node = manager_with(ManagerConfig { leaks: Some(Warn), ..ManagerConfig::default() });
        registered(&node, "pool", Live);
        let Some((_, leaks)) = leak::at_exit(&node) else { return };
        let list = |rules| LeakAllowList::parse(rules).expect("they are rules");
        let none = leaks.clone().allow(&list("pool until 2999-12-31 because of it"));
        let stale = none.clone().allow(&list("gone until 2999-12-31 because of it"));
        let of = |report: &LeakReport| {
            [Count, Warn, Fail].map(|severity| (is_said(severity, report), is_failure(severity, report)))
        };
        assert_eq!(of(&leaks), [(false, false), (true, false), (true, true)]);
        assert_eq!(of(&stale), [(false, false), (true, false), (true, false)]);
        assert_eq!(of(&none), [(false, false); 3]);
    }

    #[test]
    fn what_runs_beside_is_waited_for_until_it_ends_however_that_is_and_no_longer_than_the_limit() {
        let long = Duration::from_secs(600);
        assert!(watched(long, || ()) && watched(long, || panic!("on purpose")));
        let (end, ended): (Sender<()>, _) = mpsc::channel();
        let start = Instant::now();
        assert!(!watched(Duration::from_millis(20), move || ended.recv().unwrap_or(())));
        assert!(start.elapsed() >= Duration::from_millis(20));
        drop(end);
    }
}
