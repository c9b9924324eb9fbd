//! What became of the mutants: a table, and whoever was not noticed without a reason.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::list::{LeftOut, Mutant};
use crate::number;
use crate::survivors::explained;

/// What became of a mutant.
pub(crate) struct Tried {
    pub(crate) mutant: usize,
    pub(crate) end: End,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub(crate) enum End {
    Caught,
    Hung,
    Missed,
    NotReached,
}

pub(crate) fn word(end: End) -> &'static str {
    match end {
        End::Caught => "caught",
        End::Hung => "hung",
        End::Missed => "missed",
        End::NotReached => "not reached",
    }
}

#[derive(Default)]
struct Row {
    ends: BTreeMap<End, usize>,
    explained: usize,
}

impl Row {
    fn of(&self, end: End) -> usize {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// Prints it. Whether enough of them were noticed.
    fn print(&self, area: &str) -> bool {
        let all: usize = self.ends.values().sum();
        let noticed = self.of(End::Caught) + self.of(End::Hung);
        let percent = 100.0 * noticed as f64 / all.max(1) as f64;
        println!(
            "{area:<10} {all:>6} {:>7} {:>6} {:>7} {:>12} {percent:>7.1} % {:>10}",
            self.of(End::Caught),
            self.of(End::Hung),
            self.of(End::Missed),
            self.of(End::NotReached),
            self.explained,
        );
        noticed * 100 >= number("LEAST").unwrap_or(90) as usize * all
    }
}

/// Fails where fewer were noticed than should be.
pub(crate) fn report(mutants: &[Mutant], left_out: &LeftOut, tried: &[Tried]) -> ExitCode {
    let (mut areas, mut total): (BTreeMap<&str, Row>, Row) = Default::default();
    let (mut reasons, mut news) = (explained(), Vec::new());
    for one in tried {
        let mutant = &mutants[one.mutant - 1];
        let row = areas.entry(mutant.area()).or_default();
        let is_explained = one.end >= End::Missed && reasons.cross_off(mutant);
        for row in [row, &mut total] {
            *row.ends.entry(one.end).or_default() += 1;
            row.explained += usize::from(is_explained);
        }
        if one.end >= End::Missed && !is_explained {
            news.push(format!("{} ({})", mutant.placed(), word(one.end)));
        }
    }
    println!(
        "{:<10} {:>6} {:>7} {:>6} {:>7} {:>12} {:>9} {:>10}",
        "area", "tried", "caught", "hung", "missed", "not reached", "noticed", "explained"
    );
    let enough = areas.iter().fold(true, |enough, (area, row)| row.print(area) && enough);
    let enough = total.print("all") && enough;
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    left_out.values().for_each(|reason| *why.entry(reason).or_default() += 1);
    println!("not tried: {why:?}");
    println!("survivors that survivors.txt does not explain: {}", news.len());
    news.sort();
    news.iter().for_each(|line| println!("  {line}"));
    if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
