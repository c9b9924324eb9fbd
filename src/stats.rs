//! What was counted: [`ResourceStats`], their growth, and cleanup [`Latency`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::resource::{Category, CategoryCounts, Priority};

/// What a manager and its children hold and have held.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("counting");
/// drop(manager.guard("a", || ()));
/// let _live = manager.guard("b", || ());
/// let stats = manager.stats();
/// assert_eq!((stats.live, stats.registered, stats.cleaned), (1, 2, 1));
/// assert_eq!(stats.cleanup_latency.count(), 1);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceStats {
    /// Resources that have not ended: live, deferred, being cleaned.
    pub live: usize,
    /// Of these, how many wait for their last dependent.
    pub deferred: usize,
    /// Registrations since the manager was made.
    pub registered: u64,
    /// Cleanups that succeeded.
    pub cleaned: u64,
    /// Cleanups that failed or panicked.
    pub failed: u64,
    /// Cleanups that were given up.
    pub timed_out: u64,
    /// Resources let go without a cleanup.
    pub released: u64,
    /// Live ones by category.
    pub by_category: CategoryCounts,
    /// Live ones by priority, the most urgent first.
    pub by_priority: [(Priority, usize); 4],
    /// The age of the oldest live one.
    pub oldest: Option<Duration>,
    /// The age of the newest live one.
    pub newest: Option<Duration>,
    /// The mean age of the live ones.
    pub mean_age: Option<Duration>,
    /// The sum of what live ones said they hold.
    pub estimated_bytes: usize,
    /// The same by category.
    pub bytes_by_category: CategoryCounts,
    /// How many leaks the last look for them at this very manager found. `None` before the first.
    pub leaks: Option<usize>,
    /// How long cleanups took.
    pub cleanup_latency: Latency,
}

/// What grew, and by how much, between two looks at the [statistics](ResourceStats) of one manager.
///
/// # Examples
/// ```
/// use castoff::{Category, ResourceManager};
///
/// let manager = ResourceManager::new("growing");
/// let before = manager.stats();
/// let cache = manager.resource("cache").category(Category::Custom("cache")).estimated_bytes(4_096).guard(|| ())?;
/// let growth = manager.stats().since(&before);
/// assert_eq!((growth.live, growth.estimated_bytes, growth.registered), (1, 4_096, 1));
/// assert_eq!(growth.by_category, [(Category::Custom("cache"), 1, 4_096)]);
///
/// let before = manager.stats();
/// drop(cache);
/// assert_eq!(manager.stats().since(&before).estimated_bytes, -4_096);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceGrowth {
    /// Live resources.
    pub live: i64,
    /// What live ones said they hold, in bytes.
    pub estimated_bytes: i64,
    /// Live resources and their bytes, for each category where either has changed.
    pub by_category: Vec<(Category, i64, i64)>,
    /// Registrations.
    pub registered: u64,
    /// Cleanups that failed, panicked or were given up.
    pub failed: u64,
}

impl ResourceStats {
    /// What has changed since an earlier look. The earlier look is the caller's to keep, so that any number of
    /// monitors can watch one manager; what grew since it was made is the statistics themselves.
    pub fn since(&self, before: &ResourceStats) -> ResourceGrowth {
        let categories: BTreeSet<Category> =
            self.by_category.iter().chain(before.by_category.iter()).map(|(category, _)| category).collect();
        let by_category = categories.into_iter().map(|category| {
            let live = change(self.by_category[category], before.by_category[category]);
            (category, live, change(self.bytes_by_category[category], before.bytes_by_category[category]))
        });
        let failures = |stats: &ResourceStats| stats.failed + stats.timed_out;
        ResourceGrowth {
            live: change(self.live, before.live),
            estimated_bytes: change(self.estimated_bytes, before.estimated_bytes),
            by_category: by_category.filter(|(_, live, bytes)| (*live, *bytes) != (0, 0)).collect(),
            registered: self.registered.saturating_sub(before.registered),
            failed: failures(self).saturating_sub(failures(before)),
        }
    }
}

fn change(now: usize, before: usize) -> i64 {
    let signed = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    signed(now) - signed(before)
}

