//! Whose backtraces are kept.

use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use once_cell::sync::Lazy;

use crate::config::Backtraces;
use crate::sync::Lock;

/// How many were registered at each line where backtraces are sampled.
static COUNTS: Lazy<Lock<HashMap<&'static Location<'static>, u64>>> = Lazy::new(Lock::default);

/// The calls that led here, if this policy wants them for a registration at this line.
#[cold]
pub(crate) fn trace(policy: Backtraces, created_at: &'static Location<'static>) -> Option<Arc<Backtrace>> {
    let wanted = match policy {
        Backtraces::Never => false,
        Backtraces::Always => true,
        Backtraces::Sampled(first) => {
            let mut counts = COUNTS.lock();
            let count = counts.entry(created_at).or_insert(0);
            *count += 1;
            is_sampled(*count, u64::from(first))
        }
    };
    wanted.then(|| Arc::new(Backtrace::force_capture()))
}

/// The first ones all are; of each doubling after that as many again, evenly spread.
fn is_sampled(count: u64, first: u64) -> bool {
    match count.checked_div(first) {
        None => false,
        Some(0) => true,
        Some(times) => count.is_multiple_of(1 << times.ilog2()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubling_keeps_as_many_as_the_first_ones() {
        let kept = |first, range: std::ops::RangeInclusive<u64>| {
            range.filter(|count| is_sampled(*count, first)).count()
        };
        assert_eq!(kept(4, 1..=4), 4);
        assert_eq!(kept(4, 5..=8), 4);
        assert_eq!(kept(4, 9..=16), 4);
        assert_eq!(kept(4, 17..=32), 4);
        assert_eq!(kept(4, 4_097..=8_192), 4);
        assert_eq!(kept(0, 1..=100), 0);
        assert_eq!([1..=3, 4..=6, 7..=12, 13..=24].map(|range| kept(3, range)), [3; 4]);
    }
}
