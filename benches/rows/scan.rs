//! A look for leaks among very many: how long it takes, and for how long it holds up a registration.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};

use super::{Scale, thousands, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Figure, Row, Table};
use crate::peers::slab::Entry;
use crate::peers::{CATEGORY, COUNTERS, LABEL, PRIORITY, ShortForm};

const HOUR: Duration = Duration::from_secs(3_600);
/// Between two registrations.
const PACE: Duration = Duration::from_micros(5);
/// Where a measurement stops though fewer looks have ended than it wants.
const MOST_SAMPLES: usize = 4_000_000;

/// As many as that, none of which is a leak.
struct Crowd {
    castoff: ShortForm,
    _guards: Vec<ResourceGuard<()>>,
}

/// Why none of them is.
#[derive(Clone, Copy)]
enum Kind {
    TooYoung,
    /// Old enough, and said to live as long as the process: each has to be looked at.
    LongLived,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::TooYoung => "too young to be one",
            Kind::LongLived => "old enough, and long-lived on purpose",
        }
    }
}

impl Crowd {
    fn new(size: usize, kind: Kind) -> Crowd {
        const HERE: u32 = line!();
        let leak_after = match kind {
            Kind::TooYoung => HOUR,
            Kind::LongLived => Duration::ZERO,
        };
        let castoff =
            ShortForm(ResourceManager::isolated("crowd", ManagerConfig::default().leak_after(leak_after)));
        let guard = || {
            let cleanup = COUNTERS[0].cleanup::<Crowd, HERE>();
            match kind {
                Kind::TooYoung => castoff.0.guard(LABEL, cleanup),
                Kind::LongLived => {
                    castoff.0.resource(LABEL).long_lived().guard(cleanup).expect("nothing is wrong with it")
                }
            }
        };
        let guards = (0..size).map(|_| guard()).collect();
        Crowd { castoff, _guards: guards }
    }

    fn look(&self) -> usize {
        self.castoff.0.detect_leaks().len()
    }
}

/// Looking through all of them when there is nothing to report, against the same question asked of a plain `Vec`.
pub(crate) fn a_scan_that_finds_nothing(table: &mut Table, scale: &Scale) {
    for (kind, bound) in
        [(Kind::TooYoung, Bound::AtMost(Figure::Nanoseconds(8.0))), (Kind::LongLived, Bound::None)]
    {
        let crowd = Crowd::new(scale.most, kind);
        let list: Vec<Entry> = (0..scale.most).map(|_| Entry::new(LABEL, CATEGORY, PRIORITY)).collect();
        assert_eq!(crowd.look() + overdue(&list), 0, "none is one");
        let rounds = Rounds::run(
            scale.rounds,
            &mut [&mut || [timed(|| crowd.look())], &mut || [timed(|| overdue(black_box(&list)))]],
        );
        let what = format!(
            "`detect_leaks` for each of {} live, all {}, against a walk over a `Vec` of the same entries",
            thousands(scale.most),
            kind.words()
        );
        table.push(super::row(what, &rounds, (0, 1), scale.most as f64, bound));
    }
}

fn overdue(list: &[Entry]) -> usize {
    let now = coarsetime::Instant::now_without_cache_update();
    let limit = coarsetime::Duration::from(HOUR);
    list.iter().filter(|entry| black_box(entry).age(now) >= limit).count()
}

/// How long a registration takes at the 99.9th percentile while another thread looks again and again: in a shard of its
/// own, and in the one that is looked at. Beside each the same while nobody looks.
pub(crate) fn registrations_meanwhile(table: &mut Table, scale: &Scale) {
    for kind in [Kind::TooYoung, Kind::LongLived] {
        meanwhile(table, scale, kind);
    }
}

fn meanwhile(table: &mut Table, scale: &Scale, kind: Kind) {
    let make = || Crowd::new(scale.most, kind);
    let crowd = thread::scope(|threads| threads.spawn(make).join().expect("it is made"));
    // castoff gives threads their shards in turn: this many after the crowd's comes one that shares it.
    let shards = (crate::cores() * 4).next_power_of_two().min(64);
    for place in 1..=shards {
        let which = match place {
            1 => "another shard",
            last if last == shards => "the same shard",
            _ => {
                thread::scope(|threads| drop(threads.spawn(|| drop(crowd.castoff.0.guard(LABEL, || ())))));
                continue;
            }
        };
        let [quiet, busy] = thread::scope(|threads| {
            threads.spawn(|| [slowest(&crowd, scale, false), slowest(&crowd, scale, true)]).join()
        })
        .expect("it measures");
        let most = thousands(scale.most);
        table.push(Row {
            what: format!(
                "99.9th percentile of a registration in {which} during looks at {most} live, all {}, against the same without",
                kind.words()
            ),
            castoff: Figure::Nanoseconds(busy),
            peer: Some(Figure::Nanoseconds(quiet)),
            ratio: Some(busy / quiet),
            bound: match kind {
                Kind::TooYoung => Bound::RatioAtMost(3.0),
                Kind::LongLived => Bound::None,
            },
        });
    }
}

/// The 99.9th percentile in nanoseconds. At least so many registrations, and so many looks meanwhile.
fn slowest(crowd: &Crowd, scale: &Scale, looking: bool) -> f64 {
    let (least, looks) = (scale.cycles as usize, scale.rounds);
    let looked = AtomicUsize::new(if looking { 0 } else { looks });
    let over = AtomicBool::new(false);
    let mut took: Vec<u64> = Vec::with_capacity(MOST_SAMPLES);
    thread::scope(|threads| {
        if looking {
            threads.spawn(|| {
                while !over.load(Relaxed) {
                    assert_eq!(crowd.look(), 0, "none is one");
                    looked.fetch_add(1, Relaxed);
                }
            });
        }
        while took.len() < least || (looked.load(Relaxed) < looks && took.len() < MOST_SAMPLES) {
            let start = Instant::now();
            let guard = crowd.castoff.0.guard(LABEL, || ());
            took.push(start.elapsed().as_nanos() as u64);
            drop(black_box(guard));
            // One in so much time: back to back, most samples would be those that nothing held up.
            while start.elapsed() < PACE {
                std::hint::spin_loop();
            }
        }
        over.store(true, Relaxed);
    });
    took.sort_unstable();
    took[(took.len() - 1) * 999 / 1_000] as f64
}
