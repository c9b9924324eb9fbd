//! One place of each shard that is filled and left again and again, beside the slab: what a thread makes and drops at
//! once never comes to lie among the rest, is in no list and is counted later.
//!
//! Invariants:
//! 1. Only the owner of the shard's lock uses the place. Whoever comes by [`Locker::lock`], the owner too, settles it
//!    first: who is in it moves to a slot of the slab that was kept for that, and nobody's it is then. So nobody else ever
//!    sees one that lies here.
//! 2. Who comes here is plain: no edge, nobody who waits or listens, no extra, a label without memory, a cleanup that is
//!    not to be timed and does not await. Whoever wants to make one more than that has to take the lock.
//! 3. Under way, as the lock has it, is the id of who is here until its cleanup has ended.
//!
//! [`Locker::lock`]: super::locker::Locker::lock

use std::panic::Location;
use std::sync::Arc;

use crate::cleanup::Work;
use crate::clock::Coarse;
use crate::fork;
use crate::id::ResourceId;
use crate::registry::entry::{Newcomer, Phase, Plain};
use crate::registry::shard::Shard;
use crate::registry::tree::Node;
use crate::registry::{TURNS, id_of};
use crate::resource::{Known, Priority};

pub(crate) struct Spot {
    /// The address of the manager that has the place; nobody: 0.
    whose: usize,
    /// How many more may come here, and how many could at first.
    left: u32,
    room: u32,
    /// Who is here, or was last, and its number.
    id: ResourceId,
    number: u64,
    /// How many have come beside since the place was made somebody's.
    beside: u32,
    member: u32,
    thread: u32,
    plain: Plain,
    created: Coarse,
    turn: u64,
    /// Taken when it is claimed.
    pub(super) work: Option<Work>,
}

impl Spot {
    pub(super) fn new() -> Spot {
        Spot {
            whose: 0,
            left: 0,
            room: 0,
            id: ResourceId::NONE,
            number: 0,
            beside: 0,
            member: 0,
            thread: 0,
            plain: Plain {
                text: "",
                created_at: Location::caller(),
                category: Known::Event,
                priority: Priority::Medium,
            },
            created: Coarse::default(),
            turn: 0,
            work: None,
        }
    }

    /// Whether the place is this manager's, and one more may come. Nobody is here where nothing is under way.
    #[inline(always)]
    pub(super) fn is_free_for(&self, node: &Node) -> bool {
        self.whose == std::ptr::from_ref(node).addr() && self.left > 0
    }

    /// One more comes beside. Whether who is here may stay, where so many may come.
    pub(super) fn stays(&mut self, patience: u32) -> bool {
        self.beside += 1;
        self.beside < patience
    }

    /// A plain resource comes here.
    #[inline(always)]
    pub(super) fn fill(&mut self, plain: Plain, work: Work) {
        // One by one: a whole one would be read from where it was written a moment ago, in other parts.
        let Plain { text, created_at, category, priority } = plain;
        self.plain.text = text;
        self.plain.created_at = created_at;
        self.plain.category = category;
        self.plain.priority = priority;
        work.put(&mut self.work);
    }
}

impl Shard {
    /// Who comes to the spot next, now.
    #[inline(always)]
    pub(super) fn next_in_spot(&mut self, shard: u32) -> ResourceId {
        self.number += 1;
        let spot = &mut self.spot;
        spot.number = self.number;
        spot.created = Coarse::now();
        spot.turn = TURNS.take(shard, spot.created, &mut self.turn);
        spot.left -= 1;
        spot.id = spot.id.renewed();
        spot.id
    }

    /// Makes the place that of a member, unless that ends or its next cleanup is to be timed: for as many as come before
    /// one that is.
    pub(super) fn open_spot(&mut self, shard: u32, member: u32, thread: u32) -> bool {
        let Some(owner) = self.members.get(member) else { return false };
        let room = owner.untimed_after(self.number);
        if room == 0 || owner.node.is_ending() {
            return false;
        }
        let whose = Arc::as_ptr(&owner.node).addr();
        let Some((key, slot)) = self.entries.occupy_for(room) else { return false };
        // Until it is filled it stands as an ended one that nobody knows.
        slot.phase = Phase::Released;
        let spot = &mut self.spot;
        (spot.whose, spot.left, spot.room, spot.member, spot.thread) = (whose, room, room, member, thread);
        (spot.id, spot.beside) = (id_of(shard, key), 0);
        true
    }

    /// Who is in the place, if anybody is, moves to the slab; and all that have been there are counted.
    #[inline]
    pub(super) fn settle(&mut self, under_way: u64) {
        if self.spot.whose != 0 {
            self.close_spot(under_way);
        }
    }

    #[inline(never)]
    fn close_spot(&mut self, under_way: u64) {
        let spot = &mut self.spot;
        let (came, member, thread) = (u64::from(spot.room - spot.left), spot.member, spot.thread);
        let key = spot.id.key();
        spot.whose = 0;
        self.entries.renew(key);
        if let Some(owner) = self.members.get_mut(member) {
            owner.totals.registered += came;
            owner.totals.cleaned += came;
        }
        if under_way != spot.id.0 {
            self.entries.vacate(key);
            return;
        }
        let (plain, work) = (spot.plain, spot.work.take());
        let phase = if work.is_some() { Phase::Live } else { Phase::Cleaning };
        let new = Newcomer { created: spot.created, turn: spot.turn, era: fork::era(), phase, linked: false };
        if let Some(owner) = self.members.get_mut(member) {
            owner.totals.cleaned -= 1;
        }
        let number = spot.number;
        if let Some(entry) = self.link(key, number, member, thread) {
            entry.settle(plain, work, new);
        }
    }
}
