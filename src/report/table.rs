//! A report as a table for people. What is not cleaned always has its row; of what is cleaned the first rows
//! do.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::error::{CleanupError, CleanupErrorKind};
use crate::report::entry::{ResourceOutcome, SkippedResource, TimelineEntry};
use crate::report::{TeardownReport, text};

/// Rows before those that are cleaned are only counted.
const ROWS: usize = 50;
/// Steps of the critical path that are shown at either end.
const PATH_ENDS: usize = 6;
/// How much of an error's message is shown.
const MESSAGE_LINES: usize = 40;
const MESSAGE_WIDTH: usize = 1_000;

impl fmt::Display for TeardownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manager = text::plain(self.manager());
        if self.is_handed_over() && self.processed() == 0 {
            return write!(f, "teardown of `{manager}`: handed over to the one that is running");
        }
        let skipped = self.skipped().len();
        let counts = counts(self.cleaned(), self.failed(), self.timed_out(), skipped);
        write!(f, "teardown of `{manager}`: {counts}, in {}", text::duration(self.duration()))?;
        if self.processed() > 0 {
            write!(f, "\n{}", rows(self))?;
        }
        if self.by_category().len() > 1 {
            write!(f, "\nby category:\n{}", categories(self))?;
        }
        if self.timeline().iter().any(|entry| entry.waited_for.is_some()) {
            write!(f, "\n{}", path(self.critical_path()))?;
        }
        Ok(())
    }
}

fn counts(cleaned: usize, failed: usize, timed_out: usize, skipped: usize) -> String {
    let all = [(cleaned, "cleaned"), (failed, "failed"), (timed_out, "timed out"), (skipped, "skipped")];
    let some: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if some.is_empty() { String::from("nothing to clean") } else { some.join(", ") }
}

fn rows(report: &TeardownReport) -> text::Columns<7> {
    let mut table = text::Columns::new([true, false, false, true, true, true, false]);
    table.row(["#", "resource", "category", "lived", "started", "took", "outcome"]);
    let mut errors = report.errors().iter().peekable();
    let mut hidden = 0;
    for (at, entry) in report.timeline().iter().enumerate() {
        // Errors come in the order of the timeline.
        let error = errors.next_if(|error| error.id == entry.id);
        if at >= ROWS && entry.outcome == ResourceOutcome::Cleaned {
            hidden += 1;
            continue;
        }
        more(&mut table, &mut hidden);
        started(&mut table, at + 1, entry, error);
    }
    more(&mut table, &mut hidden);
    for one in report.skipped() {
        left_alone(&mut table, one);
    }
    if report.unlisted() > 0 {
        table.text(format!("  ... {} more, not listed for want of memory", report.unlisted()));
    }
    table
}

fn more(table: &mut text::Columns<7>, hidden: &mut usize) {
    match std::mem::take(hidden) {
        0 => {}
        count => table.text(format!("  ... {count} more, all cleaned")),
    }
}

fn started(table: &mut text::Columns<7>, number: usize, entry: &TimelineEntry, error: Option<&CleanupError>) {
    let message = error.map(|error| message(&error.kind)).unwrap_or_default();
    let lines: Vec<&str> = message.lines().collect();
    let remarks = remarks(entry);
    let outcome = match lines[..] {
        [] => format!("{}{remarks}", entry.outcome),
        [line] => format!("{}: {}{remarks}", entry.outcome, message_line(line)),
        _ => format!("{}{remarks}:", entry.outcome),
    };
    table.row([
        number.to_string(),
        text::label(&entry.label),
        text::label(&entry.category.to_string()),
        text::duration(entry.lived),
        format!("+{}", text::duration(entry.started)),
        text::duration(entry.duration),
        outcome,
    ]);
    if lines.len() > 1 {
        for line in lines.iter().take(MESSAGE_LINES) {
            table.text(format!("      | {}", message_line(line)).trim_end().to_owned());
        }
    }
    if lines.len() > MESSAGE_LINES {
        table.text(format!("      | ... {} more lines", lines.len() - MESSAGE_LINES));
    }
}

fn left_alone(table: &mut text::Columns<7>, one: &SkippedResource) {
    table.row([
        String::from("-"),
        text::label(&one.label),
        text::label(&one.category.to_string()),
        String::from("-"),
        String::from("-"),
        String::from("-"),
        format!("{}: {} (made at {})", ResourceOutcome::Skipped, one.reason, one.created_at),
    ]);
}

fn message_line(line: &str) -> String {
    text::shorten(&text::plain(line), MESSAGE_WIDTH).into_owned()
}

