//! The registry's storage against one that anybody sees through: maps, in safe code. Both are taken through the same random
//! steps, and after each of them, or at the end alone, the one has to hold what the other does.
//!
//! Looking settles the spot of a shard, so histories that are looked at after each step alone would hardly ever come to it.

mod shelf;
mod walks;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use crate::cleanup::{CleanupContext, CleanupReason, Course, Work, work};
use crate::config::ManagerConfig;
use crate::id::{Label, ResourceId};
use crate::registry::claim::{Claim, Quiet, Weight};
use crate::registry::entry::{Draft, Extra, Phase, Plain};
use crate::registry::tree::{Node, Seed};
use crate::registry::{Ended, Registry, registry};
use crate::resource::{Category, Priority};

const CONTEXT: CleanupContext = CleanupContext { reason: CleanupReason::Dropped, deadline: None };
const MANAGERS: usize = 2;
/// What comes to the spot has to be beyond those that are all timed.
const BEFORE: usize = 1_100;

#[derive(Clone, Copy, Debug)]
enum Step {
    Register {
        manager: usize,
        plain: bool,
    },
    /// As a guard that drops, or as a teardown.
    Claim {
        which: usize,
        dropped: bool,
    },
    Finish {
        which: usize,
    },
    /// Claimed on another thread.
    Elsewhere {
        which: usize,
    },
    Release {
        which: usize,
    },
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // The newest, most often.
    let which = || prop_oneof![3 => Just(0), 1 => 0..40usize];
    let register = |(manager, plain)| Step::Register { manager, plain };
    let step = prop_oneof![
        40 => (0..MANAGERS, prop::bool::weighted(0.8)).prop_map(register),
        24 => (which(), prop::bool::weighted(0.8)).prop_map(|(which, dropped)| Step::Claim { which, dropped }),
        24 => which().prop_map(|which| Step::Finish { which }),
        1 => which().prop_map(|which| Step::Elsewhere { which }),
        4 => which().prop_map(|which| Step::Release { which }),
        2 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..120)
}

/// What the oracle knows of a resource that has not ended.
struct Known {
    id: ResourceId,
    manager: usize,
    label: Label,
    claimed: Option<Claimed>,
}

enum Claimed {
    Quiet(Quiet),
    Plain(Weight),
    Job(Ended),
}

struct Both {
    managers: [Arc<Node>; MANAGERS],
    ran: Arc<AtomicUsize>,
    /// In the order of registration.
    live: Vec<Known>,
    /// Every id that there ever was.
    given: BTreeSet<ResourceId>,
    claims: usize,
    ended: [u64; MANAGERS],
}

impl Both {
    fn new() -> Both {
        let both = Both {
            managers: [(); MANAGERS].map(|()| manager()),
            ran: Arc::default(),
            live: Vec::new(),
            given: BTreeSet::new(),
            claims: 0,
            ended: [0; MANAGERS],
        };
        both.managers.iter().for_each(come_and_go);
        both
    }

    fn newest(&self, which: usize, claimed: bool) -> Option<usize> {
        let fit = |&at: &usize| self.live[at].claimed.is_some() == claimed;
        let fitting: Vec<usize> = (0..self.live.len()).rev().filter(fit).collect();
        fitting.get(which % fitting.len().max(1)).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Register { manager, plain } => self.register(manager, plain),
            Step::Claim { which, dropped } => {
                if let Some(at) = self.newest(which, false) {
                    self.live[at].claimed = Some(claim(self.live[at].id, dropped));
                    self.claims += 1;
                }
            }
            Step::Finish { which } => {
                if let Some(at) = self.newest(which, true) {
                    self.finish(at);
                }
            }
            Step::Elsewhere { which } => {
                if let Some(at) = self.newest(which, false) {
                    let id = self.live[at].id;
                    let claimed = thread::scope(|scope| scope.spawn(move || claim(id, true)).join());
                    self.live[at].claimed = Some(claimed.expect("a claim does not panic"));
                    self.claims += 1;
                    self.finish(at);
                }
            }
            Step::Release { which } => {
                if let Some(at) = self.newest(which, false) {
                    let known = self.live.remove(at);
                    self.ended[known.manager] += 1;
                    drop(registry().release(known.id));
                }
            }
            Step::Look => self.look(),
        }
    }

    fn register(&mut self, manager: usize, is_plain: bool) {
        let node = &self.managers[manager];
        let ran = self.ran.clone();
        let work = work(move || {
            ran.fetch_add(1, Relaxed);
        });
        let (id, label) = if is_plain {
            (insert_plain(node, work), Label::from(PLAIN))
        } else {
            let label = Label::from(format!("resource {}", self.given.len()));
            (registry().insert(node, draft(label.clone(), work), Phase::Live, false), label)
        };
        assert!(self.given.insert(id), "no id is given out twice: {id:?}");
        self.live.push(Known { id, manager, label, claimed: None });
    }

    fn finish(&mut self, at: usize) {
        let Known { id, manager, claimed, .. } = self.live.remove(at);
        self.ended[manager] += 1;
        match claimed {
            Some(Claimed::Quiet(quiet)) if quiet.is_done() => {}
            Some(Claimed::Quiet(_)) => finish_plain(id, Weight::NONE),
            Some(Claimed::Plain(weight)) => finish_plain(id, weight),
            Some(Claimed::Job(job)) => {
                drop(registry().finish(&job, Ok(()), Duration::ZERO, None));
                // Its guard goes, and the slot with it.
                drop(registry().release(id));
            }
            None => panic!("only what is claimed ends: {id:?}"),
        }
    }

    /// Both hold the same.
    fn look(&self) {
        let known: BTreeMap<ResourceId, &Known> = self.live.iter().map(|known| (known.id, known)).collect();
        for &id in &self.given {
            assert_eq!(registry().is_live(id), known.contains_key(&id), "{id:?}");
            let label = known.get(&id).map(|known| known.label.clone());
            assert_eq!(registry().label_of(id), label, "{id:?}: a stale id names nothing");
        }
        for (number, node) in self.managers.iter().enumerate() {
            let mut seen = Vec::new();
            registry().scan(node, |entry| seen.push((entry.id, entry.entry.label.clone())));
            seen.sort_by_key(|(id, _)| *id);
            let own = known.values().filter(|known| known.manager == number);
            let expected: Vec<_> = own.map(|known| (known.id, known.label.clone())).collect();
            assert_eq!(seen, expected, "a scan shows each once, and no other");
            assert_eq!(registry().live_count(node), expected.len());
            let stats = registry().stats(node);
            let ended = BEFORE as u64 + self.ended[number];
            assert_eq!(stats.registered, ended + expected.len() as u64, "all that came are counted");
            assert_eq!(stats.cleaned + stats.released, ended, "and all that went");
        }
        assert_eq!(self.ran.load(Relaxed), self.claims, "a cleanup leaves the registry once");
    }
}

