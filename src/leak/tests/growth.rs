//! What has grown, in its order and in words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::id::Label;
use crate::leak::growth::{MemoryGrowth, Trend};
use crate::leak::series::{Held, Look};
use crate::resource::Category;

#[test]
fn what_has_changed_is_told_by_the_minute_the_fastest_in_bytes_first_then_in_number() {
    let start = Instant::now();
    let held = |live, bytes| Held { live, bytes };
    let look = |minutes: u64, step: u64| {
        let categories = [
            (Category::Event, held(3, 7)),
            (Category::Timer, held(step, 7)),
            (Category::Database, held(3, 7 + step)),
            (Category::Network, held(3 * step, 7)),
        ];
        let at = start + Duration::from_secs(60 * minutes);
        Look { at, memory: None, all: held(step, 0), categories: categories.into(), sites: BTreeMap::new() }
    };
    let looks = [look(0, 0), look(2, 6)];
    let growth = MemoryGrowth::new(Label::from("shop"), &looks.iter().collect::<Vec<_>>());
    assert_eq!((growth.live.per_minute, growth.over), (3.0, Duration::from_secs(120)));
    let order: Vec<_> = growth.by_category.iter().map(|it| (it.category, it.live.per_minute)).collect();
    assert_eq!(order, [(Category::Database, 0.0), (Category::Network, 9.0), (Category::Timer, 3.0)]);
    assert!(growth.by_site.is_empty());
}

#[test]
fn a_growth_has_its_sign_and_bytes_are_told_where_there_are_any() {
    let mib = |now: u64, per_minute: f64| Trend { now: now << 20, change: 0, per_minute };
    let live = Trend { now: 120, change: 0, per_minute: -12.0 };
    let line = |resident: Trend, bytes: Trend, which: usize| {
        let looks = MemoryGrowth::new(Label::from("shop"), &[]);
        let growth = MemoryGrowth { resident: Some(resident), peak: Some(5 << 20), live, ..looks };
        let shown = MemoryGrowth { estimated_bytes: bytes, ..growth }.to_string();
        shown.lines().nth(which).map(|line| line.trim().to_owned())
    };
    let rates = [1_258_291.2, 0.0, -0.4, -2_048.0];
    for (rate, told) in rates.into_iter().zip(["+1.2 MiB", "+0 B", "+0 B", "-2.0 KiB"]) {
        let shown = line(mib(4, rate), Trend::default(), 1);
        assert_eq!(shown, Some(format!("resident: 4.0 MiB, {told} a minute, at most 5.0 MiB")));
    }
    let gone = Trend { now: 0, change: -5, per_minute: -1.0 };
    let bytes = [Trend::default(), mib(4, 0.0), gone];
    for (bytes, told) in bytes.into_iter().zip(["", "; 4.0 MiB, +0 B a minute", "; 0 B, -1 B a minute"]) {
        assert_eq!(line(gone, bytes, 2), Some(format!("live: 120, -12.0 a minute{told}")));
    }
}
