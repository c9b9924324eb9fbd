//! From one cleanup of a teardown to the next, under the lock of a shard: the one ends, the other is claimed, and whatever
//! is not like most others is left to the long way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use super::{draft, manager};
use crate::cleanup::{CleanupContext, CleanupReason, Work, work};
use crate::graph::{Seat, Version};
use crate::id::ResourceId;
use crate::registry::claim::Claim;
use crate::registry::entry::{Draft, Extra, Phase};
use crate::registry::relay::{Course, Move, Runner, Step};
use crate::registry::slab::Key;
use crate::registry::tree::Node;
use crate::registry::{Ended, Registry, registry};

const CONTEXT: CleanupContext = CleanupContext { reason: CleanupReason::Teardown, deadline: None };

fn course(node: &Node) -> Course<'_> {
    Course { graph: &node.tree.graph, version: Version::default(), is_closed: true, by: None }
}

fn runner(id: ResourceId) -> Runner {
    Runner { id, seat: Seat::NOWHERE }
}

fn put(node: &Arc<Node>, draft: Draft) -> ResourceId {
    registry().insert(node, draft, Phase::Live, false)
}

/// Ends the one and claims the other, whatever the caller's mind.
fn relay(node: &Node, from: Option<ResourceId>, to: Option<ResourceId>) -> Step {
    registry().relay(course(node), from.map(runner), to.map(runner), |_| true)
}

fn claimed(step: Step) -> Option<Work> {
    match step {
        Step::Claimed(work) => Some(work),
        _ => None,
    }
}

fn phase(id: ResourceId) -> Option<Phase> {
    registry().with(id, |entry| entry.phase)
}

#[test]
fn one_ends_and_the_next_is_claimed() {
    let node = manager();
    let (first, second) = (put(&node, draft()), put(&node, draft()));
    assert!(claimed(relay(&node, None, Some(first))).is_some());
    assert_eq!((phase(first), phase(second)), (Some(Phase::Cleaning), Some(Phase::Live)));
    assert!(claimed(relay(&node, Some(first), Some(second))).is_some());
    assert!(!registry().is_live(first));
    assert!(matches!(relay(&node, Some(second), None), Step::Ended));
    let stats = registry().stats(&node);
    assert_eq!((stats.live, stats.cleaned), (0, 2));
}

#[test]
fn nothing_is_done_that_the_caller_does_not_want_any_more() {
    let node = manager();
    let (first, second) = (put(&node, draft()), put(&node, draft()));
    let unwanted = |not: Move, from: Option<ResourceId>, to: ResourceId| {
        registry().relay(course(&node), from.map(runner), Some(runner(to)), |step| step != not)
    };
    assert!(matches!(unwanted(Move::Claim, None, first), Step::Stopped(Move::Claim)));
    assert_eq!(phase(first), Some(Phase::Live));
    assert!(claimed(relay(&node, None, Some(first))).is_some());
    assert!(matches!(unwanted(Move::End, Some(first), second), Step::Stopped(Move::End)));
    assert_eq!((phase(first), phase(second)), (Some(Phase::Cleaning), Some(Phase::Live)));
    assert!(matches!(unwanted(Move::Claim, Some(first), second), Step::Stopped(Move::Claim)));
    assert_eq!((registry().is_live(first), phase(second)), (false, Some(Phase::Live)));
}

/// A resource, and the number that its work tells.
type Told = (ResourceId, usize);

