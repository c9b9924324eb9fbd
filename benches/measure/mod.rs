//! Measuring on a machine that others use too: rounds that interleave the contenders, medians, and a table.
//!
//! A disturbance that lasts longer than a round slows every contender of that round alike, so it cancels out of the
//! round's ratios; one that is shorter spoils few rounds, and the median drops those.

pub(crate) mod counting;
pub(crate) mod table;

use std::time::Duration;

/// What several contenders took, round by round.
pub(crate) struct Rounds {
    /// Nanoseconds: one list for each figure of each contender, with one entry for each round.
    took: Vec<Vec<f64>>,
}

impl Rounds {
    /// Runs every contender once in each round, every other round in reverse, so that none always follows the same one.
    /// One round before is not counted: it warms caches, and lets every thread and allocator find its size.
    ///
    /// A turn may give several figures; they are numbered through: with two each, 2 is the first of the second contender.
    pub(crate) fn run<const FIGURES: usize>(
        rounds: usize,
        contenders: &mut [&mut dyn FnMut() -> [Duration; FIGURES]],
    ) -> Rounds {
        for contender in contenders.iter_mut() {
            contender();
        }
        let mut took = vec![Vec::with_capacity(rounds); contenders.len() * FIGURES];
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        for _ in 0..rounds {
            for &contender in &order {
                for (figure, time) in contenders[contender]().into_iter().enumerate() {
                    took[contender * FIGURES + figure].push(time.as_nanos() as f64);
                }
            }
            order.reverse();
        }
        Rounds { took }
    }

    /// The median of a figure, in nanoseconds.
    pub(crate) fn median(&self, figure: usize) -> f64 {
        median(self.took[figure].clone())
    }

    /// The least of a figure, in nanoseconds: for what is itself the worst of very many, which a round on a machine that
    /// does something else meanwhile can only lengthen.
    pub(crate) fn least(&self, figure: usize) -> f64 {
        self.took[figure].iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The median over the rounds of how many times longer the one figure is than the other in that round.
    pub(crate) fn ratio(&self, figure: usize, peer: usize) -> f64 {
        median(self.took[figure].iter().zip(&self.took[peer]).map(|(own, other)| own / other).collect())
    }
}

/// The middle figure, or the mean of the two in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

/// `1000000` as `1,000,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