/// How long cleanups took: a copy of a histogram with two significant digits. Longer than an hour counts as an hour.
///
/// Teardowns and `close` time every cleanup. Of those that drops run, each of the first thousand or so (for every
/// thread and manager) is timed, and from then on one in 256, which counts for all 256.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("latencies");
/// drop(manager.guard("slow", || std::thread::sleep(Duration::from_millis(2))));
/// let latency = manager.stats().cleanup_latency;
/// assert!(latency.quantile(0.5) >= Some(Duration::from_millis(2)));
/// assert_eq!(latency.count(), 1);
/// ```
#[derive(Clone, Copy)]
pub struct Latency {
    /// Nanoseconds at 0, 1/100, .. 1.
    points: [u64; POINTS],
    /// Nanoseconds at 0.999 and 0.9999, which a hundredth does not reach.
    tail: [u64; 2],
    count: u64,
}

const POINTS: usize = 101;

impl Latency {
    /// The time within which this part of the cleanups had ended, `q` from 0 to 1 (values beyond are taken as the
    /// nearer of the two). `None` before the first cleanup. Steps of 0.01, and 0.999 and 0.9999.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        if self.count == 0 || q.is_nan() {
            return None;
        }
        let q = q.clamp(0.0, 1.0);
        let nanoseconds = if q > 0.99 && q <= 0.999 {
            self.tail[0]
        } else if q > 0.999 && q <= 0.9999 {
            self.tail[1]
        } else {
            // 0.07 * 100.0 is a little more than 7: without the margin, 8 would be read.
            self.points[((q * 100.0 - 1e-9).ceil() as usize).min(POINTS - 1)]
        };
        Some(Duration::from_nanos(nanoseconds))
    }

    /// The longest. `None` before the first cleanup.
    pub fn max(&self) -> Option<Duration> {
        self.quantile(1.0)
    }

    /// How many cleanups these figures stand for.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { points: [0; POINTS], tail: [0; 2], count: 0 }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Latency", 6)?;
        out.serialize_field("count", &self.count)?;
        for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            out.serialize_field(name, &self.quantile(q))?;
        }
        out.end()
    }
}

/// The cleanups of a manager by how long they took, behind [`Latency`]: a list of the first few, then a histogram. Most
/// scopes, those of tests above all, are gone before they need one, and adding it to their parent's reads all of it. It
/// is as large as it will ever be then, 18 KiB, so that a manager does not grow with what comes and goes.
pub(crate) enum Latencies {
    /// Nanoseconds, and how often: as they will be recorded.
    Few(Vec<(u64, u32)>),
    Many(Box<Histogram<u32>>),
}

/// So many entries are worth no histogram yet.
const FEW: usize = 32;

/// An hour, in nanoseconds: longer cleanups count as that long.
const LONGEST: u64 = 3_600_000_000_000;

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::Few(Vec::new())
    }
}

impl Latencies {
    /// Counts `times` cleanups that took this long.
    pub(crate) fn record(&mut self, elapsed: Duration, times: u64) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).map_or(LONGEST, |value| value.min(LONGEST));
        self.count(nanoseconds, u32::try_from(times).unwrap_or(u32::MAX));
    }

    fn count(&mut self, nanoseconds: u64, times: u32) {
        match self {
            Latencies::Few(entries) if entries.len() < FEW => entries.push((nanoseconds, times)),
            Latencies::Few(entries) => {
                let entries = std::mem::take(entries);
                if let Some(mut histogram) = histogram(&entries) {
                    histogram.saturating_record_n(nanoseconds, times);
                    *self = Latencies::Many(histogram);
                }
            }
            // Within its bounds nothing is refused, and counts saturate.
            Latencies::Many(histogram) => histogram.saturating_record_n(nanoseconds, times),
        }
    }

    pub(crate) fn add(&mut self, other: &Latencies) {
        match (&mut *self, other) {
            (_, Latencies::Few(theirs)) => {
                theirs.iter().for_each(|(value, times)| self.count(*value, *times))
            }
            // Both have the same bounds, so the sum always fits.
            (Latencies::Many(ours), Latencies::Many(theirs)) => ours.add(&**theirs).unwrap_or(()),
            (Latencies::Few(ours), Latencies::Many(theirs)) => {
                let ours = std::mem::take(ours);
                *self = Latencies::Many(theirs.clone());
                ours.into_iter().for_each(|(value, times)| self.count(value, times));
            }
        }
    }

    /// All of them, if there are any.
    fn read(&self) -> Option<Cow<'_, Histogram<u32>>> {
        match self {
            Latencies::Few(entries) if entries.is_empty() => None,
            Latencies::Few(entries) => histogram(entries).map(|histogram| Cow::Owned(*histogram)),
            Latencies::Many(histogram) => Some(Cow::Borrowed(&**histogram)),
        }
    }

    /// Takes the place of an earlier state, and returns what has come since: seconds, and how often.
    #[cfg(feature = "metrics")]
    pub(crate) fn advance(&mut self, now: Latencies) -> Vec<(f64, usize)> {
        let before = std::mem::replace(self, now);
        let (before, now) = (before.read(), self.read());
        let counted = |value| before.as_ref().map_or(0, |before| before.count_at(value));
        let news = now.iter().flat_map(|now| now.iter_recorded()).filter_map(|recorded| {
            let value = recorded.value_iterated_to();
            let count = recorded.count_at_value().checked_sub(counted(value)).filter(|count| *count > 0)?;
            Some((value as f64 / 1e9, count as usize))
        });
        news.collect()
    }

    pub(crate) fn summary(&self) -> Latency {
        let Some(histogram) = self.read() else { return Latency::default() };
        let value = |q: f64| histogram.value_at_quantile(q);
        Latency {
            points: std::array::from_fn(|n| {
                if n == POINTS - 1 { histogram.max() } else { value(n as f64 / 100.0) }
            }),
            tail: [value(0.999), value(0.9999)],
            count: histogram.len(),
        }
    }
}

