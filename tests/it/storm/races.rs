//! Two threads at one resource, again and again: one makes something depend on it just as the other lets it go. One
//! of them comes first, and both must agree who.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use castoff::{DependencyError, ManagerConfig, RegisterError, ResourceGuard, ResourceId, ResourceManager};

use super::tally::Tally;
use super::watchdog::Watchdog;
use super::{patience, scaled};

const ROUNDS: usize = 20_000;
/// The first thread's head start in a round, in turns of an empty loop: all from none to this many.
const HEAD_STARTS: usize = 400;

/// What one thread puts down for the other.
struct Meeting<T> {
    place: Mutex<Option<T>>,
    over: AtomicBool,
}

impl<T: Send> Meeting<T> {
    /// Runs `first` for each round. What it puts down is taken up by `second`, at once, on another thread.
    fn hold(first: impl Fn(usize, &dyn Fn(T)), second: impl Fn(T) + Sync) {
        let meeting = Meeting { place: Mutex::new(None), over: AtomicBool::new(false) };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !meeting.over.load(SeqCst) {
                    // Yielding, for the other thread may have no core of its own.
                    meeting.take().map_or_else(thread::yield_now, &second);
                }
                meeting.take().into_iter().for_each(&second);
            });
            // Also when a round panics: the other thread waits for it.
            let _over = Over(&meeting.over);
            for round in 0..scaled(ROUNDS) {
                first(round, &|thing| {
                    *meeting.place.lock().expect("nobody panics here") = Some(thing);
                    for _ in 0..round % HEAD_STARTS {
                        std::hint::spin_loop();
                    }
                });
                while meeting.place.lock().expect("nobody panics here").is_some() {
                    thread::yield_now();
                }
            }
        });
    }

    fn take(&self) -> Option<T> {
        self.place.lock().expect("nobody panics here").take()
    }
}

struct Over<'m>(&'m AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn manager() -> ResourceManager {
    ResourceManager::isolated("races", ManagerConfig::default())
}

/// Each ran once; and of the accepted ones, each before what it depends on.
fn assert_in_order(manager: &ResourceManager, tally: &Tally, accepted: &Mutex<Vec<usize>>) {
    assert_eq!(manager.resource_count(), 0, "every guard was dropped");
    tally.assert_each_ran_once();
    let accepted = accepted.lock().expect("nobody panicked");
    let late: Vec<&usize> = accepted.iter().filter(|&&one| tally.is_late(one)).collect();
    assert!(late.is_empty(), "cleaned after what they depend on: {late:?}");
}

#[test]
fn a_resource_dropped_while_a_dependent_registers_waits_for_it_or_refuses_it() {
    let test = "a_resource_dropped_while_a_dependent_registers_waits_for_it_or_refuses_it";
    let _watchdog = Watchdog::new(test, patience());
    let (manager, accepted) = (manager(), Mutex::new(Vec::new()));
    let tally = Tally::new(2 * scaled(ROUNDS));
    Meeting::hold(
        |round, put_down| {
            let (below, above) = (2 * round, 2 * round + 1);
            let guard = manager.guard("below", tally.cleanup(below));
            let id = ResourceGuard::id(&guard);
            put_down(guard);
            let registration = manager.resource("above").depends_on(id);
            match registration.guard(tally.moody_cleanup(above, vec![below])) {
                Ok(guard) => {
                    accepted.lock().expect("nobody panics here").push(above);
                    drop(guard);
                }
                Err(RegisterError::DependencyGone { .. }) => {}
                Err(other) => panic!("refused: {other}"),
            }
        },
        |guard: ResourceGuard<()>| drop(guard),
    );
    assert_in_order(&manager, &tally, &accepted);
}

#[test]
fn a_resource_dropped_while_a_dependency_on_it_is_added_waits_or_refuses_it() {
    add_while_one_end_is_dropped(
        "a_resource_dropped_while_a_dependency_on_it_is_added_waits_or_refuses_it",
        End::Dependency,
    );
}

#[test]
fn a_resource_dropped_while_it_is_made_a_dependent_holds_nothing_back_afterwards() {
    add_while_one_end_is_dropped(
        "a_resource_dropped_while_it_is_made_a_dependent_holds_nothing_back_afterwards",
        End::Dependent,
    );
}

#[derive(Clone, Copy)]
enum End {
    Dependency,
    Dependent,
}

/// One end is dropped while the edge is added, the other after it.
fn add_while_one_end_is_dropped(test: &'static str, end: End) {
    let _watchdog = Watchdog::new(test, patience());
    let (manager, accepted) = (manager(), Mutex::new(Vec::new()));
    let tally = Tally::new(2 * scaled(ROUNDS));
    Meeting::hold(
        |round, put_down| {
            let (below, above) = (2 * round, 2 * round + 1);
            let dependency = manager.guard("below", tally.cleanup(below));
            let dependent = manager.guard("above", tally.moody_cleanup(above, vec![below]));
            let (from, to) = (ResourceGuard::id(&dependent), ResourceGuard::id(&dependency));
            let (dropped, kept) = match end {
                End::Dependency => (dependency, dependent),
                End::Dependent => (dependent, dependency),
            };
            put_down(dropped);
            match manager.add_dependency(from, to) {
                Ok(()) => accepted.lock().expect("nobody panics here").push(above),
                Err(DependencyError::Gone { .. }) => {}
                Err(other) => panic!("refused: {other}"),
            }
            drop(kept);
        },
        |guard: ResourceGuard<()>| drop(guard),
    );
    assert_in_order(&manager, &tally, &accepted);
}

#[test]
fn a_resource_is_unregistered_or_gets_a_dependent_and_not_both() {
    let _watchdog = Watchdog::new("a_resource_is_unregistered_or_gets_a_dependent_and_not_both", patience());
    let manager = manager();
    let unregistered: Mutex<HashSet<ResourceId>> = Mutex::default();
    let depended_on: Mutex<HashMap<ResourceId, [ResourceGuard<()>; 2]>> = Mutex::default();
    Meeting::hold(
        |_, put_down| {
            let below = manager.guard("below", || ());
            let id = ResourceGuard::id(&below);
            put_down(id);
            if let Ok(above) = manager.resource("above").depends_on(id).guard(|| ()) {
                // Both live on, so that no later question of the other thread can be answered with yes.
                depended_on.lock().expect("nobody panics here").insert(id, [above, below]);
            }
        },
        |id| {
            if manager.unregister(id).is_ok_and(|went| went) {
                unregistered.lock().expect("nobody panics here").insert(id);
            }
        },
    );
    let unregistered = unregistered.into_inner().expect("nobody panicked");
    let depended_on = depended_on.into_inner().expect("nobody panicked");
    let both: Vec<&ResourceId> = depended_on.keys().filter(|id| unregistered.contains(id)).collect();
    assert!(both.is_empty(), "unregistered although something depends on them: {both:?}");
    drop(depended_on);
    assert_eq!(manager.resource_count(), 0);
}
