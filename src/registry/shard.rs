//! One shard: the entries that one thread (or a few) registered, which manager each belongs to, and how many.
//!
//! Data behind one lock; nothing here runs foreign code.
//!
//! Invariants:
//! 1. A member's list holds exactly its entries that have not ended, and the marks of those who walk along
//!    it; `live` is how many entries these are. A mark is a slot that stands as an ended entry. Entries join a list at
//!    its head alone and never move, so whoever goes on behind a mark misses none and sees none twice; and each was
//!    made no earlier than those behind it.
//! 2. An entry that has ended is in no list; its slot stays only while a guard holds it.
//! 3. A thread's record stays until the thread and its last live entry have gone.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Coarse;
use crate::events::anyone_listens;
use crate::id::Label;
use crate::registry::entry::{Entry, Phase};
use crate::registry::slab::{Key, Slab};
use crate::registry::spot::Spot;
use crate::registry::stall::Stall;
use crate::registry::tree::{Node, Totals};
use crate::registry::turns::Turn;

pub(crate) const NO_LINK: u32 = u32::MAX;

/// The part of a manager that lives in this shard.
pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    /// The ends of its list.
    newest: u32,
    oldest: u32,
    pub(crate) live: usize,
    hasty: Hasty,
    pub(crate) totals: Totals,
    /// How many cleanups were timed: the first ones all are.
    pub(crate) timed: u32,
}

/// What a member has live that is to be taken for a leak after a time of its own.
#[derive(Default)]
struct Hasty {
    live: usize,
    /// The least of these times, of those that have ended too.
    least: Duration,
}

/// Which entries a walk shows, and in which order.
#[derive(Clone, Copy)]
pub(crate) enum Walk {
    /// All, newest first.
    All,
    /// Those that were made by then, oldest first.
    MadeBy(Coarse),
}

/// Which lists an entry stands in, and between whom.
#[derive(Clone, Copy)]
pub(super) struct Links {
    member: u32,
    thread: u32,
    newer: u32,
    older: u32,
}

impl Entry {
    /// It has ended this way, and is counted. What is left is to take it out of its lists.
    #[inline]
    pub(super) fn end(&mut self, owner: Option<&mut Member>, how: Phase) -> Links {
        self.phase = how;
        if let Some(owner) = owner {
            owner.live -= 1;
            if self.extra.as_ref().is_some_and(|extra| extra.leak_after.is_some()) {
                owner.hasty.live -= 1;
            }
            owner.totals.count(how);
        }
        Links { member: self.member, thread: self.thread, newer: self.newer, older: self.older }
    }
}

pub(crate) struct Thread {
    pub(crate) label: Label,
    live: usize,
    pub(crate) ended: bool,
}

pub(crate) struct Shard {
    pub(crate) entries: Slab<Entry>,
    pub(crate) members: Stall<Member>,
    pub(crate) threads: Stall<Thread>,
    pub(crate) number: u64,
    pub(super) turn: Turn,
    pub(super) spot: Spot,
}

impl Shard {
    pub(crate) fn new(pages: u32) -> Shard {
        Shard {
            entries: Slab::new(pages),
            members: Stall::new(),
            threads: Stall::new(),
            number: 0,
            turn: Turn::default(),
            spot: Spot::new(),
        }
    }

    pub(crate) fn join(&mut self, node: Arc<Node>) -> u32 {
        let (newest, oldest) = (NO_LINK, NO_LINK);
        let (hasty, totals) = (Hasty::default(), Totals::default());
        self.members.put(Member { node, newest, oldest, live: 0, hasty, totals, timed: 0 })
    }

    /// Whether a member has an entry that has not ended.
    pub(crate) fn is_used(&self, member: u32) -> bool {
        self.members.get(member).is_some_and(|member| member.live > 0)
    }

    /// Takes a member out that has no entry.
    pub(crate) fn part(&mut self, member: u32) -> Option<Member> {
        self.members.take(member)
    }

    pub(crate) fn begin_thread(&mut self, label: Label) -> u32 {
        self.threads.put(Thread { label, live: 0, ended: false })
    }

    pub(crate) fn end_thread(&mut self, thread: u32) {
        if let Some(record) = self.threads.get_mut(thread) {
            record.ended = true;
            if record.live == 0 {
                self.threads.take(thread);
            }
        }
    }

    /// Makes room for a new entry of this member and thread, to be filled. `None` when the shard is full.
    #[inline]
    pub(crate) fn admit(&mut self, member: u32, thread: u32) -> Option<(Key, &mut Entry)> {
        let owner = self.members.get_mut(member)?;
        let (key, _) = self.entries.occupy()?;
        owner.totals.registered += 1;
        self.number += 1;
        self.link(key, self.number, member, thread).map(|entry| (key, entry))
    }

