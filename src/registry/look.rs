//! Looking at what is live, without stopping anyone for longer than a few entries take.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::Coarse;
use crate::fork;
use crate::id::{Label, ResourceId, Stamp};
use crate::registry::entry::{Entry, Phase};
use crate::registry::pile::{PART, Pile};
use crate::registry::shard::{NO_LINK, Shard, Thread, Walk};
use crate::registry::slab::Key;
use crate::registry::stall::Stall;
use crate::registry::tree::{Node, Totals};
use crate::registry::{Lane, Registry, id_of};
use crate::resource::{Category, CategoryCounts, Metadata, Priority, ResourceInfo, ResourceState};
use crate::stats::{Latencies, ResourceStats};

/// How many entries a scan looks at before it lets go of their shard: microseconds' worth.
const AT_ONCE: usize = 64;

/// Instead of the name of a thread that had given up its place in the registry.
const ENDING: &str = "a thread that was ending";

/// One entry as a scan sees it, under its shard's lock: copy what is needed, run nothing.
pub(crate) struct Seen<'a> {
    pub(crate) id: ResourceId,
    pub(crate) entry: &'a Entry,
    pub(crate) stamp: Stamp,
    /// Who registered it.
    pub(crate) thread: Option<&'a Thread>,
}

impl Registry {
    /// Shows every entry of this one manager that has not ended: each that is live all the while, once. Lets who waits
    /// for a shard go first, every [`AT_ONCE`] entries.
    pub(crate) fn scan(&self, node: &Node, visit: impl FnMut(Seen<'_>)) {
        self.scan_in_parts(node, AT_ONCE, visit);
    }

    /// The same, holding each shard for as long as that takes: a pause takes a slot, and so perhaps memory.
    pub(crate) fn scan_without_memory(&self, node: &Node, visit: impl FnMut(Seen<'_>)) {
        self.scan_in_parts(node, usize::MAX, visit);
    }

    fn scan_in_parts(&self, node: &Node, at_once: usize, mut visit: impl FnMut(Seen<'_>)) {
        self.each(
            node,
            at_once,
            |_, _| Walk::All,
            |number, key, entry, threads| {
                visit(Seen::new(number, key, entry, threads));
            },
        );
    }

    /// Of those that [`scan`](Self::scan) shows all that may be leaks by their age now, where that takes so long for most:
    /// oldest first, and the young ones are not even looked at.
    pub(crate) fn scan_aged(
        &self,
        node: &Node,
        now: Coarse,
        leak_after: Duration,
        mut visit: impl FnMut(Seen<'_>),
    ) {
        let aged = |shard: &Shard, member| Walk::MadeBy(now.before(shard.least_age(member, leak_after)));
        self.each(node, AT_ONCE, aged, |number, key, entry, threads| {
            visit(Seen::new(number, key, entry, threads));
        });
    }

    /// As [`scan`](Self::scan), and from now on somebody waits for their ends: but not for those of what is entering, which
    /// nobody takes before it is in, and which is refused if it comes too late.
    pub(crate) fn scan_and_watch(&self, node: &Node, mut visit: impl FnMut(Seen<'_>)) {
        self.each(
            node,
            AT_ONCE,
            |_, _| Walk::All,
            |number, key, entry, threads| {
                if entry.phase != Phase::Entering {
                    entry.watch();
                }
                visit(Seen::new(number, key, entry, threads));
            },
        );
    }

    fn each(
        &self,
        node: &Node,
        at_once: usize,
        which: impl Fn(&Shard, u32) -> Walk,
        mut visit: impl FnMut(u32, Key, &mut Entry, &Stall<Thread>),
    ) {
        for (number, lane) in node.lanes.iter().enumerate() {
            let (first, mut mark) = (lane.load(Relaxed), None);
            while let Some(member) = first.checked_sub(1) {
                let mut shard = self.shards[number].lock();
                // A member that has left had nothing live, and what came back since is new.
                if lane.load(Relaxed) != first {
                    shard.take_mark(NO_LINK, &mut mark);
                    break;
                }
                let walk = which(&shard, member);
                let over = shard.walk(member, walk, &mut mark, at_once, |key, entry, threads| {
                    visit(number as u32, key, entry, threads);
                });
                drop(shard);
                if over {
                    break;
                }
                self.shards[number].give_way();
            }
        }
    }

    /// Shows the metadata of all that this process registered and that has not ended, with whatever manager. A lock
    /// is held for one page at a time: copy what is needed, run nothing.
    pub(crate) fn each_metadata(&self, mut visit: impl FnMut(&Metadata)) {
        let era = fork::era();
        for shard in &self.shards {
            for page in 0.. {
                let shard = shard.lock();
                let Some(entries) = shard.entries.on_page(page) else { break };
                entries
                    .filter(|entry| entry.era == era && !entry.phase.has_ended())
                    .filter_map(|entry| entry.extra.as_ref())
                    .for_each(|extra| visit(&extra.metadata));
            }
        }
    }

    /// For each shard how many were registered there so far: a later one's stamp has a greater number.
    pub(crate) fn horizon(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| shard.lock().number).collect()
    }

    pub(crate) fn watch(&self, id: ResourceId) {
        self.with_awaited(id, |_| ());
    }

    /// Shows one entry, if it has not ended and belongs to this manager or one below.
    pub(crate) fn see<R>(
        &self,
        within: &Arc<Node>,
        id: ResourceId,
        visit: impl FnOnce(&Arc<Node>, Seen<'_>) -> R,
    ) -> Option<R> {
        let shard = self.shard(id).lock();
        let entry = shard.entries.get(id.key()).filter(|entry| !entry.phase.has_ended())?;
        let node = &shard.members.get(entry.member)?.node;
        let thread = shard.threads.get(entry.thread);
        let seen = Seen { id, entry, stamp: entry.stamp(id.shard() as u32), thread };
        node.is_within(within).then(|| visit(node, seen))
    }

    /// Looks at an entry that has not ended.
    pub(crate) fn live<R>(&self, id: ResourceId, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.with(id, |entry| (!entry.phase.has_ended()).then(|| look(entry))).flatten()
    }

    pub(crate) fn is_live(&self, id: ResourceId) -> bool {
        self.live(id, |_| ()).is_some()
    }

    pub(crate) fn label_of(&self, id: ResourceId) -> Option<Label> {
        self.with(id, |entry| entry.label.clone())
    }

    /// The manager of an entry that has not ended.
    pub(crate) fn node_of(&self, id: ResourceId) -> Option<Arc<Node>> {
        let shard = self.shard(id).lock();
        let entry = shard.entries.get(id.key()).filter(|entry| !entry.phase.has_ended())?;
        shard.members.get(entry.member).map(|member| member.node.clone())
    }

    pub(crate) fn state(&self, id: ResourceId) -> ResourceState {
        // Only a guard asks, and while there is one the slot stays.
        self.with(id, |entry| entry.phase).unwrap_or(Phase::Released).into()
    }

    /// How soon it is due among others, if it is deferred: the greater, the sooner.
    pub(crate) fn urgency(&self, id: ResourceId) -> Option<(Reverse<Priority>, Stamp)> {
        let due = |entry: &Entry| (Reverse(entry.priority), entry.stamp(id.shard() as u32));
        self.with(id, |entry| (entry.phase == Phase::Deferred).then(|| due(entry))).flatten()
    }

    pub(crate) fn touch(&self, id: ResourceId) {
        let (now, name) = (Coarse::now(), own_name());
        self.with(id, |entry| {
            entry.extra_mut().touches.get_or_insert_default().add(name, now);
            entry.roams |= is_foreign(id, entry);
        });
    }

    /// Its guard was used: by whom matters where the thread that registered it has ended.
    pub(crate) fn use_it(&self, id: ResourceId) {
        self.with(id, |entry| entry.roams |= is_foreign(id, entry));
    }

    /// What has not ended in this manager and below.
    pub(crate) fn live_count(&self, node: &Arc<Node>) -> usize {
        node.subtree().iter().map(|node| self.members(node, |live, _| live).into_iter().sum::<usize>()).sum()
    }

    /// Whether anything in this manager and below has not ended, or might not have. Waits for no lock: the thread
    /// that asks may have one of them.
    pub(crate) fn may_be_live(&self, node: &Arc<Node>) -> bool {
        let mut below = vec![node.clone()];
        while let Some(node) = below.pop() {
            if self.holds_any(&node).unwrap_or(true) {
                return true;
            }
            match node.children.try_lock() {
                Some(children) => below.extend(children.values().cloned()),
                None => return true,
            }
        }
        false
    }

    /// `None` where a lock is held.
    fn holds_any(&self, node: &Node) -> Option<bool> {
        for (number, lane) in node.lanes.iter().enumerate() {
            if lane.load(Relaxed) == 0 {
                continue;
            }
            let shard = self.shards[number].try_lock()?;
            let member = lane.load(Relaxed).checked_sub(1).and_then(|member| shard.members.get(member));
            if member.is_some_and(|member| member.live > 0) {
                return Some(true);
            }
        }
        Some(false)
    }

    fn members<R>(&self, node: &Node, mut read: impl FnMut(usize, &Totals) -> R) -> Vec<R> {
        let mut found = Vec::new();
        for (number, lane) in node.lanes.iter().enumerate() {
            if lane.load(Relaxed) == 0 {
                continue;
            }
            let shard = self.shards[number].lock();
            let member = lane.load(Relaxed).checked_sub(1).and_then(|member| shard.members.get(member));
            found.extend(member.map(|member| read(member.live, &member.totals)));
        }
        found
    }

    pub(crate) fn info(&self, within: &Arc<Node>, id: ResourceId) -> Option<ResourceInfo> {
        // Edges first: the graph's lock comes before a shard's.
        let (dependencies, dependents) = {
            let graph = within.tree.graph.lock();
            (graph.dependencies(id), graph.dependents(id))
        };
        let mut info = self.see(within, id, |node, seen| describe(node, &seen))?;
        (info.dependencies, info.dependents) = (dependencies, dependents);
        Some(info)
    }

    /// Everything live in this manager and below, oldest first.
    pub(crate) fn infos(&self, within: &Arc<Node>) -> Vec<ResourceInfo> {
        let mut found: Pile<(Stamp, ResourceInfo)> = Pile::new();
        for node in within.subtree() {
            self.scan(&node, |seen| found.push((seen.stamp, describe(&node, &seen))));
        }
        let mut found = found.into_vec();
        found.sort_by_key(|(stamp, _)| *stamp);
        for part in found.chunks_mut(PART) {
            let graph = within.tree.graph.lock();
            for (_, info) in part {
                (info.dependencies, info.dependents) =
                    (graph.dependencies(info.id), graph.dependents(info.id));
            }
        }
        found.into_iter().map(|(_, info)| info).collect()
    }

    pub(crate) fn counts(&self, within: &Arc<Node>) -> CategoryCounts {
        let mut counts = ByCategory::new();
        for node in within.subtree() {
            self.scan(&node, |seen| counts.entry(seen.entry.category()).or_default().0 += 1);
        }
        sorted(&counts, |(count, _)| *count)
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn latencies(&self, within: &Arc<Node>) -> Latencies {
        let mut sum = Latencies::default();
        within.subtree().iter().for_each(|node| sum.add(&node.latencies.lock()));
        sum
    }

    pub(crate) fn stats(&self, within: &Arc<Node>) -> ResourceStats {
        let (mut totals, mut latencies) = (Totals::default(), Latencies::default());
        let mut live = Live::default();
        let now = Coarse::now();
        for node in within.subtree() {
            totals.add(node.folded.lock().all);
            for counted in self.members(&node, |_, totals| *totals) {
                totals.add(counted);
            }
            latencies.add(&node.latencies.lock());
            self.scan(&node, |seen| live.add(seen.entry, now));
        }
        let priorities = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low];
        ResourceStats {
            live: live.count,
            deferred: live.deferred,
            registered: totals.registered,
            cleaned: totals.cleaned,
            failed: totals.failed,
            timed_out: totals.timed_out,
            released: totals.released,
            by_category: sorted(&live.by_category, |(count, _)| *count),
            by_priority: priorities.map(|priority| (priority, live.by_priority[priority as usize])),
            oldest: live.oldest,
            newest: live.newest,
            mean_age: live.ages.checked_div(u32::try_from(live.count).unwrap_or(u32::MAX)),
            estimated_bytes: live.bytes,
            bytes_by_category: sorted(&live.by_category, |(_, bytes)| *bytes),
            leaks: within.leaks_found(),
            cleanup_latency: latencies.summary(),
        }
    }
}

#[derive(Default)]
struct Live {
    count: usize,
    deferred: usize,
    by_priority: [usize; 4],
    oldest: Option<Duration>,
    newest: Option<Duration>,
    ages: Duration,
    bytes: usize,
    by_category: ByCategory,
}

/// For each category how many are live, and how many bytes these said they hold.
type ByCategory = HashMap<Category, (usize, usize)>;

fn sorted(counts: &ByCategory, which: impl Fn(&(usize, usize)) -> usize) -> CategoryCounts {
    CategoryCounts::of(counts.iter().map(|(category, count)| (*category, which(count))).collect())
}

impl Live {
    fn add(&mut self, entry: &Entry, now: Coarse) {
        let age = now.since(entry.created);
        self.count += 1;
        self.deferred += usize::from(entry.phase == Phase::Deferred);
        self.by_priority[entry.priority as usize] += 1;
        self.oldest = self.oldest.max(Some(age));
        self.newest = Some(self.newest.map_or(age, |newest| newest.min(age)));
        self.ages = self.ages.saturating_add(age);
        let bytes = entry.extra.as_ref().and_then(|extra| extra.estimated_bytes).unwrap_or(0);
        self.bytes = self.bytes.saturating_add(bytes);
        let (count, sum) = self.by_category.entry(entry.category()).or_default();
        (*count, *sum) = (*count + 1, sum.saturating_add(bytes));
    }
}

impl<'a> Seen<'a> {
    fn new(shard: u32, key: Key, entry: &'a Entry, threads: &'a Stall<Thread>) -> Seen<'a> {
        let thread = threads.get(entry.thread);
        Seen { id: id_of(shard, key), entry, stamp: entry.stamp(shard), thread }
    }

    /// Whether this process registered it, not one that it was forked from.
    pub(crate) fn is_ours(&self) -> bool {
        self.entry.era == fork::era()
    }
}

/// All that the entry itself tells: the edges are with the graph.
fn describe(node: &Node, seen: &Seen<'_>) -> ResourceInfo {
    let entry = seen.entry;
    let extra = entry.extra.as_ref();
    ResourceInfo {
        id: seen.id,
        label: entry.label.clone(),
        name: entry.name().cloned(),
        category: entry.category(),
        priority: entry.priority,
        state: entry.phase.into(),
        created_at: entry.created_at,
        age: entry.created.elapsed(),
        thread: seen.thread.map_or_else(|| Label::from(ENDING), |it| it.label.clone()),
        manager: node.name.clone(),
        tags: entry.tags().to_vec(),
        metadata: extra.map(|extra| extra.metadata.clone()).unwrap_or_default(),
        description: extra.and_then(|extra| extra.description.clone()),
        timeout: entry.timeout(),
        dependencies: Vec::new(),
        dependents: Vec::new(),
        estimated_bytes: extra.and_then(|extra| extra.estimated_bytes),
        long_lived: extra.is_some_and(|extra| extra.long_lived),
    }
}

/// What the calling thread is called, as what it registers says.
fn own_name() -> Arc<str> {
    thread_local! {
        static NAME: OnceCell<Arc<str>> = const { OnceCell::new() };
    }
    let asked = || {
        let Lane { locker, thread, .. } = Lane::current();
        locker.lock().threads.get(thread).map_or(ENDING, |it| &it.label).into()
    };
    NAME.try_with(|name| name.get_or_init(asked).clone()).unwrap_or_else(|_| ENDING.into())
}

/// Whether the calling thread is another than the one that registered this.
fn is_foreign(id: ResourceId, entry: &Entry) -> bool {
    let Lane { shard, thread, .. } = Lane::current();
    (shard, thread) != (id.shard() as u32, entry.thread)
}
