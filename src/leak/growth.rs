//! How fast what is held grows: the slope through the looks of a [`Series`](super::series::Series). Plain data; nothing
//! here asks anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::id::Label;
use crate::leak::footprint::text::Bytes;
use crate::leak::series::{Held, Look};
use crate::report::text;
use crate::resource::Category;

/// Lines and categories that are shown before the rest is only counted.
const SHOWN: usize = 10;

/// A figure that was looked at more than once.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("shop");
/// let watch = manager.watch_memory(Duration::MAX)?;
/// let _session = manager.guard("session", || ());
/// watch.look();
/// let live = watch.growth().live;
/// assert_eq!((live.now, live.change), (1, 1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Trend {
    /// At the last look.
    pub now: u64,
    /// How much more that is than at the first one.
    pub change: i64,
    /// How fast it grew from look to look: the slope of the straight line that fits all of them best. What comes and
    /// goes hardly moves it. Zero for a single look.
    pub per_minute: f64,
}

impl Trend {
    /// Minutes since the first look, and the figure then.
    fn new(points: &[(f64, u64)]) -> Trend {
        let (Some((_, first)), Some((_, last))) = (points.first(), points.last()) else {
            return Trend::default();
        };
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Trend { now: *last, change: signed(*last) - signed(*first), per_minute: slope(points) }
    }

    fn is_flat(&self) -> bool {
        self.change == 0 && self.per_minute == 0.0
    }
}

/// Least squares. Around the means, as sums of squares of great numbers would lose the differences.
fn slope(points: &[(f64, u64)]) -> f64 {
    let count = points.len() as f64;
    let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean = points.iter().map(|(_, value)| *value as f64).sum::<f64>() / count;
    let (mut both, mut times) = (0.0, 0.0);
    for (time, value) in points {
        both += (time - mean_time) * (*value as f64 - mean);
        times += (time - mean_time).powi(2);
    }
    if times > 0.0 { both / times } else { 0.0 }
}

/// How what one line registered has grown.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SiteGrowth {
    /// The line.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// Live resources.
    pub live: Trend,
    /// What these said they hold, in bytes.
    pub estimated_bytes: Trend,
}

/// How one category has grown.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CategoryGrowth {
    /// The category.
    pub category: Category,
    /// Live resources.
    pub live: Trend,
    /// What these said they hold, in bytes.
    pub estimated_bytes: Trend,
}

/// How what a manager and those below hold has grown, and the memory of the process with it: what a
/// [`MemoryWatch`](crate::MemoryWatch) saw. Displays as a text for people.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("shop");
/// let watch = manager.watch_memory(Duration::MAX)?;
/// let page = manager.resource("page").estimated_bytes(4_096).guard(|| ())?;
/// watch.look();
/// let growth = watch.growth();
/// assert_eq!(growth.estimated_bytes.change, 4_096);
/// assert_eq!(growth.by_site[0].created_at.file(), file!());
/// println!("{growth}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MemoryGrowth {
    /// The manager.
    pub manager: Label,
    /// The time from the first look to the last.
    pub over: Duration,
    /// How many looks that were.
    pub looks: usize,
    /// Resident memory of the process, in bytes. `None` where the system can't tell.
    pub resident: Option<Trend>,
    /// The most resident memory that the process ever had, in bytes.
    pub peak: Option<u64>,
    /// Live resources.
    pub live: Trend,
    /// What these said they hold, in bytes.
    pub estimated_bytes: Trend,
    /// Each category that has changed, what grows fastest first: by bytes, then by number.
    pub by_category: Vec<CategoryGrowth>,
    /// The same for each line that registered something.
    pub by_site: Vec<SiteGrowth>,
}

impl MemoryGrowth {
    /// Of these looks, the oldest first.
    pub(super) fn new(manager: Label, looks: &[&Look]) -> MemoryGrowth {
        let held = Looks(looks).held(|look| look.all);
        let memory = looks.last().and_then(|look| look.memory);
        let resident = |look: &Look| look.memory.map(|memory| memory.resident);
        let by_category = Looks(looks).growing(|look| &look.categories);
        let by_site = Looks(looks).growing(|look| &look.sites);
        MemoryGrowth {
            manager,
            over: looks.first().zip(looks.last()).map_or(Duration::ZERO, |(first, last)| last.at - first.at),
            looks: looks.len(),
            resident: memory.map(|_| Looks(looks).trend(resident)),
            peak: memory.map(|memory| memory.peak),
            live: held.live,
            estimated_bytes: held.bytes,
            by_category: by_category
                .into_iter()
                .map(|(category, Grown { live, bytes: estimated_bytes })| CategoryGrowth {
                    category,
                    live,
                    estimated_bytes,
                })
                .collect(),
            by_site: by_site
                .into_iter()
                .map(|(created_at, Grown { live, bytes: estimated_bytes })| SiteGrowth {
                    created_at,
                    live,
                    estimated_bytes,
                })
                .collect(),
        }
    }
}

