//! The list of a member, and walks along it that others interrupt, against a list that anybody sees through.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::clock::Coarse;
use crate::config::ManagerConfig;
use crate::id::Label;
use crate::registry::entry::Phase;
use crate::registry::registry;
use crate::registry::shard::{Shard, Walk};
use crate::registry::slab::Key;
use crate::registry::tree::{Node, Seed};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many steps of the clock after the one before.
    Admit {
        later: u64,
    },
    End {
        which: usize,
    },
    /// Of all, or of those that were made up to so many steps before now.
    Begin {
        made_by: Option<u64>,
    },
    /// The next part of a walk under way.
    Go {
        which: usize,
        most: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let made_by = prop::option::weighted(0.7, 0..30u64);
    let go = (0..4usize, 1..6usize);
    let step = prop_oneof![
        8 => (0..3u64).prop_map(|later| Step::Admit { later }),
        6 => (0..60usize).prop_map(|which| Step::End { which }),
        1 => made_by.prop_map(|made_by| Step::Begin { made_by }),
        5 => go.prop_map(|(which, most)| Step::Go { which, most }),
    ];
    prop::collection::vec(step, 1..200)
}

/// A walk under way.
struct Walking {
    walk: Walk,
    mark: Option<Key>,
    /// What it has to show in any case: live when it began, and still.
    due: Vec<Key>,
    shown: Vec<(Key, u64)>,
}

struct Both {
    shard: Shard,
    member: u32,
    /// Oldest first, with the step of the clock when it was made.
    live: Vec<(Key, u64)>,
    walks: Vec<Walking>,
    now: u64,
}

fn moment(step: u64) -> Coarse {
    Coarse::from_start(Duration::from_secs(step))
}

fn node() -> Arc<Node> {
    let (created_at, config) = (Location::caller(), ManagerConfig::default());
    registry().new_node(Seed { name: Label::from("walked"), created_at, config, parent: None })
}

impl Both {
    fn new() -> Both {
        let mut shard = Shard::new(100);
        let member = shard.join(node());
        Both { shard, member, live: Vec::new(), walks: Vec::new(), now: 100 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Admit { later } => {
                self.now += later;
                let (key, entry) = self.shard.admit(self.member, 0).expect("there is room");
                (entry.created, entry.phase) = (moment(self.now), Phase::Live);
                self.live.push((key, self.now));
            }
            Step::End { which } if !self.live.is_empty() => {
                let (key, _) = self.live.remove(which % self.live.len());
                self.shard.end(key, Phase::Cleaned);
                self.shard.entries.vacate(key);
                self.walks.iter_mut().for_each(|walking| walking.due.retain(|due| *due != key));
            }
            Step::Begin { made_by } => {
                let last = made_by.map_or(u64::MAX, |before| self.now - before);
                let walk = made_by.map_or(Walk::All, |_| Walk::MadeBy(moment(last)));
                let due = self.live.iter().filter(|(_, made)| *made <= last).map(|(key, _)| *key).collect();
                self.walks.push(Walking { walk, mark: None, due, shown: Vec::new() });
            }
            Step::Go { which, most } if !self.walks.is_empty() => {
                let at = which % self.walks.len();
                if self.go(at, most) {
                    self.walks.swap_remove(at).check();
                }
            }
            Step::End { .. } | Step::Go { .. } => {}
        }
    }

    fn go(&mut self, at: usize, most: usize) -> bool {
        let Walking { walk, mark, shown, .. } = &mut self.walks[at];
        let before = shown.len();
        let live = &self.live;
        let over = self.shard.walk(self.member, *walk, mark, most, |key, _, _| {
            let known = live.iter().find(|(live, _)| *live == key);
            shown.push(*known.expect("it shows what is live and no other"));
        });
        assert!(shown.len() - before <= most, "it lets go of the lock");
        over
    }
}