    /// What stands in this slot comes to be the first in the list of a member.
    #[inline]
    pub(super) fn link(&mut self, key: Key, number: u64, member: u32, thread: u32) -> Option<&mut Entry> {
        let owner = self.members.get_mut(member)?;
        let older = std::mem::replace(&mut owner.newest, key.index);
        owner.live += 1;
        if older == NO_LINK {
            owner.oldest = key.index;
        } else if let Some((_, older)) = self.entries.at_mut(older) {
            older.newer = key.index;
        }
        if let Some(record) = self.threads.get_mut(thread) {
            record.live += 1;
        }
        let entry = self.entries.get_mut(key)?;
        entry.number = number;
        entry.member = member;
        entry.thread = thread;
        entry.newer = NO_LINK;
        entry.older = older;
        Some(entry)
    }

    /// The entry has ended this way: it leaves its list and is counted. The slot stays.
    #[inline]
    pub(crate) fn end(&mut self, key: Key, how: Phase) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let links = entry.end(self.members.get_mut(entry.member), how);
        self.leave(links);
    }

    /// What stood here has ended: it is in no list any more.
    #[inline]
    pub(super) fn leave(&mut self, Links { member, thread, newer, older }: Links) {
        self.unlink(member, newer, older);
        self.leave_thread(thread);
    }

    /// An entry that was filled just now is to be taken for a leak after a time of its own.
    pub(crate) fn hasten(&mut self, member: u32, leak_after: Duration) {
        let Some(owner) = self.members.get_mut(member) else { return };
        let hasty = &mut owner.hasty;
        hasty.least = if hasty.live == 0 { leak_after } else { hasty.least.min(leak_after) };
        hasty.live += 1;
    }

    /// The least time after which anything of this member may be taken for a leak, where it is this for most.
    pub(crate) fn least_age(&self, member: u32, most: Duration) -> Duration {
        let hasty = self.members.get(member).map(|owner| &owner.hasty).filter(|hasty| hasty.live > 0);
        hasty.map_or(most, |hasty| hasty.least.min(most))
    }

    /// The end of a cleaned entry that is like any other, in one go: what is left of it is its label. `None`, and
    /// nothing is done, where something about it needs more.
    #[inline(always)]
    pub(crate) fn end_plain(&mut self, key: Key, weight: u64, elapsed: Duration) -> Option<Label> {
        let entry = self.entries.get_mut(key)?;
        let owner = self.members.get_mut(entry.member)?;
        let last = owner.live == 1 && owner.node.is_ending();
        if entry.watched || entry.extra.is_some() || last || anyone_listens() {
            return None;
        }
        debug_assert!(entry.work.is_none(), "a plain one holds nothing when it has ended");
        if weight > 0 {
            owner.node.latencies.lock().record(elapsed, weight);
        }
        entry.phase = Phase::Cleaned;
        let (newer, older, member, thread) = (entry.newer, entry.older, entry.member, entry.thread);
        let label = std::mem::replace(&mut entry.label, Label::from(""));
        owner.live -= 1;
        owner.totals.cleaned += 1;
        self.entries.vacate(key);
        self.unlink(member, newer, older);
        self.leave_thread(thread);
        Some(label)
    }

    /// Gives up the slot of one that has ended, where no more is left of it than its label: that. Else nothing is done.
    #[inline]
    pub(crate) fn forget_plain(&mut self, key: Key) -> Option<Label> {
        let entry = self.entries.get_mut(key)?;
        if !entry.phase.has_ended() || entry.extra.is_some() || entry.work.is_some() {
            return None;
        }
        let label = std::mem::replace(&mut entry.label, Label::from(""));
        self.entries.vacate(key);
        Some(label)
    }

    /// Whoever stood between these two in the list of a member has gone.
    #[inline]
    fn unlink(&mut self, member: u32, newer: u32, older: u32) {
        self.set_older(member, newer, older);
        self.set_newer(member, older, newer);
    }

    /// Behind this entry of a member comes that one; where there is no entry, it is the first.
    #[inline]
    fn set_older(&mut self, member: u32, at: u32, older: u32) {
        if at == NO_LINK {
            if let Some(owner) = self.members.get_mut(member) {
                owner.newest = older;
            }
        } else if let Some((_, entry)) = self.entries.at_mut(at) {
            entry.older = older;
        }
    }

    /// Before this entry of a member comes that one; where there is no entry, it is the last.
    #[inline]
    fn set_newer(&mut self, member: u32, at: u32, newer: u32) {
        if at == NO_LINK {
            if let Some(owner) = self.members.get_mut(member) {
                owner.oldest = newer;
            }
        } else if let Some((_, entry)) = self.entries.at_mut(at) {
            entry.newer = newer;
        }
    }

    #[inline]
    fn leave_thread(&mut self, thread: u32) {
        if let Some(record) = self.threads.get_mut(thread) {
            record.live -= 1;
            if record.live == 0 && record.ended {
                self.threads.take(thread);
            }
        }
    }

    /// Takes back a registration that was refused half-way: it was never there.
    pub(crate) fn retract(&mut self, key: Key) -> Option<Entry> {
        let member = self.entries.get(key)?.member;
        self.end(key, Phase::Released);
        if let Some(owner) = self.members.get_mut(member) {
            owner.totals.registered -= 1;
            owner.totals.released -= 1;
        }
        self.entries.remove(key)
    }

    /// Shows some entries of this member that have not ended, with the threads they name: those behind the mark, or the
    /// first ones. Whether these were the last; else the mark stands behind them, for the next call.
    pub(crate) fn walk(
        &mut self,
        member: u32,
        walk: Walk,
        mark: &mut Option<Key>,
        most: usize,
        mut visit: impl FnMut(Key, &mut Entry, &Stall<Thread>),
    ) -> bool {
        let mut next = match mark {
            None => self.members.get(member).map_or(NO_LINK, |owner| walk.start(owner)),
            Some(mark) => self.entries.get(*mark).map_or(NO_LINK, |mark| walk.behind(mark)),
        };
        let mut left = most;
        while let Some((key, entry)) = self.entries.at_mut(next) {
            if left == 0 {
                if self.move_mark(member, walk, mark, next) {
                    return false;
                }
                left = usize::MAX;
                continue;
            }
            left -= 1;
            next = walk.behind(entry);
            if entry.phase.has_ended() {
                continue;
            }
            if walk.is_behind_all(entry) {
                break;
            }
            visit(key, entry, &self.threads);
        }
        self.take_mark(member, mark);
        true
    }

    /// Puts the mark before an entry of this member, as this walk goes. `false` where there is no slot for one.
    fn move_mark(&mut self, member: u32, walk: Walk, mark: &mut Option<Key>, next: u32) -> bool {
        self.take_mark(member, mark);
        let Some((_, entry)) = self.entries.at_mut(next) else { return false };
        let (newer, older) = match walk {
            Walk::All => (entry.newer, next),
            Walk::MadeBy(_) => (next, entry.older),
        };
        let Some((key, place)) = self.entries.occupy() else { return false };
        place.phase = Phase::Released;
        (place.newer, place.older) = (newer, older);
        self.set_older(member, newer, key.index);
        self.set_newer(member, older, key.index);
        *mark = Some(key);
        true
    }

    /// Gives the mark up. Its member may have ended since it was put, with all that was live, and another one may have its
    /// number: then the mark is in no list.
    pub(crate) fn take_mark(&mut self, member: u32, mark: &mut Option<Key>) {
        let Some(key) = mark.take() else { return };
        let Some((newer, older)) = self.entries.get(key).map(|mark| (mark.newer, mark.older)) else { return };
        let stands_alone = newer == NO_LINK && older == NO_LINK;
        let is_all = self.members.get(member).is_some_and(|owner| owner.newest == key.index);
        self.entries.vacate(key);
        if !stands_alone || is_all {
            self.unlink(member, newer, older);
        }
    }
}

