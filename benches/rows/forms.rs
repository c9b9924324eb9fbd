//! The other forms of a registration, each with its drop, and scopes.

use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

use super::{SLAB, Scale, cycles, repeated, row, timed};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};
use crate::peers::forms::{Adopted, Needing, OwnLabel, SlabWithOwnLabel, SlabWithValue, Valued};
use crate::peers::linked::LinkedRegistry;
use crate::peers::slab::SlabRegistry;
use crate::peers::{COUNTERS, Contender, LABEL, fresh_manager};

pub(crate) fn other_forms(table: &mut Table, scale: &Scale) {
    let (label, slab_label) = (OwnLabel(fresh_manager()), SlabWithOwnLabel::default());
    let [one, four] = [1, 4].map(Needing::with_needed);
    let [linked_to_one, linked_to_four] = [1, 4].map(LinkedRegistry::with_needed);
    let (valued, slab_value) = (Valued(fresh_manager()), SlabWithValue::default());
    let (adopted, slab) = (Adopted(fresh_manager()), SlabRegistry::default());
    let times = scale.cycles / 10;
    let rounds = Rounds::run(
        scale.many_rounds,
        &mut [
            &mut || [cycles(&label, times)],
            &mut || [cycles(&slab_label, times)],
            &mut || [cycles(&one, times)],
            &mut || [cycles(&linked_to_one, times)],
            &mut || [cycles(&four, times)],
            &mut || [cycles(&linked_to_four, times)],
            &mut || [cycles(&valued, times)],
            &mut || [cycles(&slab_value, times)],
            &mut || [cycles(&adopted, times)],
            &mut || [cycles(&slab, times)],
        ],
    );
    assert_eq!(one.dependents() + four.dependents(), 0, "every guard dropped");
    assert_eq!(linked_to_one.dependents() + linked_to_four.dependents(), 0, "by hand, too");
    let by_hand = "with as many, whose dependents are only counted";
    for (what, castoff) in [
        (format!("`guard()` with a label in a `String` against {SLAB} with one"), 0),
        (format!("`resource()` with 1 dependency against {SLAB} {by_hand}"), 2),
        (format!("`resource()` with 4 dependencies against {SLAB} {by_hand}"), 4),
        (format!("`guard_value()` against {SLAB} and an `Arc`"), 6),
        (format!("`adopt()` against {SLAB}"), 8),
    ] {
        let pair = (castoff, castoff + 1);
        table.push(row(format!("register and drop: {what}"), &rounds, pair, times as f64, Bound::None));
    }
}

/// A scope is a manager with a teardown at its end. By hand that is a registry that begins and ends there, whose guards
/// drop one by one.
pub(crate) fn scopes(table: &mut Table, scale: &Scale) {
    let manager = fresh_manager();
    let times = scale.repeats * 10;
    let rounds = Rounds::run(
        scale.rounds * 3,
        &mut [
            &mut || [repeated(times, || scope(&manager, 0))],
            &mut || [repeated(times, || slab_of_its_own(0))],
            &mut || [repeated(times, || scope(&manager, 10))],
            &mut || [repeated(times, || slab_of_its_own(10))],
        ],
    );
    assert_eq!(manager.resource_count(), 0, "every scope has ended");
    for (what, pair) in [("nothing", (0, 1)), ("10 guards that it has to end", (2, 3))] {
        let what = format!("a scope with {what} in it, entered and left, against a new {SLAB}");
        table.push(row(what, &rounds, pair, f64::from(times), Bound::None));
    }
}

fn scope(manager: &ResourceManager, guards: usize) -> Duration {
    let mut cleaned = 0;
    let took = timed(|| {
        let ((), report) = manager.scope("scope", |scope| {
            for _ in 0..guards {
                ResourceGuard::leak(scope.guard(LABEL, COUNTERS[0].cleanup::<ResourceManager, 0>()));
            }
        });
        cleaned = report.cleaned();
        report
    });
    assert_eq!(cleaned, guards, "a scope ends what is left in it");
    took
}

fn slab_of_its_own(guards: usize) -> Duration {
    const HERE: u32 = line!();
    timed(|| {
        let registry = SlabRegistry::default();
        let open: Vec<_> = (0..guards).map(|_| registry.register::<HERE>(&COUNTERS[0])).collect();
        drop(open);
        assert_eq!(registry.live(), 0, "every guard dropped");
    })
}