impl Walking {
    fn check(self) {
        let made: Vec<u64> = self.shown.iter().map(|(_, made)| *made).collect();
        match self.walk {
            Walk::All => assert!(made.is_sorted_by(|left, right| left >= right), "newest first: {made:?}"),
            Walk::MadeBy(last) => {
                assert!(made.is_sorted(), "oldest first: {made:?}");
                assert!(made.iter().all(|made| moment(*made) <= last), "none is younger: {made:?}");
            }
        }
        let times = |due: &Key| self.shown.iter().filter(|(key, _)| key == due).count();
        assert!(self.due.iter().all(|due| times(due) == 1), "each that is live all the while, once");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn walks_show_what_a_list_holds_whoever_comes_and_goes_meanwhile(steps in steps()) {
        let mut both = Both::new();
        steps.into_iter().for_each(|step| both.step(step));
        // To their ends, which gives up their marks.
        while !both.walks.is_empty() {
            both.step(Step::Go { which: 0, most: 3 });
        }
        for made_by in [None, Some(0)] {
            both.step(Step::Begin { made_by });
            assert!(both.go(0, usize::MAX));
            let all = both.walks.remove(0);
            assert_eq!(all.shown.len(), both.live.len());
            all.check();
        }
        assert_eq!(both.shard.is_used(both.member), !both.live.is_empty());
        let pages = (0..).map_while(|page| both.shard.entries.on_page(page).map(Iterator::count));
        assert_eq!(pages.sum::<usize>(), both.live.len(), "no mark is left");
    }
}

#[test]
fn a_walk_whose_member_has_gone_does_not_touch_the_next_one_of_its_number() {
    for made_by in [None, Some(0)] {
        let mut both = Both::new();
        (0..4).for_each(|_| both.step(Step::Admit { later: 0 }));
        both.step(Step::Begin { made_by });
        assert!(!both.go(0, 2));
        (0..4).for_each(|_| both.step(Step::End { which: 0 }));
        assert!(both.shard.part(both.member).is_some());
        assert_eq!(both.shard.join(node()), both.member);
        both.step(Step::Admit { later: 0 });
        assert!(both.go(0, 2), "nothing is left of what it walked along");
        both.walks.remove(0).check();
        for made_by in [None, Some(0)] {
            both.step(Step::Begin { made_by });
            assert!(both.go(0, 2));
            assert_eq!(both.walks.remove(0).shown, both.live);
        }
    }
}

#[test]
fn a_walk_of_what_was_made_by_a_moment_ends_before_what_is_younger() {
    let mut both = Both::new();
    [0, 5, 1].into_iter().for_each(|later| both.step(Step::Admit { later }));
    both.step(Step::Begin { made_by: Some(6) });
    assert!(both.go(0, 9));
    let walking = both.walks.remove(0);
    assert_eq!(walking.shown, both.live[..1]);
    walking.check();
}

#[test]
fn a_walk_in_parts_leaves_nothing_of_its_own_in_the_list() {
    for made_by in [None, Some(0)] {
        let mut both = Both::new();
        (0..4).for_each(|_| both.step(Step::Admit { later: 0 }));
        both.step(Step::Begin { made_by });
        let held = |both: &Both| both.shard.entries.on_page(0).map(Iterator::count);
        assert!(!both.go(0, 2));
        assert_eq!(held(&both), Some(5));
        assert!(!both.go(0, 1));
        assert_eq!(held(&both), Some(5));
        assert!(both.go(0, 9));
        assert_eq!(held(&both), Some(4));
        both.walks.remove(0).check();
    }
}

#[test]
fn the_least_time_of_its_own_counts_while_who_asked_for_it_is_live() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut both = Both::new();
    let mut admit = |leak_after: Option<Duration>| {
        let (key, entry) = both.shard.admit(both.member, 0).expect("there is room");
        if let Some(leak_after) = leak_after {
            entry.extra_mut().leak_after = Some(leak_after);
            both.shard.hasten(both.member, leak_after);
        }
        key
    };
    let keys = [None, Some(HOUR / 4), Some(HOUR * 2), Some(HOUR / 2)].map(&mut admit);
    assert_eq!(both.shard.least_age(both.member, HOUR), HOUR / 4);
    keys[..3].iter().for_each(|key| both.shard.end(*key, Phase::Cleaned));
    assert_eq!(both.shard.least_age(both.member, HOUR / 8), HOUR / 8, "the manager's, where that is less");
    both.shard.end(keys[3], Phase::Cleaned);
    assert_eq!(both.shard.least_age(both.member, HOUR), HOUR, "nobody asks for another any more");
}