const PLAIN: &str = "plain";

fn manager() -> Arc<Node> {
    let (created_at, config) = (Location::caller(), ManagerConfig::default());
    registry().new_node(Seed { name: Label::from("oracle"), created_at, config, parent: None })
}

fn draft(label: Label, work: Work) -> Draft {
    let (category, priority, created_at) = (Category::Event, Priority::Medium, Location::caller());
    Draft { label, category, priority, created_at, work, extra: Some(Box::new(Extra::default())) }
}

fn insert_plain(node: &Arc<Node>, work: Work) -> ResourceId {
    let category = Category::Event.known().expect("it is one of castoff's own");
    let plain = Plain { text: PLAIN, category, priority: Priority::Medium, created_at: Location::caller() };
    match Registry::find_spot(node) {
        Some(spot) => spot.fill(plain, work),
        None => registry().insert_plain(node, plain, work),
    }
}

fn come_and_go(node: &Arc<Node>) {
    for _ in 0..BEFORE {
        let id = insert_plain(node, work(|| ()));
        let quiet = Registry::begin_quiet(id, &mut None);
        if quiet.is_some_and(Quiet::is_done) {
            continue;
        }
        let weight = match quiet {
            Some(_) => Weight::NONE,
            None => Registry::begin_plain(id).map(|(weight, _)| weight).expect("it is plain and live"),
        };
        finish_plain(id, weight);
    }
}

/// Takes the cleanup out and runs it, as a guard that drops or as a teardown.
fn claim(id: ResourceId, dropped: bool) -> Claimed {
    let mut taken = None;
    if dropped && let Some(quiet) = Registry::begin_quiet(id, &mut taken) {
        run(taken.expect("a claim comes with the work"));
        return Claimed::Quiet(quiet);
    }
    if dropped && let Ok((weight, work)) = Registry::begin_plain(id) {
        run(work);
        return Claimed::Plain(weight);
    }
    let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("{id:?} is live") };
    let ended = job.ended();
    run(job.work);
    Claimed::Job(ended)
}

/// The short way, unless something about it needs the other: somebody looks at the shard just then.
fn finish_plain(id: ResourceId, weight: Weight) {
    let ended = Ended::plain(id, weight);
    if !registry().finish_plain(&ended, Duration::ZERO) {
        drop(registry().finish(&ended, Ok(()), Duration::ZERO, None));
    }
}

fn run(work: Work) {
    assert!(matches!(work.begin(&CONTEXT), Course::Done(Ok(()))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_registry_holds_what_a_map_would(steps in steps(), each in prop::bool::ANY) {
        let mut both = Both::new();
        for step in steps {
            both.step(step);
            if each {
                both.look();
            }
        }
        both.look();
        while let Some(at) = both.newest(0, false) {
            both.live[at].claimed = Some(claim(both.live[at].id, true));
            both.claims += 1;
        }
        while let Some(at) = both.newest(0, true) {
            both.finish(at);
        }
        both.look();
    }
}
