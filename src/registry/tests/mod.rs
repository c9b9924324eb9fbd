//! What the registry does for those beside it, where nobody outside could make it happen when it should.

mod ends;
mod parts;
mod relayed;

use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::cleanup::async_work;
use crate::cleanup::work;
use crate::clock::Coarse;
use crate::config::ManagerConfig;
use crate::error::CleanupErrorKind;
use crate::id::{Label, ResourceId};
use crate::registry::claim::{Begun, Claim, Otherwise, Weight};
use crate::registry::entry::{Draft, Newcomer, Phase, Plain};
use crate::registry::shard::Shard;
use crate::registry::spot::Spot;
use crate::registry::tree::{Node, Seed};
use crate::registry::{Applicant, Ended, Need, Registry, registry};
use crate::resource::{Category, MetadataValue, Priority, ResourceState};

pub(crate) fn manager() -> Arc<Node> {
    manager_with(ManagerConfig::default())
}

pub(crate) fn manager_with(config: ManagerConfig) -> Arc<Node> {
    let (name, created_at) = (Label::from("m"), Location::caller());
    registry().new_node(Seed { name, created_at, config, parent: None })
}

/// A manager below another, which it leaves at the end of the test: as long as it is there the two hold each other.
pub(crate) struct Child(Arc<Node>);

pub(crate) fn child(name: &'static str, parent: &Arc<Node>) -> Child {
    let (name, created_at, config) = (Label::from(name), Location::caller(), ManagerConfig::default());
    Child(registry().new_node(Seed { name, created_at, config, parent: Some(parent.clone()) }))
}

impl Deref for Child {
    type Target = Arc<Node>;

    fn deref(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(parent) = &self.0.parent {
            parent.children.lock().remove(&self.0.id);
        }
    }
}

fn draft() -> Draft {
    labelled("newcomer")
}

#[track_caller]
pub(crate) fn labelled(label: &'static str) -> Draft {
    Draft {
        label: Label::from(label),
        category: Category::Event,
        priority: Priority::Medium,
        created_at: Location::caller(),
        work: work(|| ()),
        extra: None,
    }
}

#[track_caller]
pub(crate) fn registered(node: &Arc<Node>, label: &'static str, phase: Phase) -> ResourceId {
    registry().insert(node, labelled(label), phase, false)
}

fn plain() -> Plain {
    Plain {
        text: "plain",
        category: Category::Event.known().expect("it is one of castoff's own"),
        priority: Priority::Medium,
        created_at: Location::caller(),
    }
}

fn put(node: &Arc<Node>) -> ResourceId {
    registry().insert(node, draft(), Phase::Live, false)
}

#[test]
fn a_registration_that_nobody_has_noticed_is_taken_back_and_was_never_there() {
    let node = manager();
    let id = put(&node);
    assert_eq!(registry().take_back(id).map(|(draft, _)| draft.label), Some(Label::from("newcomer")));
    let stats = registry().stats(&node);
    assert_eq!((stats.live, stats.registered, stats.released), (0, 0, 0));
    assert!(registry().take_back(id).is_none());
}

#[test]
fn a_registration_that_a_teardown_has_claimed_is_not_taken_back() {
    let node = manager();
    let id = put(&node);
    let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
    assert!(registry().take_back(id).is_none());
    registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
    let stats = registry().stats(&node);
    assert_eq!((stats.live, stats.registered, stats.cleaned), (0, 1, 1));
}

#[test]
fn a_registration_that_something_depends_on_is_not_taken_back() {
    let node = manager();
    let (below, above) = (put(&node), put(&node));
    registry().add_dependency(&node, above, below).expect("both are live");
    assert!(registry().take_back(below).is_none());
    assert_eq!(registry().live_count(&node), 2);
}

