//! Bytes: what live resources cost, and what stays when they have gone.

use std::hint::black_box;

use castoff::ResourceGuard;

use super::{SLAB, Scale, thousands};
use crate::measure::counting;
use crate::measure::table::{Bound, Figure, Row, Table};
use crate::peers::maps::{DashRegistry, ShardedRegistry};
use crate::peers::slab::{Entry, SlabRegistry};
use crate::peers::{Builder, COUNTERS, Contender, Counter, ShortForm, fresh_manager, register_and_drop};

/// Of an entry's closure, which captures one reference: what is boxed.
const CLOSURE: usize = size_of::<&Counter>();

/// What live resources cost: the manager, all that it allocated, the boxed cleanups, and the guards in the caller's `Vec`.
pub(crate) fn bytes_held(table: &mut Table, scale: &Scale) {
    for size in [1_000, scale.many, scale.most] {
        let castoff = held(|| Builder(fresh_manager()), size);
        let slab = held(SlabRegistry::default, size);
        assert!(
            castoff.all >= (size * size_of::<ResourceGuard<()>>()) as f64,
            "the guards alone are that much"
        );
        assert!(slab.all >= (size * size_of::<Entry>()) as f64, "the entries alone are that much");
        if size == 1_000 {
            table.push(Row {
                what: "bytes of 1,000 live resources, manager and guards included".into(),
                castoff: Figure::Bytes(castoff.all),
                peer: Some(Figure::Bytes(slab.all)),
                ratio: Some(castoff.all / slab.all),
                bound: Bound::Below(Figure::Bytes(256.0 * 1024.0)),
            });
        }
        // A few are bounded above, with what a manager is by itself; here its share goes down to nothing.
        let bound = if size == 1_000 { Bound::None } else { Bound::AtMost(Figure::Bytes(128.0)) };
        table.push(beyond(size, &castoff, &slab, SLAB, bound));
        if size == scale.most {
            let sharded = held(ShardedRegistry::default, size);
            table.push(beyond(size, &castoff, &sharded, "sharded-slab of `(Entry, Box)`", Bound::None));
            let dash = held(DashRegistry::default, size);
            table.push(beyond(size, &castoff, &dash, "`DashMap` of `(Entry, Box)`", Bound::None));
        }
    }
}

fn beyond(size: usize, castoff: &Held, peer: &Held, name: &str, bound: Bound) -> Row {
    let (castoff, peer) = (castoff.beyond / size as f64, peer.beyond / size as f64);
    Row {
        what: format!(
            "bytes for each of {} live resources, beyond guard and closure, against {name}",
            thousands(size)
        ),
        castoff: Figure::Bytes(castoff),
        peer: Some(Figure::Bytes(peer)),
        ratio: Some(castoff / peer),
        bound,
    }
}

struct Held {
    all: f64,
    /// Without the guards, and without what the closures capture.
    beyond: f64,
}

fn held<C: Contender>(make: impl FnOnce() -> C, size: usize) -> Held {
    const HERE: u32 = line!();
    let before = counting::live_bytes();
    let contender = make();
    let mut guards = Vec::with_capacity(size);
    for _ in 0..size {
        guards.push(contender.register::<HERE>(&COUNTERS[0]));
    }
    let all = (counting::live_bytes() - before) as f64;
    let beyond = all - (size_of_val(&*guards) + size * CLOSURE) as f64;
    drop(black_box(guards));
    Held { all, beyond }
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