/// Three pairs of resources, the first of each registered by another thread than the second, that are alike but for their
/// shards: what is looked for in the wrong one is found there.
fn alike(node: &Arc<Node>, tell: &Sender<usize>) -> [(Told, Told); 3] {
    const MANY: usize = 1_000;
    let mut by_key: HashMap<(u32, u32), Told> = HashMap::new();
    let (mut pairs, mut next) = (Vec::new(), 0);
    // A thread may be a guest in a shard that another has, or find places that were used more often.
    for _ in 0..100 {
        let (node, tell, first) = (node.clone(), tell.clone(), next);
        let register = move || {
            let telling = |number: usize| {
                let tell = tell.clone();
                // The other end is there until the test ends.
                Draft { work: work(move || tell.send(number).unwrap_or(())), ..draft() }
            };
            let put = |number| (put(&node, telling(number)), number);
            (first..first + MANY).map(put).collect::<Vec<Told>>()
        };
        for told in thread::spawn(register).join().expect("it only registers") {
            let Key { index, generation } = told.0.key();
            match by_key.entry((index, generation)) {
                Entry::Occupied(other) if other.get().0.shard() != told.0.shard() => {
                    pairs.push((other.remove(), told));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => {
                    place.insert(told);
                }
            }
        }
        if let [first, second, third, ..] = pairs[..] {
            return [first, second, third];
        }
        next += MANY;
    }
    panic!("no two shards use the same places");
}

#[test]
fn what_another_thread_registered_is_claimed_from_its_own_shard() {
    let (node, (tell, told)) = (manager(), channel());
    let [(first, second), (third, fourth), _] = alike(&node, &tell);
    let mut before = third.0;
    assert!(claimed(relay(&node, None, Some(before))).is_some());
    for (next, number) in [second, first, fourth] {
        let step = claimed(relay(&node, Some(before), Some(next)));
        drop(step.expect("it is plain and live").begin(&CONTEXT));
        assert_eq!(told.try_recv(), Ok(number));
        assert!(!registry().is_live(before));
        before = next;
    }
}

#[test]
fn what_another_thread_registered_is_begun_and_ended_in_its_own_shard() {
    let (node, (tell, told)) = (manager(), channel());
    let pairs = alike(&node, &tell);
    // A lane of this thread's own is needed for it to be taken for that of another.
    let own = put(&node, draft());
    for (id, number) in pairs.into_iter().flat_map(|(one, other)| [one, other]) {
        let (weight, work) = Registry::begin_plain(id).expect("it is plain and live");
        drop(work.begin(&CONTEXT));
        assert_eq!(told.try_recv(), Ok(number));
        registry().finish_plain(&Ended::plain(id, weight), Duration::ZERO);
        assert!(!registry().is_live(id));
    }
    assert!(registry().is_live(own));
}

#[test]
fn who_does_not_listen_any_more_is_not_told_and_the_others_are() {
    let node = manager();
    let ([tell, also], told) = {
        let (tell, told) = channel();
        ([tell.clone(), tell], told)
    };
    let observe = |tell: Sender<(ResourceId, &'static str)>, who: &'static str| {
        registry().observe(Arc::new(move |id, _| tell.send((id, who)).unwrap_or(())))
    };
    let (first, _second) = (observe(tell, "first"), observe(also, "second"));
    let heard_of = |id: ResourceId| {
        registry().watch(id);
        let Claim::Job(job) = registry().claim(id, |_| false) else { panic!("it is live") };
        registry().finish(&job.ended(), Ok(()), Duration::ZERO, None);
        let mut heard: Vec<_> = told.try_iter().filter(|(of, _)| *of == id).map(|(_, who)| who).collect();
        heard.sort_unstable();
        heard
    };
    assert_eq!(heard_of(put(&node, draft())), ["first", "second"]);
    drop(first);
    assert_eq!(heard_of(put(&node, draft())), ["second"]);
}

#[test]
fn the_last_of_a_manager_goes_this_way_unless_that_ends_with_it() {
    for is_ending in [false, true] {
        let node = manager();
        let id = put(&node, draft());
        assert!(claimed(relay(&node, None, Some(id))).is_some());
        node.abandoned.store(is_ending, Relaxed);
        assert_eq!(matches!(relay(&node, Some(id), None), Step::Refused), is_ending);
        assert_eq!(registry().is_live(id), is_ending);
    }
}

#[test]
fn another_of_a_manager_that_is_ending_goes_this_way() {
    let node = manager();
    let (id, _other) = (put(&node, draft()), put(&node, draft()));
    assert!(claimed(relay(&node, None, Some(id))).is_some());
    node.abandoned.store(true, Relaxed);
    assert!(matches!(relay(&node, Some(id), None), Step::Ended));
}

#[test]
fn what_runs_already_or_has_a_last_resort_or_keeps_a_value_or_awaits_is_not_claimed() {
    let node = manager();
    let id = put(&node, draft());
    let Claim::Job(_job) = registry().claim(id, |_| false) else { panic!("it is live") };
    assert!(matches!(relay(&node, None, Some(id)), Step::Ended));
    let forced = Draft { extra: Some(Box::new(Extra::forced(work(|| ())))), ..draft() };
    assert!(matches!(relay(&node, None, Some(put(&node, forced))), Step::Ended));
    let keeping = put(&node, draft());
    assert!(registry().keep(keeping, Box::new(())).is_none());
    assert!(matches!(relay(&node, None, Some(keeping)), Step::Ended));
    #[cfg(feature = "tokio")]
    {
        let awaits = Draft { work: crate::cleanup::async_work(|| async {}), ..draft() };
        assert!(matches!(relay(&node, None, Some(put(&node, awaits))), Step::Ended));
    }
    let with_more = Draft { extra: Some(Box::default()), ..draft() };
    assert!(claimed(relay(&node, None, Some(put(&node, with_more)))).is_some());
}

#[test]
fn what_has_not_been_claimed_is_not_ended() {
    let node = manager();
    let id = put(&node, draft());
    assert!(matches!(relay(&node, Some(id), None), Step::Refused));
    assert_eq!(phase(id), Some(Phase::Live));
}

#[test]
fn what_has_come_to_be_linked_goes_the_long_way() {
    let node = manager();
    let (below, above) = (put(&node, draft()), put(&node, draft()));
    registry().add_dependency(&node, above, below).expect("both are live");
    assert!(matches!(relay(&node, None, Some(below)), Step::Ended));
    assert_eq!(phase(below), Some(Phase::Live));
}

#[test]
fn who_waits_for_the_end_is_told_of_it_unless_it_is_who_relays() {
    let (node, (tell, told)) = (manager(), channel());
    let observing = registry().observe(Arc::new(move |id, ending| {
        tell.send((id, ending.phase)).unwrap_or(());
    }));
    for by in [None, Some(observing.key)] {
        let id = put(&node, draft());
        registry().watch(id);
        assert!(claimed(relay(&node, None, Some(id))).is_some());
        let step = registry().relay(Course { by, ..course(&node) }, Some(runner(id)), None, |_| true);
        assert!(matches!(step, Step::Ended));
        let heard = told.try_iter().any(|heard| heard == (id, Phase::Cleaned));
        assert_eq!(heard, by.is_none());
    }
}