#[test]
fn a_registration_that_is_taken_back_leaves_its_name_and_what_waited_for_it() {
    let node = manager();
    let below = put(&node);
    let mut above = draft();
    above.extra.get_or_insert_default().name = Some(Label::from("above"));
    let needs = vec![Need::Id(below)];
    let ids = registry().admit(&node, vec![Applicant { draft: above, needs }]);
    let above = ids.unwrap_or_else(|refused| panic!("{}", refused.error))[0];
    assert!(registry().take_back(above).is_none(), "it is entering");
    registry().open(above);
    assert!(matches!(registry().begin(below, Box::new(()), false), Begun::Deferred(..)));
    let (_, freed) = registry().take_back(above).expect("nobody has noticed it");
    assert_eq!(freed, [below]);
    assert!(node.names.lock().is_empty());
    assert!(registry().claim_deferred(below).is_some());
}

#[test]
fn a_registration_that_a_teardown_saw_before_it_was_in_is_taken_back() {
    let node = manager();
    let id = registry().insert(&node, draft(), Phase::Entering, false);
    registry().scan_and_watch(&node, |_| ());
    assert!(registry().take_back(id).is_none());
    registry().open(id);
    assert!(registry().take_back(id).is_some());
}

#[test]
fn a_registration_whose_end_somebody_waits_for_is_not_taken_back() {
    let node = manager();
    let id = put(&node);
    registry().watch(id);
    assert!(registry().take_back(id).is_none());
    assert!(registry().is_live(id));
}

#[test]
fn the_first_cleanups_are_all_timed_and_of_the_others_each_counts_for_as_many_as_are_not() {
    if cfg!(castoff_eager) {
        return;
    }
    let (node, mut counted) = (manager(), 0);
    for nth in 0..1_600 {
        let id = put(&node);
        let number = registry().with(id, |entry| entry.number).expect("it is live");
        let (weight, _work) = Registry::begin_plain(id).expect("it is like most others");
        let expected = if nth < 1_024 { 1 } else { 256 * u64::from(number.is_multiple_of(256)) };
        assert_eq!((weight.0, weight.is_timed()), (expected, expected > 0), "{nth}: {number}");
        let took = Duration::from_millis(if weight.is_timed() { 1 } else { 900 });
        registry().finish_plain(&Ended::plain(id, weight), took);
        counted += expected;
    }
    let stats = registry().stats(&node);
    assert!(stats.cleanup_latency.max() < Some(Duration::from_millis(2)));
    assert_eq!((stats.live, stats.cleaned, stats.cleanup_latency.count()), (0, 1_600, counted));
}

#[test]
fn what_comes_and_goes_in_the_spot_is_counted_and_newer_than_what_was_there_before() {
    let (node, plain) = (manager(), plain());
    let end = |id: ResourceId| {
        let Begun::Job(job, _) = registry().begin(id, Box::new(()), false) else { panic!("it is live") };
        registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
    };
    // Until the spot is for the likes of these all are timed.
    (0..1_100).for_each(|_| end(put(&node)));
    for round in 1..=400 {
        let before = put(&node);
        let id = match Registry::find_spot(&node) {
            Some(free) => free.fill(plain, work(|| ())),
            None => registry().insert_plain(&node, plain, work(|| ())),
        };
        let mut taken = None;
        let quiet = if round % 3 > 0 { Registry::begin_quiet(id, &mut taken) } else { None };
        if let Some(quiet) = quiet {
            // Or another test has come meanwhile.
            if !quiet.is_done() {
                registry().finish(&Ended::plain(id, Weight::NONE), Ok(()), Duration::ZERO, None);
            }
        } else {
            let number = |id| registry().with(id, |entry| entry.number).expect("it is there");
            assert!(number(before) < number(id));
            end(id);
        }
        end(before);
        let stats = registry().stats(&node);
        assert_eq!((stats.live, stats.registered, stats.cleaned), (0, 1_100 + 2 * round, 1_100 + 2 * round));
    }
}

#[test]
fn so_many_are_not_timed_as_there_are_up_to_the_next_that_is() {
    if cfg!(castoff_eager) {
        return;
    }
    let mut shard = Shard::new(1);
    let at = shard.join(manager());
    let member = shard.members.get_mut(at).expect("it has just come");
    for timed in [0, 1_023] {
        member.timed = timed;
        assert_eq!(member.untimed_after(5), 0);
    }
    member.timed = 1_024;
    let untimed = [0, 255, 256, 300].map(|number| member.untimed_after(number));
    assert_eq!(untimed, [255, 0, 255, 211]);
}

