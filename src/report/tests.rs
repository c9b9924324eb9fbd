//! The figures of a report follow from its records, also after a second wave was added.

use std::panic::Location;

use super::*;
use crate::cleanup::BoxError;
use crate::error::CleanupErrorKind;
use crate::id::ResourceId;
use crate::resource::Category;

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The line that all these resources are said to be made at.
pub(super) fn site() -> &'static Location<'static> {
    Location::caller()
}

/// Cleaned at once, in 12 ms, after a life of 100. Its id is made from the label.
pub(super) fn record(label: &str, category: Category) -> Record {
    let id = label.bytes().fold(7, |id: u64, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
    Record {
        id: ResourceId(id),
        label: Label::from(label.to_owned()),
        category,
        created_at: site(),
        lived: ms(100),
        outcome: ResourceOutcome::Cleaned,
        started: ms(0),
        duration: ms(12),
        error: None,
        skipped: None,
        after_failed: None,
        note: None,
        waited_for: None,
    }
}

pub(super) fn failed(label: &str, outcome: ResourceOutcome, kind: CleanupErrorKind) -> Record {
    let Record { id, label, category, created_at, duration: elapsed, .. } = record(label, Category::Database);
    let error = CleanupError { id, label, category, kind, created_at, elapsed };
    Record { outcome, error: Some(error.clone()), ..record(&error.label, Category::Database) }
}

pub(super) fn returned(message: &str) -> CleanupErrorKind {
    CleanupErrorKind::Failed(BoxError::from(message).into())
}

pub(super) fn skipped(label: &str, reason: SkipReason) -> Record {
    let outcome = ResourceOutcome::Skipped;
    Record { outcome, skipped: Some(reason), duration: ms(0), ..record(label, Category::Database) }
}

fn labels(entries: &[TimelineEntry]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.label).collect()
}

/// One of each outcome.
fn mixed() -> TeardownReport {
    let records = vec![
        record("socket", Category::Network),
        failed("failed", ResourceOutcome::Failed, returned("disk full")),
        failed("panicked", ResourceOutcome::Panicked, CleanupErrorKind::Panicked("no".into())),
        failed("stuck", ResourceOutcome::TimedOut, CleanupErrorKind::TimedOut(ms(12))),
        failed("cancelled", ResourceOutcome::Cancelled, CleanupErrorKind::Cancelled),
        record("index", Category::Custom("search")),
        skipped("late", SkipReason::DeadlinePassed),
    ];
    TeardownReport::new("orders".into(), records, ms(80))
}

#[test]
fn each_outcome_is_counted_once() {
    let report = mixed();
    assert_eq!(report.processed(), 7);
    assert_eq!((report.cleaned(), report.failed(), report.timed_out(), report.skipped().len()), (2, 3, 1, 1));
    assert_eq!(
        (report.duration(), report.manager(), report.is_handed_over()),
        (ms(80), &"orders".into(), false)
    );
    assert!(!report.is_success());
    let errors: Vec<&str> = report.errors().iter().map(|error| &*error.label).collect();
    assert_eq!(errors, ["failed", "panicked", "stuck", "cancelled"]);
    assert_eq!(
        labels(report.timeline()),
        ["socket", "failed", "panicked", "stuck", "cancelled", "index"],
        "what was skipped was never started"
    );
}