fn histogram(entries: &[(u64, u32)]) -> Option<Box<Histogram<u32>>> {
    let mut histogram = Histogram::new_with_max(LONGEST, 2).ok().map(Box::new)?;
    entries.iter().for_each(|(value, times)| histogram.saturating_record_n(*value, *times));
    Some(histogram)
}

/// What a manager has published as metrics.
#[cfg(feature = "metrics")]
#[derive(Default)]
pub(crate) struct Published {
    pub(crate) latencies: Latencies,
    /// All that ever had something live.
    pub(crate) categories: BTreeSet<Category>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_hundredth_of_what_was_recorded() {
        let mut latencies = Latencies::default();
        for n in 1..=1_000 {
            latencies.record(Duration::from_micros(n), 1);
        }
        let latency = latencies.summary();
        assert_eq!(latency.count(), 1_000);
        for (q, micros) in
            [(0.5, 500.0), (0.07, 70.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0), (7.0, 1_000.0)]
        {
            let read = latency.quantile(q).map_or(0.0, |time| time.as_secs_f64() * 1e6);
            assert!((read / micros - 1.0).abs() < 0.02, "{q}: {read}");
        }
        assert_eq!(latency.quantile(f64::NAN), None);
    }

    #[test]
    fn nothing_recorded_is_none_and_the_longest_time_counts_as_an_hour() {
        assert_eq!(Latency::default().quantile(0.5), None);
        let mut latencies = Latencies::default();
        latencies.record(Duration::MAX, 1);
        let hours = latencies.summary().max().map_or(0.0, |max| max.as_secs_f64() / 3_600.0);
        assert!((hours - 1.0).abs() < 0.02, "{hours}");
    }

    #[test]
    fn a_few_are_told_as_many_are_and_are_counted_once_when_they_become_many() {
        for count in [1, FEW - 1, FEW, FEW + 1, 10 * FEW] {
            let mut latencies = Latencies::default();
            (1..=count).for_each(|n| latencies.record(Duration::from_micros(n as u64), 64));
            let summary = latencies.summary();
            assert_eq!(summary.count(), 64 * count as u64);
            let max = summary.max().map_or(0.0, |max| max.as_secs_f64() * 1e6);
            assert!((max / count as f64 - 1.0).abs() < 0.02, "{count}: {max}");
        }
    }

    #[test]
    fn sums_of_a_few_and_of_many_count_both() {
        for (ours, theirs) in [(3, 5), (3, 100), (100, 5), (100, 200), (FEW, 1)] {
            let made = |count: usize| {
                let mut latencies = Latencies::default();
                (0..count).for_each(|n| latencies.record(Duration::from_nanos(n as u64), 1));
                latencies
            };
            let mut sum = made(ours);
            sum.add(&made(theirs));
            assert_eq!(sum.summary().count(), (ours + theirs) as u64, "{ours} and {theirs}");
        }
    }

    #[test]
    fn sums_of_histograms_count_both() {
        let (mut a, mut b) = (Latencies::default(), Latencies::default());
        b.record(Duration::from_secs(3), 2);
        a.add(&b);
        a.record(Duration::from_nanos(5), 1);
        a.add(&b);
        assert_eq!(a.summary().count(), 5);
    }
}