impl Walk {
    fn start(self, owner: &Member) -> u32 {
        match self {
            Walk::All => owner.newest,
            Walk::MadeBy(_) => owner.oldest,
        }
    }

    #[inline]
    fn behind(self, entry: &Entry) -> u32 {
        match self {
            Walk::All => entry.older,
            Walk::MadeBy(_) => entry.newer,
        }
    }

    /// Whether neither this entry nor any behind it is to be shown.
    #[inline]
    fn is_behind_all(self, entry: &Entry) -> bool {
        matches!(self, Walk::MadeBy(last) if entry.created > last)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::config::ManagerConfig;
    use crate::registry::registry;
    use crate::registry::tree::Seed;

    fn node() -> Arc<Node> {
        let (name, created_at, config) = (Label::from("m"), Location::caller(), ManagerConfig::default());
        registry().new_node(Seed { name, created_at, config, parent: None })
    }

    fn end_plain(shard: &mut Shard, key: Key) {
        assert!(shard.end_plain(key, 0, Duration::ZERO).is_some());
    }

    fn end(shard: &mut Shard, key: Key) {
        shard.end(key, Phase::Cleaned);
        shard.entries.vacate(key);
    }

    #[test]
    fn a_thread_is_forgotten_when_it_has_ended_and_what_it_registered_has_too_whichever_is_first() {
        let mut shard = Shard::new(1);
        let member = shard.join(node());
        for end in [end, end_plain] {
            for is_handed_on in [false, true] {
                let thread = shard.begin_thread(Label::from("one of many"));
                let (key, _) = shard.admit(member, thread).expect("there is room");
                if is_handed_on {
                    shard.end_thread(thread);
                } else {
                    end(&mut shard, key);
                }
                assert!(shard.threads.get(thread).is_some());
                if is_handed_on {
                    end(&mut shard, key);
                } else {
                    shard.end_thread(thread);
                }
                assert!(shard.threads.get(thread).is_none());
            }
        }
    }
}
