//! One shard: the entries that one thread (or a few) registered, which manager each belongs to, and how many.
//!
//! Data behind one lock; nothing here runs foreign code.
//!
//! Invariants:
//! 1. A member's list holds exactly its entries that have not ended, newest first, and the marks of those who walk along
//!    it; `live` is how many entries these are. A mark is a slot that stands as an ended entry. Entries join a list at
//!    its head alone and never move, so whoever goes on behind a mark misses none and sees none twice.
//! 2. An entry that has ended is in no list; its slot stays only while a guard holds it.
//! 3. A thread's record stays until the thread and its last live entry have gone.

use std::sync::Arc;
use std::time::Duration;

use crate::events::anyone_listens;
use crate::id::{Label, ResourceId};
use crate::registry::entry::{Entry, Phase};
use crate::registry::slab::{Key, Slab};

use crate::registry::tree::{Node, Totals};

pub(crate) const NO_LINK: u32 = u32::MAX;

/// The part of a manager that lives in this shard.
pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    newest: u32,
    pub(crate) live: usize,
    pub(crate) totals: Totals,
    /// How many cleanups were timed: the first ones all are.
    pub(crate) timed: u32,
    /// Its manager ends with its last entry.
    pub(crate) is_ending: bool,
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
    /// The plain entry whose cleanup has ended last, if its end is still to be completed.
    left: ResourceId,
    pub(super) notice: Notice,
    /// How many members end with their last entry.
    ending: u32,
}

/// Changes whenever somebody in a shard wants to be told of ends that nobody was to be told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notice(u64);

impl Shard {
    pub(crate) fn new(pages: u32) -> Shard {
        Shard {
            entries: Slab::new(pages),
            members: Stall::new(),
            threads: Stall::new(),
            number: 0,
            left: ResourceId::NONE,
            notice: Notice(0),
            ending: 0,
        }
    }

    pub(crate) fn join(&mut self, node: Arc<Node>) -> u32 {
        let is_ending = node.is_ending();
        self.ending += if is_ending { 1 } else { 0 };
        let totals = Totals::default();
        self.members.put(Member { node, newest: NO_LINK, live: 0, totals, timed: 0, is_ending })
    }

    /// Its manager ends, and so does the member with its last entry. False: it has none.
    pub(crate) fn end_member(&mut self, member: u32) -> bool {
        let Some(member) = self.members.get_mut(member).filter(|member| member.live > 0) else {
            return false;
        };
        if !std::mem::replace(&mut member.is_ending, true) {
            self.ending += 1;
        }
        self.give_notice();
        true
    }

    /// Takes a member out that has no entry.
    pub(crate) fn part(&mut self, member: u32) -> Option<Member> {
        let gone = self.members.take(member)?;
        self.ending -= if gone.is_ending { 1 } else { 0 };
        Some(gone)
    }

