//! How durations, labels and columns are written: plain text, aligned by the width that a terminal gives to
//! each character. Pure; nothing here knows what a report is.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::id::Label;

/// Columns that a label may take before its middle is cut out.
const LABEL_WIDTH: usize = 40;
/// Labels in a list before the rest is only counted.
const NAMES: usize = 5;

/// Three digits and a unit: `12.1 ms`, `1.32 s`; from a minute on two units: `3 min 20 s`, `1 h 3 min`, `2 d
/// 5 h`.
pub(crate) fn duration(time: Duration) -> String {
    if time.is_zero() {
        return String::from("0 s");
    }
    // The limits are where rounding to three digits would reach the next unit.
    for (unit, nanos, limit) in
        [("ns", 1.0, 999.5), ("µs", 1e3, 999.5), ("ms", 1e6, 999.5), ("s", 1e9, 59.95)]
    {
        let value = time.as_nanos() as f64 / nanos;
        if value < limit {
            return format!("{} {unit}", three_digits(value));
        }
    }
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_millis() >= 500));
    let (large, unit, small, smaller) = match seconds {
        0..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => (seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    };
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// The text on one line, with nothing in it that moves a terminal's cursor or turns its direction of writing.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(disturbs) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\t' => safe.push_str("    "),
            _ if disturbs(character) => safe.extend(character.escape_default()),
            _ => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

fn disturbs(character: char) -> bool {
    // Line and paragraph separator, then the controls of bidirectional text.
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `most` columns of the text. What is cut is its middle: labels made in a loop differ at the end.
pub(crate) fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.width() <= most {
        return Cow::Borrowed(text);
    }
    let head = fitting(text.chars(), most.saturating_sub(1) * 2 / 3);
    let head = &text[..head];
    let tail = fitting(text.chars().rev(), most.saturating_sub(1).saturating_sub(head.width()));
    Cow::Owned(format!("{head}…{}", &text[text.len() - tail..]))
}

/// How many bytes of these characters fit into that many columns.
fn fitting(characters: impl Iterator<Item = char>, most: usize) -> usize {
    let mut width = 0;
    characters
        .take_while(|character| {
            width += character.width().unwrap_or(0);
            width <= most
        })
        .map(char::len_utf8)
        .sum()
}

/// A label as it is shown: one line, not too long.
pub(crate) fn label(text: &str) -> String {
    shorten(&plain(text), LABEL_WIDTH).into_owned()
}

/// "a, b" with this quote around each, and from the sixth on only how many more.
pub(crate) fn names(labels: &[Label], quote: &str) -> String {
    let shown: Vec<String> =
        labels.iter().take(NAMES).map(|name| format!("{quote}{}{quote}", label(name))).collect();
    match labels.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Rows of cells under each other, each column as wide as its widest cell, with lines of free text between
/// them.
#[derive(Debug)]
pub(crate) struct Columns<const N: usize> {
    right: [bool; N],
    lines: Vec<Line<N>>,
}

#[derive(Debug)]
enum Line<const N: usize> {
    Cells([String; N]),
    Text(String),
}

impl<const N: usize> Columns<N> {
    /// Columns that are aligned to the right where `right` says so.
    pub(crate) fn new(right: [bool; N]) -> Columns<N> {
        Columns { right, lines: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [impl Into<String>; N]) {
        self.lines.push(Line::Cells(cells.map(Into::into)));
    }

    pub(crate) fn text(&mut self, text: String) {
        self.lines.push(Line::Text(text));
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = [0; N];
        for line in &self.lines {
            let Line::Cells(cells) = line else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }

    fn line(&self, cells: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for ((cell, width), right) in cells.iter().zip(widths).zip(self.right) {
            // A column that is empty in every row takes no room.
            if *width == 0 {
                continue;
            }
            let gap = " ".repeat(width - cell.width());
            line.push_str("  ");
            line.extend(if right { [gap.as_str(), cell] } else { [cell.as_str(), &gap] });
        }
        line.truncate(line.trim_end().len());
        line
    }
}

impl<const N: usize> fmt::Display for Columns<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (number, line) in self.lines.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "\n" })?;
            match line {
                Line::Cells(cells) => f.write_str(&self.line(cells, &widths))?,
                Line::Text(text) => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_three_digits_and_the_unit_that_fits() {
        let cases = [
            (0, "0 s"),
            (1, "1 ns"),
            (999, "999 ns"),
            (1_500, "1.5 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (12_149_000, "12.1 ms"),
            (100_000_000, "100 ms"),
            (999_600_000, "1 s"),
            (1_324_000_000, "1.32 s"),
            (9_996_000_000, "10 s"),
            (59_949_000_000, "59.9 s"),
            (59_951_000_000, "1 min"),
            (200_000_000_000, "3 min 20 s"),
            (3_599_600_000_000, "1 h"),
            (3_780_000_000_000, "1 h 3 min"),
            (190_800_000_000_000, "2 d 5 h"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), text, "{nanos} ns");
        }
        assert_eq!(duration(Duration::MAX), "213503982334601 d 7 h");
    }

    #[test]
    fn a_long_label_loses_its_middle_and_a_short_one_nothing() {
        assert_eq!(label("orders-db"), "orders-db");
        let long = format!("{}-{}-0007", "a".repeat(30), "b".repeat(30));
        let cut = label(&long);
        assert_eq!(cut.width(), LABEL_WIDTH);
        assert!(cut.starts_with("aaaa") && cut.ends_with("-0007") && cut.contains('…'), "{cut}");
        let wide = "数".repeat(30);
        // Two columns each: 13 before the mark, 6 after it, and one column stays empty.
        assert_eq!(label(&wide), format!("{}…{}", "数".repeat(13), "数".repeat(6)));
    }

    #[test]
    fn what_would_move_the_cursor_is_written_out() {
        assert_eq!(plain("a\nb\u{1b}[31m\tc\u{202e}d"), "a\\nb\\u{1b}[31m    c\\u{202e}d");
        assert!(matches!(plain("größe 数 👍"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_list_of_names_ends_in_a_count() {
        let labels: Vec<Label> = (1..=7).map(|n| Label::from(n.to_string())).collect();
        assert_eq!(names(&labels[..2], "`"), "`1`, `2`");
        assert_eq!(names(&labels, ""), "1, 2, 3, 4, 5 and 2 more");
        assert_eq!(names(&[], "`"), "");
    }

    #[test]
    fn columns_line_up_by_display_width() {
        let mut columns = Columns::new([true, false, true, false]);
        columns.row(["1", "データベース", "", "end"]);
        columns.text(String::from("      between"));
        columns.row(["10", "é", "", "end"]);
        columns.row(["100", "👍 ok", "", ""]);
        let expected = "    1  データベース  end\n      between\n   10  é             end\n  100  👍 ok";
        assert_eq!(columns.to_string(), expected);
        let end = |line: &str| line.split("end").next().map(UnicodeWidthStr::width);
        let text = columns.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(end(lines[0]), end(lines[2]));
    }
}