#[test]
fn whichever_ends_the_others_are_seen_and_whoever_comes_later_is_the_newest() {
    let node = manager();
    let mut ids: Vec<ResourceId> = (0..6).map(|_| put(&node)).collect();
    for at in [5, 0, 2, 1] {
        assert!(registry().take_back(ids.remove(at)).is_some());
        let mut seen = Vec::new();
        registry().scan(&node, |found| seen.push(found.id));
        assert!(seen.iter().eq(ids.iter().rev()), "{seen:?} {ids:?}");
    }
    ids.push(put(&node));
    let mut seen = Vec::new();
    registry().scan(&node, |found| seen.push(found.id));
    assert!(seen.iter().eq(ids.iter().rev()), "{seen:?} {ids:?}");
}

#[test]
fn a_manager_that_ends_leaves_what_it_has_counted_with_its_parent() {
    let parent = manager();
    let (name, created_at, config) = (Label::from("c"), Location::caller(), ManagerConfig::default());
    let child = registry().new_node(Seed { name, created_at, config, parent: Some(parent.clone()) });
    let id = put(&child);
    let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
    registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
    child.abandoned.store(true, Relaxed);
    registry().retire(&child);
    assert!(parent.children.lock().is_empty());
    let stats = registry().stats(&parent);
    assert_eq!((stats.registered, stats.cleaned), (1, 1));
}

#[test]
fn a_spot_that_is_used_again_and_again_is_left_after_so_many_others() {
    let mut spot = Spot::new();
    let stays: Vec<bool> = (0..4).map(|_| spot.stays(3)).collect();
    assert_eq!(stays, [true, true, false, false]);
}

#[test]
fn what_is_not_like_most_others_is_not_begun_as_they_are() {
    let node = manager();
    let (below, above) = (put(&node), put(&node));
    registry().add_dependency(&node, above, below).expect("both are live");
    let entering = registry().insert(&node, draft(), Phase::Entering, false);
    let with_more = Draft { extra: Some(Box::default()), ..draft() };
    let with_more = registry().insert(&node, with_more, Phase::Live, false);
    for id in [below, entering, with_more] {
        assert_eq!(Registry::begin_plain(id).err(), Some(Otherwise::Special));
    }
    #[cfg(feature = "tokio")]
    {
        let awaits = Draft { work: async_work(|| async {}), ..draft() };
        let awaits = registry().insert(&node, awaits, Phase::Live, false);
        assert_eq!(Registry::begin_plain(awaits).err(), Some(Otherwise::Special));
    }
    let (weight, _) = Registry::begin_plain(put(&node)).expect("it is like most others");
    assert!(weight.is_timed() || cfg!(castoff_eager));
}

#[test]
fn what_was_not_to_be_timed_is_in_no_statistics_of_time() {
    let node = manager();
    for (timed, expected) in [(true, 1), (false, 1), (true, 2)] {
        let id = put(&node);
        let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
        let (ended, millis) =
            if timed { (job.ended().timed(), 1) } else { (Ended::plain(id, Weight::NONE), 900) };
        registry().finish(&ended, Ok(()), Duration::from_millis(millis), None);
        let latency = registry().stats(&node).cleanup_latency;
        assert_eq!(latency.count(), expected);
        assert!(latency.max() < Some(Duration::from_millis(2)));
    }
}

#[test]
fn while_there_is_a_guard_it_can_ask_how_its_resource_has_ended() {
    let node = manager();
    for id in [put(&node), registry().insert_plain(&node, plain(), work(|| ()))] {
        let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
        registry().finish(&job.ended(), Err(CleanupErrorKind::Cancelled), Duration::ZERO, None);
        assert_eq!(registry().state(id), ResourceState::Failed);
        let Begun::Ended(ending, _) = registry().begin(id, Box::new(()), false) else { panic!("it is over") };
        assert!(ending.phase == Phase::Failed && ending.error.is_some());
        assert_eq!(registry().state(id), ResourceState::Released);
    }
}