/// Looks, the oldest first, to be asked for one figure after the other.
struct Looks<'a>(&'a [&'a Look]);

struct Grown {
    live: Trend,
    bytes: Trend,
}

impl Looks<'_> {
    fn trend(&self, of: impl Fn(&Look) -> Option<u64>) -> Trend {
        let start = self.0.first().map(|look| look.at);
        let minutes = |look: &Look| start.map_or(0.0, |start| (look.at - start).as_secs_f64() / 60.0);
        let points: Vec<_> = self.0.iter().filter_map(|look| Some((minutes(look), of(look)?))).collect();
        Trend::new(&points)
    }

    fn held(&self, of: impl Fn(&Look) -> Held) -> Grown {
        let live = self.trend(|look| Some(of(look).live));
        Grown { live, bytes: self.trend(|look| Some(of(look).bytes)) }
    }

    /// Each that has changed, what grows faster first: in bytes, then in number.
    fn growing<K: Copy + Ord>(&self, of: impl Fn(&Look) -> &BTreeMap<K, Held>) -> Vec<(K, Grown)> {
        let keys: BTreeSet<K> = self.0.iter().flat_map(|look| of(look).keys().copied()).collect();
        let grown = |key| self.held(|look| of(look).get(&key).copied().unwrap_or_default());
        let mut all: Vec<_> = keys.into_iter().map(|key| (key, grown(key))).collect();
        all.retain(|(_, grown)| !grown.live.is_flat() || !grown.bytes.is_flat());
        all.sort_by(|(_, a), (_, b)| {
            let by_bytes = b.bytes.per_minute.total_cmp(&a.bytes.per_minute);
            by_bytes.then(b.live.per_minute.total_cmp(&a.live.per_minute))
        });
        all
    }
}

impl fmt::Display for MemoryGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (manager, over) = (text::label(&self.manager), text::duration(self.over));
        write!(f, "memory of `{manager}` over {over}, {} looks", self.looks)?;
        if let (Some(resident), Some(peak)) = (&self.resident, self.peak) {
            write!(f, "\n  resident: {}, at most {}", InBytes(resident), Bytes(peak))?;
        }
        write!(f, "\n  live: {}", Described(&self.live, &self.estimated_bytes))?;
        for growth in self.by_category.iter().take(SHOWN) {
            let described = Described(&growth.live, &growth.estimated_bytes);
            write!(f, "\n  {}: {described}", growth.category)?;
        }
        more(f, self.by_category.len())?;
        for growth in self.by_site.iter().take(SHOWN) {
            let described = Described(&growth.live, &growth.estimated_bytes);
            write!(f, "\n  {}: {described}", growth.created_at)?;
        }
        more(f, self.by_site.len())
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

/// `4.0 MiB, +1.2 MiB a minute`.
struct InBytes<'a>(&'a Trend);

impl fmt::Display for InBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.0.per_minute.round();
        let sign = if rate < 0.0 { '-' } else { '+' };
        write!(f, "{}, {sign}{} a minute", Bytes(self.0.now), Bytes(rate.abs() as u64))
    }
}

/// `120, +12.0 a minute; 4.0 MiB, +1.2 MiB a minute`, the bytes where there are any.
struct Described<'a>(&'a Trend, &'a Trend);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Described(live, bytes) = self;
        write!(f, "{}, {:+.1} a minute", live.now, live.per_minute)?;
        if bytes.is_flat() && bytes.now == 0 { Ok(()) } else { write!(f, "; {}", InBytes(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_growth_is_found_in_spite_of_what_comes_and_goes() {
        let steady: Vec<(f64, u64)> = (0..100).map(|n| (f64::from(n) / 60.0, 1 << 40 | n as u64)).collect();
        assert!((slope(&steady) - 60.0).abs() < 0.01, "{}", slope(&steady));
        let wave: Vec<(f64, u64)> = (0..100).map(|n| (f64::from(n) / 60.0, 50 + n as u64 % 2 * 40)).collect();
        assert!(slope(&wave).abs() < 2.0, "{}", slope(&wave));
        assert_eq!((slope(&steady[..1]), Trend::new(&[])), (0.0, Trend::default()));
    }

    fn trend(values: &[u64]) -> Trend {
        Trend::new(&values.iter().zip(0..).map(|(value, at)| (f64::from(at), *value)).collect::<Vec<_>>())
    }

    #[test]
    fn the_growth_of_great_figures_in_a_short_time_is_not_lost_in_them() {
        let points: Vec<(f64, u64)> =
            (0..100).map(|n| (7.0 + f64::from(n) / 60_000.0, 1 << 50 | n as u64)).collect();
        assert!((slope(&points) / 60_000.0 - 1.0).abs() < 1e-6, "{}", slope(&points));
    }

    #[test]
    fn what_has_moved_is_not_flat_though_it_is_back_or_has_no_slope() {
        assert!(trend(&[5, 5, 5]).is_flat() && trend(&[7]).is_flat());
        let back = trend(&[0, 9, 0, 0]);
        assert!(back.change == 0 && !back.is_flat(), "{back:?}");
        let level = trend(&[0, 3, 0, 1]);
        assert!(level.per_minute == 0.0 && !level.is_flat(), "{level:?}");
    }
}