    /// Whether nobody is to be told of ends here but of entries that say so.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.ending == 0
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
        let older = std::mem::replace(&mut owner.newest, key.index);
        owner.live += 1;
        owner.totals.registered += 1;
        if older != NO_LINK
            && let Some((_, older)) = self.entries.at_mut(older)
        {
            older.newer = key.index;
        }
        if let Some(record) = self.threads.get_mut(thread) {
            record.live += 1;
        }
        self.number += 1;
        let quiet = !owner.is_timed_next(self.number);
        let entry = self.entries.get_mut(key)?;
        entry.quiet = quiet;
        entry.number = self.number;
        entry.member = member;
        entry.thread = thread;
        entry.newer = NO_LINK;
        entry.older = older;
        Some((key, entry))
    }

    /// The same in the place of the one that has ended last, if that is the newest of this member and of the same
    /// thread: no list and no count of live ones changes then. What is left of that one is a label without memory.
    #[inline(always)]
    pub(crate) fn renew(&mut self, member: u32, thread: u32) -> Option<(ResourceId, &mut Entry)> {
        let left = self.left;
        let entry = self.entries.renew(left.key(), |entry| {
            entry.member == member && entry.thread == thread && entry.newer == NO_LINK
        })?;
        let owner = self.members.get_mut(member)?;
        self.left = ResourceId::NONE;
        owner.totals.registered += 1;
        owner.totals.cleaned += 1;
        self.number += 1;
        entry.quiet = !owner.is_timed_next(self.number);
        entry.number = self.number;
        Some((left.renewed(), entry))
    }

    /// The entry has ended this way: it leaves its list and is counted. The slot stays.
    #[inline]
    pub(crate) fn end(&mut self, key: Key, how: Phase) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.phase = how;
        let (newer, older, member, thread) = (entry.newer, entry.older, entry.member, entry.thread);
        self.unlink(newer, older);
        if let Some(owner) = self.members.get_mut(member) {
            if newer == NO_LINK {
                owner.newest = older;
            }
            owner.live -= 1;
            owner.totals.count(how);
        }
        self.leave_thread(thread);
    }

    /// The end of a cleaned entry that is like any other, in one go: what is left of it is its label. `None`, and
    /// nothing is done, where something about it needs more.
    pub(crate) fn end_plain(&mut self, key: Key, weight: u64, elapsed: Duration) -> Option<Label> {
        let entry = self.entries.get_mut(key)?;
        let owner = self.members.get_mut(entry.member)?;
        let last = owner.live == 1 && owner.node.is_ending();
        if entry.watched || entry.extra.is_some() || last || anyone_listens() {
            return None;
        }
        if weight > 0 {
            owner.node.latencies.lock().record(elapsed, weight);
        }
        self.end_cleaned(key)
    }

    /// The end of a plain entry that nobody was to be told of when it was claimed, with this notice. Not all of it at
    /// once: what is left to do can mostly be spared, see [`renew`](Self::renew). False, and nothing is done, where
    /// somebody may want to be told since.
    #[inline]
    pub(super) fn leave(&mut self, id: ResourceId, notice: Notice) -> bool {
        let is_quiet = notice == self.notice;
        if is_quiet {
            self.left = id;
        }
        is_quiet
    }

    /// Somebody wants to be told of ends here.
    pub(super) fn give_notice(&mut self) {
        self.notice.0 += 1;
    }

    /// Completes the end that was left, if one was.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.left != ResourceId::NONE {
            self.complete();
        }
    }

    #[inline(never)]
    fn complete(&mut self) {
        let left = std::mem::replace(&mut self.left, ResourceId::NONE);
        self.end_cleaned(left.key());
    }

    /// The end of one from which nothing follows.
    fn end_cleaned(&mut self, key: Key) -> Option<Label> {
        let entry = self.entries.get_mut(key)?;
        let owner = self.members.get_mut(entry.member)?;
        debug_assert!(
            entry.extra.is_none() && entry.work.is_none(),
            "a plain one holds nothing when it has ended"
        );
        entry.phase = Phase::Cleaned;
        let (newer, older, thread) = (entry.newer, entry.older, entry.thread);
        let label = std::mem::replace(&mut entry.label, Label::from(""));
        owner.live -= 1;
        owner.totals.cleaned += 1;
        if newer == NO_LINK {
            owner.newest = older;
        }
        self.entries.vacate(key);
        self.unlink(newer, older);
        self.leave_thread(thread);
        Some(label)
    }

    #[inline]
    fn unlink(&mut self, newer: u32, older: u32) {
        if newer != NO_LINK
            && let Some((_, newer)) = self.entries.at_mut(newer)
        {
            newer.older = older;
        }
        if older != NO_LINK
            && let Some((_, older)) = self.entries.at_mut(older)
        {
            older.newer = newer;
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

    /// Shows some entries of this member that have not ended, newest first, with the threads they name: those behind the
    /// mark, or the first ones. Whether these were the last; else the mark stands behind them, for the next call.
    pub(crate) fn walk(
        &mut self,
        member: u32,
        mark: &mut Option<Key>,
        most: usize,
        mut visit: impl FnMut(Key, &mut Entry, &Stall<Thread>),
    ) -> bool {
        let mut next = match mark {
            None => self.members.get(member).map_or(NO_LINK, |owner| owner.newest),
            Some(mark) => self.entries.get(*mark).map_or(NO_LINK, |mark| mark.older),
        };
        let mut left = most;
        while let Some((key, entry)) = self.entries.at_mut(next) {
            if left == 0 {
                if self.move_mark(member, mark, next) {
                    return false;
                }
                left = usize::MAX;
                continue;
            }
            left -= 1;
            next = entry.older;
            if !entry.phase.has_ended() {
                visit(key, entry, &self.threads);
            }
        }
        self.take_mark(member, mark);
        true
    }

    /// Puts the mark before an entry of this member. `false` where there is no slot for one.
    fn move_mark(&mut self, member: u32, mark: &mut Option<Key>, next: u32) -> bool {
        self.take_mark(member, mark);
        let newer = self.entries.at_mut(next).map_or(NO_LINK, |(_, next)| next.newer);
        let Some((key, place)) = self.entries.occupy() else { return false };
        place.phase = Phase::Released;
        (place.newer, place.older) = (newer, next);
        if let Some((_, next)) = self.entries.at_mut(next) {
            next.newer = key.index;
        }
        match self.entries.at_mut(newer) {
            Some((_, newer)) => newer.older = key.index,
            None => {
                if let Some(owner) = self.members.get_mut(member) {
                    owner.newest = key.index;
                }
            }
        }
        *mark = Some(key);
        true
    }

    /// Gives the mark up. Its member may have ended since it was put, with all that was live: then it stands alone.
    pub(crate) fn take_mark(&mut self, member: u32, mark: &mut Option<Key>) {
        let Some(key) = mark.take() else { return };
        let Some((newer, older)) = self.entries.get(key).map(|mark| (mark.newer, mark.older)) else { return };
        self.entries.vacate(key);
        self.unlink(newer, older);
        if let Some(owner) = self.members.get_mut(member)
            && owner.newest == key.index
        {
            owner.newest = older;
        }
    }
}

/// Numbered places, the free ones used first. For the few things of which a shard has some, not millions.
pub(crate) struct Stall<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Stall<T> {
    const fn new() -> Stall<T> {
        Stall { places: Vec::new(), free: Vec::new() }
    }

    fn put(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.places[at as usize] = Some(value);
                at
            }
            None => {
                self.places.push(Some(value));
                self.places.len() as u32 - 1
            }
        }
    }

    pub(crate) fn take(&mut self, at: u32) -> Option<T> {
        let value = self.places.get_mut(at as usize)?.take()?;
        self.free.push(at);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.places.get(at as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.places.get_mut(at as usize)?.as_mut()
    }
}