/// What the outcome's own word does not say yet.
fn message(kind: &CleanupErrorKind) -> String {
    match kind {
        CleanupErrorKind::Failed(cause) => with_sources(&**cause),
        CleanupErrorKind::Panicked(message) => message.clone(),
        CleanupErrorKind::TimedOut(limit) => {
            format!("had not ended after {}, given up", text::duration(*limit))
        }
        CleanupErrorKind::Cancelled => String::new(),
        other => other.to_string(),
    }
}

/// The error and what caused it. Many errors repeat their cause in their own message; that is said once.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    // An error may claim to be its own source: nobody reads more than a few anyway.
    let causes =
        std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source()).take(8);
    causes.map(|cause| cause.to_string()).fold(error.to_string(), |said, cause| {
        if said.ends_with(&cause) { said } else { format!("{said}: {cause}") }
    })
}

fn remarks(entry: &TimelineEntry) -> String {
    let site = (entry.outcome != ResourceOutcome::Cleaned).then(|| format!("made at {}", entry.created_at));
    let failed = entry.after_failed.as_ref();
    let after = failed.map(|failed| format!("after a failed dependent `{}`", text::label(failed)));
    let note = entry.note.as_ref().map(|note| text::plain(note).into_owned());
    let all: Vec<String> = [site, after, note].into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
}

fn categories(report: &TeardownReport) -> text::Columns<3> {
    let mut table = text::Columns::new([false, true, false]);
    for summary in report.by_category() {
        table.row([
            text::label(&summary.category.to_string()),
            text::duration(summary.duration),
            counts(summary.cleaned, summary.failed, summary.timed_out, summary.skipped),
        ]);
    }
    table
}

