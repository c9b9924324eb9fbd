//! The tables of ratios: one row for each comparison, as Markdown.

use std::fmt;

/// What a row promises.
pub(crate) enum Bound {
    /// Said for information.
    None,
    /// castoff's figure divided by the peer's, at most.
    RatioAtMost(f64),
    /// castoff's figure divided by the peer's, at least.
    RatioAtLeast(f64),
    /// castoff's own figure, less than this one of the same unit.
    Below(Figure),
    /// castoff's own figure, no more than this one of the same unit.
    AtMost(Figure),
}

/// A measured figure with its unit.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    Nanoseconds(f64),
    Bytes(f64),
    PerSecond(f64),
}

impl Figure {
    fn value(self) -> f64 {
        match self {
            Figure::Nanoseconds(value) | Figure::Bytes(value) | Figure::PerSecond(value) => value,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Figure::Nanoseconds(value) => scaled(f, value, 1000.0, &["ns", "µs", "ms", "s"]),
            Figure::Bytes(value) => scaled(f, value, 1024.0, &["B", "KiB", "MiB", "GiB"]),
            Figure::PerSecond(value) => scaled(f, value, 1000.0, &["/s", "k/s", "M/s", "G/s"]),
        }
    }
}

/// Three digits or so, in the largest unit that keeps the figure at one or more; whole figures without decimals.
fn scaled(f: &mut fmt::Formatter<'_>, mut value: f64, step: f64, units: &[&str]) -> fmt::Result {
    let mut unit = 0;
    while value.abs() >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let decimals = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        large if large >= 100.0 => 0,
        small if small < 10.0 => 2,
        _ => 1,
    };
    write!(f, "{value:.decimals$} {}", units[unit])
}

pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) castoff: Figure,
    pub(crate) peer: Option<Figure>,
    /// castoff's figure divided by the peer's. Of times it is taken round by round, so it need not be the quotient of the
    /// two figures beside it.
    pub(crate) ratio: Option<f64>,
    pub(crate) bound: Bound,
}

impl Row {
    /// Whether the bound holds; `None` where there is none.
    fn holds(&self) -> Option<bool> {
        match self.bound {
            Bound::None => None,
            Bound::RatioAtMost(limit) => Some(self.ratio.is_some_and(|ratio| ratio <= limit)),
            Bound::RatioAtLeast(limit) => Some(self.ratio.is_some_and(|ratio| ratio >= limit)),
            Bound::Below(limit) => Some(self.castoff.value() < limit.value()),
            Bound::AtMost(limit) => Some(self.castoff.value() <= limit.value()),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.what, self.castoff)?;
        match self.peer {
            Some(figure) => write!(f, " {figure} |")?,
            None => write!(f, " |")?,
        }
        match self.ratio {
            Some(ratio) => write!(f, " {ratio:.2} |")?,
            None => write!(f, " |")?,
        }
        match self.bound {
            Bound::None => write!(f, " |")?,
            Bound::RatioAtMost(limit) => write!(f, " ratio ≤ {limit} |")?,
            Bound::RatioAtLeast(limit) => write!(f, " ratio ≥ {limit} |")?,
            Bound::Below(limit) => write!(f, " < {limit} |")?,
            Bound::AtMost(limit) => write!(f, " ≤ {limit} |")?,
        }
        match self.holds() {
            Some(true) => writeln!(f, " yes |"),
            Some(false) => writeln!(f, " **no** |"),
            None => writeln!(f, " |"),
        }
    }
}

/// Rows under headings, each of which gets a table.
#[derive(Default)]
pub(crate) struct Table {
    sections: Vec<(&'static str, Vec<Row>)>,
    notes: Vec<String>,
}

impl Table {
    /// Begins a table of its own for the rows that follow.
    pub(crate) fn section(&mut self, heading: &'static str) {
        self.sections.push((heading, Vec::new()));
    }

    /// # Panics
    ///
    /// Before the first section.
    pub(crate) fn push(&mut self, row: Row) {
        let (_, rows) = self.sections.last_mut().expect("a row belongs to a section");
        rows.push(row);
    }

    /// Something that a reader of the figures has to know; it comes below the tables.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (heading, rows)) in self.sections.iter().enumerate() {
            let gap = if place == 0 { "" } else { "\n" };
            writeln!(f, "{gap}### {heading}\n")?;
            writeln!(f, "| what | castoff | peer | ratio | bound | holds |")?;
            writeln!(f, "|---|---:|---:|---:|---|---|")?;
            rows.iter().try_for_each(|row| row.fmt(f))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "\n{note}"))
    }
}
