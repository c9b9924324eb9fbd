//! What the registry does for those beside it, where nobody outside could make it happen when it should.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::cleanup::work;
use crate::config::ManagerConfig;
use crate::id::{Label, ResourceId};
use crate::registry::claim::Claim;
use crate::registry::entry::{Draft, Phase};
use crate::registry::tree::{Node, Seed};
use crate::registry::{Ended, Registry, registry};
use crate::resource::{Category, Priority};

pub(super) fn manager() -> Arc<Node> {
    let (name, created_at, config) = (Label::from("m"), Location::caller(), ManagerConfig::default());
    registry().new_node(Seed { name, created_at, config, parent: None })
}

pub(super) fn draft() -> Draft {
    Draft {
        label: Label::from("newcomer"),
        category: Category::Event,
        priority: Priority::Medium,
        created_at: Location::caller(),
        work: work(|| ()),
        extra: None,
    }
}

fn put(node: &Arc<Node>) -> ResourceId {
    registry().insert(node, draft(), Phase::Live, false)
}

#[test]
fn a_registration_that_nobody_has_noticed_is_taken_back_and_was_never_there() {
    let node = manager();
    let id = put(&node);
    assert_eq!(registry().take_back(id).map(|draft| draft.label), Some(Label::from("newcomer")));
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
    let node = manager();
    for nth in 0..1_600 {
        let id = put(&node);
        let number = registry().with(id, |entry| entry.number).expect("it is live");
        let (weight, _work) = Registry::begin_plain(id).expect("it is like most others");
        let expected = if nth < 1_024 { 1 } else { 256 * u64::from(number.is_multiple_of(256)) };
        assert_eq!((weight.0, weight.is_timed()), (expected, expected > 0), "{nth}: {number}");
        registry().finish_plain(&Ended::plain(id, weight), Duration::ZERO);
    }
    assert_eq!(registry().live_count(&node), 0);
}
