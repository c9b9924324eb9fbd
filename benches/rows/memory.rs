//! Bytes: what live resources cost, and what stays when they have gone.

use std::hint::black_box;

use castoff::ResourceGuard;

use super::{SLAB, Scale, thousands};
use crate::measure::counting;
use crate::measure::table::{Bound, Figure, Row, Table};
use crate::peers::slab::{Entry, SlabRegistry};
use crate::peers::{Builder, COUNTERS, Contender, ShortForm, fresh_manager, register_and_drop};

/// What live resources cost: the manager, all that it allocated, the boxed cleanups, and the guards in the caller's `Vec`.
pub(crate) fn bytes_held(table: &mut Table, scale: &Scale) {
    for size in [1_000, scale.many, scale.most] {
        let castoff = held(|| Builder(fresh_manager()), size);
        let slab = held(SlabRegistry::default, size);
        assert!(castoff >= (size * size_of::<ResourceGuard<()>>()) as f64, "the guards alone are that much");
        assert!(slab >= (size * size_of::<Entry>()) as f64, "the entries alone are that much");
        if size == 1_000 {
            table.push(Row {
                what: "bytes of 1,000 live resources, manager and guards included".into(),
                castoff: Figure::Bytes(castoff),
                peer: Some(Figure::Bytes(slab)),
                ratio: Some(castoff / slab),
                bound: Bound::Below(Figure::Bytes(256.0 * 1024.0)),
            });
        }
        table.push(Row {
            what: format!(
                "bytes for each of {} live resources, guard included, against {SLAB}",
                thousands(size)
            ),
            castoff: Figure::Bytes(castoff / size as f64),
            peer: Some(Figure::Bytes(slab / size as f64)),
            ratio: Some(castoff / slab),
            bound: Bound::None,
        });
    }
}

fn held<C: Contender>(make: impl FnOnce() -> C, size: usize) -> f64 {
    const HERE: u32 = line!();
    let before = counting::live_bytes();
    let contender = make();
    let mut guards = Vec::with_capacity(size);
    for _ in 0..size {
        guards.push(contender.register::<HERE>(&COUNTERS[0]));
    }
    let held = counting::live_bytes() - before;
    drop(black_box(guards));
    held as f64
}

/// What a manager still holds when everything has gone, beyond what it held after its first resource had come and gone.
pub(crate) fn bytes_left(table: &mut Table, scale: &Scale) {
    let histories: [(&str, usize); 2] = [("one at a time", 1), ("all live at once", scale.most)];
    for (name, at_once) in histories {
        let castoff = ShortForm(fresh_manager());
        let left = left_after(&castoff, scale.most, at_once);
        assert_eq!(castoff.0.resource_count(), 0, "every resource has gone");
        let peer = left_after(&SlabRegistry::default(), scale.most, at_once);
        table.push(Row {
            what: format!("bytes left in the manager after {} came and went, {name}", thousands(scale.most)),
            castoff: Figure::Bytes(left),
            peer: Some(Figure::Bytes(peer)),
            ratio: None,
            bound: Bound::AtMost(Figure::Bytes(0.0)),
        });
    }
}

fn left_after(contender: &impl Contender, total: usize, at_once: usize) -> f64 {
    const HERE: u32 = line!();
    // What a manager makes once, such as the histogram of its cleanups' durations, is there after these.
    register_and_drop(contender, &COUNTERS[0], 100);
    let before = counting::live_bytes();
    for _ in 0..total / at_once {
        let mut guards = Vec::with_capacity(at_once);
        for _ in 0..at_once {
            guards.push(contender.register::<HERE>(&COUNTERS[0]));
        }
        drop(black_box(guards));
    }
    (counting::live_bytes() - before) as f64
}