#[test]
fn categories_are_summed_up_in_their_order() {
    let report = mixed();
    let seen: Vec<_> = report
        .by_category()
        .iter()
        .map(|one| (one.category, [one.cleaned, one.failed, one.timed_out, one.skipped], one.duration))
        .collect();
    let expected = [
        (Category::Database, [0, 3, 1, 1], ms(48)),
        (Category::Network, [1, 0, 0, 0], ms(12)),
        (Category::Custom("search"), [1, 0, 0, 0], ms(12)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn success_means_that_all_are_cleaned() {
    let new = |records| TeardownReport::new("m".into(), records, ms(0));
    assert!(new(Vec::new()).is_success());
    assert!(new(vec![record("a", Category::File)]).into_result().is_ok());
    let late = skipped("late", SkipReason::DeadlinePassed);
    assert!(!new(vec![record("a", Category::File), late]).is_success());
    assert!(TeardownReport::handed_over("m".into()).is_success());
}

#[test]
fn the_error_shows_the_table_in_every_way() {
    let report = mixed();
    let table = report.to_string();
    let Err(error) = report.into_result() else { panic!("five went wrong") };
    assert_eq!(error.to_string(), table);
    assert_eq!(format!("{error:?}"), table);
    assert_eq!(error.report().failed(), 3);
    assert_eq!(error.into_report().to_string(), table);
}

#[test]
fn the_critical_path_leads_from_what_ended_last_back_to_the_beginning() {
    let at = |label: &str, started, duration, waited_for| {
        let started = ms(started);
        Record { started, duration: ms(duration), waited_for, ..record(label, Category::File) }
    };
    let records = vec![
        at("server", 0, 10, None),
        at("client", 0, 90, None),
        at("workers", 10, 50, Some(0)),
        at("pool", 60, 40, Some(2)),
        at("log", 65, 5, None),
    ];
    let report = TeardownReport::new("m".into(), records, ms(100));
    assert_eq!(labels(report.critical_path()), ["server", "workers", "pool"]);
    assert!(TeardownReport::new("m".into(), Vec::new(), ms(0)).critical_path().is_empty());
}

#[test]
fn a_path_that_leads_nowhere_ends_there() {
    for nonsense in [0, 1, usize::MAX] {
        let loops = Record { waited_for: Some(nonsense), ..record("a", Category::File) };
        let report = TeardownReport::new("m".into(), vec![loops], ms(0));
        assert_eq!(labels(report.critical_path()), ["a"]);
    }
}

#[test]
fn a_later_wave_moves_to_its_place_in_time() {
    let mut report = mixed();
    assert_eq!(report.critical_path().len(), 1, "asked for before the second wave is there");
    let server = record("server", Category::Network);
    let pool = Record { started: ms(12), waited_for: Some(0), ..record("pool", Category::Database) };
    let stuck = failed("again", ResourceOutcome::Failed, returned("no"));
    report.append(TeardownReport::new("orders".into(), vec![server, stuck, pool], ms(30)), ms(100));

    assert_eq!(report.duration(), ms(130));
    assert_eq!((report.processed(), report.cleaned(), report.failed()), (10, 4, 4));
    assert_eq!(report.errors().last().map(|error| &*error.label), Some("again"));
    assert_eq!(report.timeline().last().map(|entry| entry.started), Some(ms(112)));
    assert_eq!(labels(report.critical_path()), ["server", "pool"]);
    let network = report.by_category().iter().find(|one| one.category == Category::Network);
    assert_eq!(network.map(|one| one.cleaned), Some(2));
}

#[test]
fn what_a_later_wave_took_up_again_has_one_outcome() {
    let mut report = mixed();
    report.append(
        TeardownReport::new("orders".into(), vec![record("late", Category::Database)], ms(5)),
        ms(80),
    );
    assert_eq!(report.processed(), 7);
    assert!(report.skipped().is_empty());
    assert_eq!(report.cleaned(), 3);

    let mut report = mixed();
    let again = skipped("late", SkipReason::StoppedOnError);
    report.append(TeardownReport::new("orders".into(), vec![again], ms(5)), ms(80));
    assert_eq!(report.processed(), 7);
    assert_eq!(report.skipped()[0].reason, SkipReason::StoppedOnError);
}

#[test]
fn what_could_not_be_listed_is_counted_over_all_waves() {
    let (mut report, mut later) = (mixed(), mixed());
    later.count_skipped(Category::Network);
    later.count_skipped(Category::Database);
    report.count_skipped(Category::Database);
    report.append(later, ms(80));
    // The one that was skipped in both has its later outcome alone.
    assert_eq!((report.unlisted(), report.processed()), (3, 6 + 7 + 3));
    let of = |category| report.by_category().iter().find(|one| one.category == category);
    assert_eq!(of(Category::Database).map(|one| (one.failed, one.skipped)), Some((3 + 3, 1 + 2)));
    assert_eq!(of(Category::Network).map(|one| (one.cleaned, one.skipped)), Some((2, 1)));
}

#[test]
fn reasons_name_one_or_several_dependents() {
    let one = vec![Label::from("web")];
    let two = vec![Label::from("web"), Label::from("ui")];
    let outside = |dependents| SkipReason::DependentOutside { dependents }.to_string();
    let behind = |dependents| SkipReason::BehindSkipped { dependents }.to_string();
    assert_eq!(outside(one.clone()), "its dependent `web` is live and no part of this teardown");
    assert_eq!(outside(two.clone()), "its dependents `web`, `ui` are live and no part of this teardown");
    assert_eq!(behind(one), "its dependent `web` was skipped");
    assert_eq!(behind(two), "its dependents `web`, `ui` were skipped");
    assert_eq!(SkipReason::StoppedOnError.to_string(), "the teardown stopped at the first error");
}

#[test]
fn an_outcome_is_written_as_words_that_can_be_padded() {
    assert_eq!(format!("[{:>10}]", ResourceOutcome::TimedOut), "[ timed out]");
    assert_eq!(ResourceOutcome::Cancelled.to_string(), "cancelled");
}

#[cfg(feature = "serde")]
#[test]
fn json_holds_the_figures_and_where_each_resource_was_made() {
    let json = serde_json::to_value(mixed()).expect("a report has only text keys");
    assert_eq!((&json["manager"], &json["processed"]), (&"orders".into(), &7.into()));
    assert_eq!((&json["cleaned"], &json["failed"], &json["timed_out"]), (&2.into(), &3.into(), &1.into()));
    assert_eq!((&json["is_success"], &json["is_handed_over"]), (&false.into(), &false.into()));
    assert_eq!(json["timeline"][0]["created_at"], site().to_string());
    assert_eq!(json["errors"][0]["kind"]["Failed"], "disk full");
    assert_eq!(json["skipped"][0]["reason"], "DeadlinePassed");
    assert_eq!(json["by_category"][0]["timed_out"], 1);
    assert_eq!(json["critical_path"][0]["outcome"], "Cleaned");
    let error = mixed().into_result().expect_err("five went wrong");
    assert_eq!(serde_json::to_value(error).expect("as the report"), json);
}