fn path(path: &[TimelineEntry]) -> String {
    let name = |entry: &TimelineEntry| text::label(&entry.label);
    let mut steps: Vec<String> = Vec::new();
    match path.len().checked_sub(2 * PATH_ENDS) {
        None | Some(0..=1) => steps.extend(path.iter().map(name)),
        Some(hidden) => {
            steps.extend(path.iter().take(PATH_ENDS).map(name));
            steps.push(format!("... {hidden} more"));
            steps.extend(path.iter().skip(PATH_ENDS + hidden).map(name));
        }
    }
    // The sum, not the span: what ran in between without a place on the path is not part of it.
    let took = path.iter().fold(Duration::ZERO, |sum, entry| sum.saturating_add(entry.duration));
    format!("critical path {}: {}", text::duration(took), steps.join(" -> "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Record;
    use crate::report::entry::SkipReason;
    use crate::report::tests::{failed, ms, record, returned, site, skipped};
    use crate::resource::Category;

    fn shown(records: Vec<Record>, took: Duration) -> String {
        TeardownReport::new("orders".into(), records, took).to_string()
    }

    #[test]
    fn a_small_table_reads_like_this() {
        let server =
            Record { lived: ms(3_200), duration: ms(1_250), ..record("http server", Category::Network) };
        let workers = CleanupErrorKind::TimedOut(ms(5_000));
        let workers = Record { started: ms(1_250), ..failed("workers", ResourceOutcome::TimedOut, workers) };
        let workers = Record { waited_for: Some(0), note: Some("last resort ran".into()), ..workers };
        let pool = returned("disk full");
        let pool = Record { started: ms(1_262), ..failed("orders-db", ResourceOutcome::Failed, pool) };
        let pool = Record { waited_for: Some(1), after_failed: Some("workers".into()), ..pool };
        let cache =
            skipped("cache", SkipReason::DependentOutside { dependents: vec!["web".into(), "ui".into()] });
        let expected = format!(
            "\
teardown of `orders`: 1 cleaned, 1 failed, 1 timed out, 1 skipped, in 1.32 s
  #  resource     category   lived  started    took  outcome
  1  http server  network    3.2 s     +0 s  1.25 s  cleaned
  2  workers      database  100 ms  +1.25 s   12 ms  timed out: had not ended after 5 s, given up (made at {s}; \
             last resort ran)
  3  orders-db    database  100 ms  +1.26 s   12 ms  failed: disk full (made at {s}; after a failed dependent \
             `workers`)
  -  cache        database       -        -       -  skipped: its dependents `web`, `ui` are live and no part of \
             this teardown (made at {s})
by category:
  database   24 ms  1 failed, 1 timed out, 1 skipped
  network   1.25 s  1 cleaned
critical path 1.27 s: http server -> workers -> orders-db",
            s = site()
        );
        assert_eq!(shown(vec![server, workers, pool, cache], ms(1_322)), expected);
    }

    #[test]
    fn nothing_to_do_takes_one_line() {
        assert_eq!(shown(Vec::new(), ms(0)), "teardown of `orders`: nothing to clean, in 0 s");
        let handed_over = TeardownReport::handed_over("orders".into()).to_string();
        assert_eq!(handed_over, "teardown of `orders`: handed over to the one that is running");
    }

    #[test]
    fn wide_labels_leave_the_columns_aligned() {
        let records = vec![record("データベース", Category::File), record("db", Category::File)];
        let expected = "\
teardown of `orders`: 2 cleaned, in 24 ms
  #  resource      category   lived  started   took  outcome
  1  データベース  file      100 ms     +0 s  12 ms  cleaned
  2  db            file      100 ms     +0 s  12 ms  cleaned";
        assert_eq!(shown(records, ms(24)), expected);
    }

    #[test]
    fn a_message_of_several_lines_keeps_them_under_its_row() {
        let kind = CleanupErrorKind::Panicked("assertion failed\n\n  left: 1\n\u{1b}[31m right: 2".into());
        let table = shown(vec![failed("pool", ResourceOutcome::Panicked, kind)], ms(12));
        let expected = format!(
            "panicked (made at {}):\n      | assertion failed\n      |\n      |   left: 1\n      | \\u{{1b}}[31m right: 2",
            site()
        );
        assert!(table.ends_with(&expected), "{table}");
    }

    #[test]
    fn an_endless_message_is_cut_and_says_so() {
        let kind = CleanupErrorKind::Panicked("line\n".repeat(1_000));
        let table = shown(vec![failed("pool", ResourceOutcome::Panicked, kind)], ms(12));
        assert_eq!(table.matches("| line").count(), MESSAGE_LINES);
        assert!(table.ends_with("| ... 960 more lines"), "{table}");
    }

    #[derive(thiserror::Error, Debug)]
    #[error("cannot flush{suffix}")]
    struct Flush {
        suffix: &'static str,
        source: std::num::ParseIntError,
    }

    #[test]
    fn an_error_is_told_with_its_cause_and_once() {
        for suffix in ["", ": invalid digit found in string"] {
            let Err(source) = "x".parse::<u32>() else { panic!("x is no number") };
            let kind = CleanupErrorKind::Failed(std::sync::Arc::new(Flush { suffix, source }));
            let table = shown(vec![failed("pool", ResourceOutcome::Failed, kind)], ms(12));
            assert!(
                table.contains("failed: cannot flush: invalid digit found in string (made at"),
                "{table}"
            );
        }
    }

    #[test]
    fn of_a_thousand_rows_fifty_are_shown_and_all_that_are_not_cleaned() {
        let mut records: Vec<Record> = (0..1_000).map(|n| record(&format!("r{n}"), Category::File)).collect();
        let cause = returned("disk full");
        records[700] = failed("r700", ResourceOutcome::Failed, cause);
        records[999] = failed("r999", ResourceOutcome::Cancelled, CleanupErrorKind::Cancelled);
        records.extend((0..60).map(|n| skipped(&format!("s{n}"), SkipReason::DeadlinePassed)));
        let table = shown(records, ms(1_000));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "teardown of `orders`: 998 cleaned, 2 failed, 60 skipped, in 1 s");
        assert!(lines[51].starts_with("    50  r49 "), "{}", lines[51]);
        assert_eq!(lines[52], "  ... 650 more, all cleaned");
        assert!(
            lines[53].starts_with("   701  r700 ") && lines[53].contains("failed: disk full"),
            "{}",
            lines[53]
        );
        assert_eq!(lines[54], "  ... 298 more, all cleaned");
        assert!(
            lines[55].starts_with("  1000  r999 ") && lines[55].contains("cancelled (made at"),
            "{}",
            lines[55]
        );
        assert_eq!(lines[56..116].iter().filter(|line| line.contains("the deadline came first")).count(), 60);
        assert_eq!(lines[116..], ["by category:", lines[117], lines[118]]);
    }

    #[test]
    fn a_long_critical_path_shows_both_ends() {
        let chain = (0..100_usize).map(|n| Record {
            started: ms(12 * n as u64),
            waited_for: n.checked_sub(1),
            ..record(&format!("r{n}"), Category::File)
        });
        let table = shown(chain.collect(), ms(1_200));
        let expected = "critical path 1.2 s: r0 -> r1 -> r2 -> r3 -> r4 -> r5 -> ... 88 more -> r94 -> r95 -> r96 -> r97 \
                        -> r98 -> r99";
        assert!(table.ends_with(expected), "{table}");
    }
}
